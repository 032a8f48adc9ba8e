from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from vultus.assess.liveness.active import (
    ActiveOutcome,
    ActiveSession,
    new_actions,
    new_code,
)
from vultus.assess.liveness.gestures import ACTIONS, Action, Gestures
from vultus.errors import DataFileError, RangeError

CODE = "0123456789abcdef"
REST = (0.32, 0.02, 0.58, 1.0, 2.0)
# What each action does to the measures at its height.
DOES: dict[Action, tuple[float, float, float, float, float]] = {
    "blink": (-0.16, 0, 0, 0, 0),
    "turn-left": (0, 0, 0, 30, 0),
    "turn-right": (0, 0, 0, -30, 0),
    "nod": (0, 0, 0, 0, 18),
    "open-mouth": (0, 0.6, 0, 0, 0),
    "smile": (0, 0, 0.12, 0, 0),
}
FPS = 15.0


def face(action: Action | None = None, part: float = 1.0) -> Gestures:
    move = np.array(DOES[action]) * part if action else 0.0
    return Gestures(*(np.array(REST) + move))


def during(action: Action, duration_s: float = 0.6) -> list[Gestures]:
    """The pictures of one action, from rest and back."""
    count = round(duration_s * FPS)
    return [face(action, float(np.sin(np.pi * i / count))) for i in range(count + 1)]


def session(*actions: Action, same_from: float | None = None) -> ActiveSession:
    return ActiveSession.start(
        actions or ("turn-left", "blink", "open-mouth"),
        CODE,
        60.0,
        same_from=same_from,
        pauses_s=[0.5, 1.0, 0.7][: len(actions or "123")],
    )


class Person:
    """Looks at the prompt and does what it says, a third of a second later.

    `similarity` is that of every picture; `recorded` keeps what was seen, for replays.
    """

    def __init__(self, wait_s: float = 0.33) -> None:
        self.wait_s, self.recorded = wait_s, list[tuple[float, Gestures]]()

    def play(self, one: ActiveSession, similarity: float | None = None) -> ActiveOutcome:
        queue: list[Gestures] = []
        prompted: int | None = None
        outcome = one.outcome
        for frame in range(round(50 * FPS)):
            time_s = frame / FPS
            if not queue and outcome.prompt and prompted != outcome.done[0]:
                prompted = outcome.done[0]
                queue = [face()] * round(self.wait_s * FPS) + during(outcome.prompt)
            now = queue.pop(0) if queue else face()
            self.recorded.append((time_s, now))
            outcome = one.observe(time_s, [now], similarity)
            if outcome.state != "pending":
                break
        return outcome


def replayed(one: ActiveSession, recorded: list[tuple[float, Gestures]]) -> ActiveOutcome:
    outcome = one.outcome
    for time_s, now in recorded:
        outcome = one.observe(time_s, [now])
        if outcome.state != "pending":
            return outcome
    for i in range(200):  # the recording's last picture stays
        outcome = one.observe(recorded[-1][0] + (i + 1) / FPS, [recorded[-1][1]])
        if outcome.state != "pending":
            break
    return outcome


def test_a_genuine_run_passes_once():
    one = session()
    assert one.outcome == ActiveOutcome("pending", None, (0, 3), None)
    assert one.outcome.told == "look at the camera and keep still"
    assert Person().play(one) == ActiveOutcome("passed", None, (3, 3), None)
    assert one.redeem("x" * 16, 20).reason == "wrong-code"
    assert one.redeem(CODE, 20).state == "passed"
    assert one.redeem(CODE, 20) == ActiveOutcome("failed", None, (3, 3), "reused")
    assert one.observe(21, [face()]).reason == "reused"


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_can_be_done(action: Action):
    other: Action = "open-mouth" if action in {"turn-left", "turn-right", "nod"} else "nod"
    assert Person().play(session(action, other)).state == "passed"


def test_a_session_passes_through_json_between_pictures():
    one = session()

    class Carried(Person):
        def play(self, one: ActiveSession, similarity: float | None = None) -> ActiveOutcome:
            keeper = self

            class Proxy:
                state = one

                @property
                def outcome(self) -> ActiveOutcome:
                    return self.state.outcome

                def observe(self, *given: object) -> ActiveOutcome:
                    text = json.dumps(self.state.to_dict())
                    assert CODE not in text
                    self.state = ActiveSession.from_dict(json.loads(text))
                    return self.state.observe(*given)  # type: ignore[arg-type]

            return Person.play(keeper, Proxy(), similarity)  # type: ignore[arg-type]

    assert Carried().play(one).state == "passed"


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        (("blink", "turn-left", "open-mouth"), "wrong-order"),
        (("open-mouth", "turn-left", "blink"), "wrong-order"),
        (("turn-right", "blink", "open-mouth"), "wrong-order"),
        (("smile", "turn-left"), "wrong-order"),
    ],
)
def test_the_recording_of_another_session_is_refused(actions: tuple[Action, ...], reason: str):
    person = Person()
    assert person.play(session()).state == "passed"
    found = replayed(session(*actions), person.recorded)
    assert (found.state, found.reason) == ("failed", reason)


def test_a_recording_in_the_right_order_fails_at_the_times():
    person = Person()
    person.play(session())
    later = ActiveSession.start(
        ("turn-left", "blink", "open-mouth"), CODE, 60.0, pauses_s=[1.5, 1.5, 1.5]
    )
    assert replayed(later, person.recorded).reason == "too-fast"


def test_who_answers_before_a_person_can_is_refused():
    one = session("open-mouth", "nod")
    for i in range(30):
        if one.observe(i / FPS, [face()]).prompt:
            break
    assert one.observe((i + 1) / FPS, [face("open-mouth")]).reason == "too-fast"


def test_a_video_of_another_person_mid_way_is_refused():
    one = session(same_from=0.4)
    person, count = Person(), iter(range(10_000))

    class Switched:
        outcome = property(lambda _: one.outcome)

        def observe(self, time_s: float, faces: list[Gestures], _: object) -> ActiveOutcome:
            return one.observe(time_s, faces, 0.9 if next(count) < 30 else 0.1)

    found = person.play(Switched())  # type: ignore[arg-type]
    assert (found.state, found.reason) == ("failed", "other-face")
    assert Person().play(session(same_from=0.4), 0.9).state == "passed"


def test_without_a_comparison_no_action_counts():
    found = Person().play(session(same_from=0.4))
    assert (found.state, found.done, found.reason) == ("failed", (0, 3), "no-response")


def test_a_still_face_gives_no_response():
    one = session()
    frames = (one.observe(i / FPS, [face()]) for i in range(300))
    assert next(o for o in frames if o.state != "pending").reason == "no-response"


def settled(one: ActiveSession) -> Iterator[float]:
    """Times of pictures that follow those in which the face came to rest."""
    for i in range(8):
        one.observe(i / FPS, [face()])
    i = 8
    while True:
        yield i / FPS
        i += 1


def test_faces_that_go_or_become_several():
    for faces, reason in (([], "face-lost"), ([face(), face()], "several-faces")):
        one = session()
        times = settled(one)
        outcomes = [one.observe(next(times), faces) for _ in range(8)]
        assert outcomes[0].state == "pending"
        assert outcomes[0].reason == ("several-faces" if faces else "no-face")
        assert (outcomes[-1].state, outcomes[-1].reason) == ("failed", reason)
    one = session()
    times = settled(one)
    one.observe(next(times), [])  # a moment is forgiven
    assert one.observe(next(times), [face()]) == ActiveOutcome("pending", None, (0, 3), None)
    assert one.observe(next(times) + 5, [face()]).reason == "face-lost"  # pictures are missing


def test_nobody_ever_there():
    one = session()
    assert one.observe(1, []).reason == "no-face"
    assert one.observe(61, []) == ActiveOutcome("failed", None, (0, 3), "no-face")


def test_times():
    one = session()
    one.observe(1.0, [face()])
    assert one.observe(1.0, [face()]).reason == "out-of-order"
    late = session()
    assert late.observe(60.0, [face()]).reason == "expired"
    assert session().redeem(CODE, 60.0).reason == "expired"
    done = session()
    Person().play(done)
    assert done.redeem(CODE, 61.0).reason == "expired"
    with pytest.raises(RangeError, match="finite"):
        session().observe(float("nan"), [face()])


def test_pending_results_are_not_used_up():
    one = session()
    assert one.redeem(CODE, 1.0).state == "pending"
    assert Person().play(one).state == "passed"
    assert one.redeem(CODE, 30.0).state == "passed"


def test_rest_is_learnt_from_a_still_face_only():
    one = session()
    for i in range(60):
        moved = face("turn-left", 0.4 * (1 + np.sin(i)))
        assert one.observe(i / FPS, [moved]).prompt is None
    away = session()
    for i in range(60):
        away.observe(i / FPS, [Gestures(0.32, 0.02, 0.58, 45.0, 0.0)])
    assert away.outcome == ActiveOutcome("pending", None, (0, 3), None)


def test_challenges():
    seen = {new_actions() for _ in range(400)}
    assert len(seen) > 80  # of 108
    assert all(len(set(actions)) == 3 for actions in seen)
    assert len({new_code() for _ in range(50)}) == 50
    with pytest.raises(RangeError, match="2 to 6 actions, got 1"):
        new_actions(1)
    with pytest.raises(RangeError, match="takes a turn or a nod"):
        session("turn-left", "nod")
    with pytest.raises(RangeError, match="takes a turn or a nod"):
        session("smile", "blink")
    with pytest.raises(RangeError, match="at least 16"):
        ActiveSession.start(("nod", "blink"), "short", 1.0)
    with pytest.raises(RangeError, match="got nod, jump"):
        ActiveSession.start(("nod", "jump"), CODE, 1.0)  # type: ignore[arg-type]
    with pytest.raises(RangeError, match="same_from"):
        ActiveSession.start(("nod", "blink"), CODE, 1.0, same_from=2.0)
    with pytest.raises(DataFileError, match="no session"):
        ActiveSession.from_dict({"format": "x"})
    with pytest.raises(DataFileError, match="no session"):
        ActiveSession.from_dict({**session().to_dict(), "state": "won"})
