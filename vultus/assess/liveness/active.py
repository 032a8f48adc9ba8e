"""Challenge and response: a person is asked to do things in a random order, once, in a given time.

A session goes through these steps::

    rest      the face is seen still, facing the camera: what its measures are at rest
    pause     of random length, the face stays at rest
    act       the next action is asked for; it must begin, and the face come back to rest
              (pause and act are repeated for each action)
    passed | failed

Whoever drives it shows `ActiveSession.prompt`, gives every picture to `observe` and, at the end,
asks `redeem` once.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

from vultus.assess.liveness.gestures import (
    ACTIONS,
    TOLD,
    Action,
    Gestures,
    amounts,
    mean_gestures,
)
from vultus.errors import DataFileError, RangeError

__all__ = ["ActiveOutcome", "ActiveSession", "Reason", "new_actions", "new_code"]

State: TypeAlias = Literal["pending", "passed", "failed"]
Step: TypeAlias = Literal["rest", "pause", "act"]
Reason: TypeAlias = Literal[
    "no-face",
    "several-faces",
    "face-lost",
    "other-face",
    "wrong-order",
    "too-fast",
    "no-response",
    "out-of-order",
    "expired",
    "reused",
    "wrong-code",
]

FORMAT = "vultus-active-liveness/1"

_TURNS: frozenset[Action] = frozenset({"turn-left", "turn-right", "nod"})
_FEATURES: frozenset[Action] = frozenset({"blink", "open-mouth", "smile"})
# People blink and smile unasked; the rest is done on purpose, and out of turn it is a recording's.
_ON_PURPOSE: frozenset[Action] = frozenset({"turn-left", "turn-right", "nod", "open-mouth"})

_DONE, _REST = 1.0, 0.5  # amounts: an action is done; the face is at rest
_REST_FRAMES, _REST_S = 5, 0.3
_FACING_DEG = 20.0  # at rest, the camera is looked at
_PAUSES_S = (0.4, 1.6)
# Nobody answers sooner. Source: Woods et al. 2015, "Factors influencing the latency of simple
# reaction time": 231 ms to a light on average, deviation 27 ms between people.
_REACTION_S = 0.15
_STEP_S = 8.0  # for one action
# Without a face, or with several, before the session fails; and between two pictures. A blink
# takes 0.1 to 0.4 s: at fewer than two pictures a second nothing could be told.
_GAP_S = 0.5
_FRAMES_TO_FAIL = 2  # an action out of turn, so that one wild mesh does not end a session
_MOST_ACTIONS = 6


def new_code() -> str:
    """A code for one session: 128 random bits, safe in an address."""
    return secrets.token_urlsafe(16)


def new_actions(count: int = 3) -> tuple[Action, ...]:
    """Different actions in random order, among them a turn and one of the eyes or the mouth.

    A photo can be bent into either, hardly into both; that the order is not known beforehand is
    what a recording fails at: with 3 actions there are 108 orders.

    Args:
        count: 2 to 6.

    Raises:
        RangeError: `count` is outside that.
    """
    if not 2 <= count <= _MOST_ACTIONS:
        raise RangeError(f"a challenge has 2 to {_MOST_ACTIONS} actions, got {count}")
    chance = secrets.SystemRandom()
    while True:
        actions = tuple(chance.sample(ACTIONS, count))
        if _TURNS & set(actions) and _FEATURES & set(actions):
            return actions


@dataclass(frozen=True, slots=True)
class ActiveOutcome:
    """Where a session stands.

    Attributes:
        state: ``pending``, ``passed`` or ``failed``.
        prompt: The action to show now; ``None``: keep still and look at the camera.
        done: Actions done, of how many.
        reason: Why it failed or, while pending, what is in the way (``no-face``,
            ``several-faces``).
    """

    state: State
    prompt: Action | None
    done: tuple[int, int]
    reason: Reason | None

    @property
    def told(self) -> str:
        """What to tell the person."""
        if self.state == "passed":
            return "done"
        if self.state == "failed":
            return "please start again"
        return "look at the camera and keep still" if self.prompt is None else TOLD[self.prompt]


@dataclass(slots=True)
class ActiveSession:
    """One challenge of one person. Not for several threads at once; `to_dict` carries it anywhere.

    Times are seconds of one clock of the caller's choice, which must not be the client's.

    Attributes:
        actions: What is asked for, in order.
        code_digest: SHA-256 of the code; the code itself is not kept.
        expires_s: When it ends.
        same_from: Similarity from which two faces are one person's, of the embeddings that the
            caller compares; ``None``: faces are not compared.
        pauses_s: How long the face is at rest before each action is asked for.
    """

    actions: tuple[Action, ...]
    code_digest: str
    expires_s: float
    same_from: float | None
    pauses_s: tuple[float, ...]
    state: State = "pending"
    reason: Reason | None = None
    redeemed: bool = False
    _step: Step = "rest"
    _done: int = 0
    _since_s: float = 0.0
    _last_s: float | None = None
    _face_s: float | None = None
    _seen: list[tuple[float, ...]] = field(default_factory=list)
    _rest: tuple[float, ...] | None = None
    _acted: bool = False
    _compared: bool = False
    _out_of_turn: int = 0

    @classmethod
    def start(
        cls,
        actions: Sequence[Action],
        code: str,
        expires_s: float,
        *,
        same_from: float | None = None,
        pauses_s: Sequence[float] | None = None,
    ) -> Self:
        """Begin.

        Args:
            actions: As `new_actions` gives them.
            code: As `new_code` gives it; the person's client must know it to redeem the result.
            expires_s: When it ends, on the caller's clock.
            same_from: The embedder's threshold; then every action takes a comparison that
                reaches it.
            pauses_s: One per action; random between 0.4 and 1.6 s when ``None``.

        Raises:
            RangeError: The actions are unknown, too many or too few, or none is a turn, or none
                of the eyes or the mouth; the code is too short; a number is not finite.
        """
        known = set(actions) <= set(ACTIONS)
        if not known or not 2 <= len(actions) <= _MOST_ACTIONS:
            raise RangeError(
                f"a challenge has 2 to {_MOST_ACTIONS} of {', '.join(ACTIONS)}, got "
                f"{', '.join(map(str, actions)) or 'none'}"
            )
        if not _TURNS & set(actions) or not _FEATURES & set(actions):
            raise RangeError(
                "a challenge takes a turn or a nod, and a blink, a smile or an open mouth",
                remedy="take the actions from `new_actions`",
            )
        if len(code) < 16:
            raise RangeError("a code has at least 16 characters", remedy="use `new_code`")
        if not math.isfinite(expires_s):
            raise RangeError(f"expires_s must be finite, got {expires_s}")
        if same_from is not None and not -1.0 <= same_from <= 1.0:
            raise RangeError(f"same_from must lie in [-1, 1], got {same_from}")
        chance = secrets.SystemRandom()
        pauses = tuple(pauses_s or [chance.uniform(*_PAUSES_S) for _ in actions])
        if len(pauses) != len(actions) or not all(0.0 <= one < math.inf for one in pauses):
            raise RangeError("pauses_s takes a time of 0 or more for each action")
        return cls(tuple(actions), _digest(code), expires_s, same_from, pauses)

    @property
    def outcome(self) -> ActiveOutcome:
        """Where it stands."""
        asked = self.state == "pending" and self._step == "act" and not self._acted
        prompt = self.actions[self._done] if asked else None
        return ActiveOutcome(self.state, prompt, (self._done, len(self.actions)), self.reason)

    # -- what happens ------------------------------------------------------------------------------

    def observe(
        self, time_s: float, faces: Sequence[Gestures], similarity: float | None = None
    ) -> ActiveOutcome:
        """Take a picture in.

        Args:
            time_s: When it arrived; must rise from picture to picture.
            faces: What `gestures_of` reads of every face in it.
            similarity: Of the face to the one the session is for (that of the first picture, or
                an enrolled one); ``None``: not compared in this picture.

        Returns:
            Where the session stands. Once it has passed or failed nothing changes that, but the
            answer to a further picture is ``failed`` because of ``reused``.

        Raises:
            RangeError: A number is not finite.
        """
        if not math.isfinite(time_s) or (similarity is not None and not math.isfinite(similarity)):
            raise RangeError("time_s and similarity must be finite")
        if self.state != "pending":
            return ActiveOutcome("failed", None, (self._done, len(self.actions)), "reused")
        failure = self._refused(time_s, faces, similarity)
        self._last_s = time_s
        if failure is not None:
            return self._fail(failure)
        if len(faces) == 1:
            self._face_s, self.reason = time_s, None
            failure = self._advance(time_s, faces[0])
            if failure is not None:
                return self._fail(failure)
        return self.outcome

    def redeem(self, code: str, time_s: float) -> ActiveOutcome:
        """Ask for the result, once.

        Args:
            code: The session's.
            time_s: Now.

        Returns:
            ``passed`` the first time, when everything was done and the session has not expired;
            else ``failed`` with the reason, or ``pending``. A wrong code changes nothing.
        """
        done = (self._done, len(self.actions))
        if not hmac.compare_digest(_digest(code), self.code_digest):
            return ActiveOutcome("failed", None, done, "wrong-code")
        if self.redeemed:
            return ActiveOutcome("failed", None, done, "reused")
        if self.state != "failed" and not time_s < self.expires_s:
            self._fail("expired")
        self.redeemed = self.state != "pending"
        return self.outcome

    def _refused(
        self, time_s: float, faces: Sequence[Gestures], similarity: float | None
    ) -> Reason | None:
        """What ends the session whatever the face does."""
        if self._last_s is not None and time_s <= self._last_s:
            return "out-of-order"
        if not time_s < self.expires_s:
            return self.reason if self._rest is None and self.reason else "expired"
        if len(faces) == 1 and similarity is not None and self.same_from is not None:
            if similarity < self.same_from:
                return "other-face"
            self._compared = True
        begun = self._rest is not None and self._face_s is not None
        if begun and time_s - (self._face_s or 0.0) > _GAP_S:
            return "several-faces" if len(faces) > 1 else "face-lost"
        if len(faces) != 1:
            self.reason = "several-faces" if faces else "no-face"
            if not begun:
                self._seen.clear()
        return None

    def _advance(self, time_s: float, now: Gestures) -> Reason | None:
        if self._rest is None:
            self._settle(time_s, now)
            return None
        gone = amounts(now, Gestures(*self._rest))
        asked = self.actions[self._done]
        # Who does what is asked may move a little otherwise: only a face that does not is judged.
        busy = self._step == "act" and (self._acted or gone[asked] >= _REST)
        others = _ON_PURPOSE - {asked} if not busy else _opposite(asked)
        out_of_turn = any(gone[one] >= _DONE for one in others)
        self._out_of_turn = self._out_of_turn + 1 if out_of_turn else 0
        if self._out_of_turn >= _FRAMES_TO_FAIL:
            return "wrong-order"
        if self._step == "pause":
            return self._pause(time_s, gone, asked)
        return self._act(time_s, gone, asked)

    def _settle(self, time_s: float, now: Gestures) -> None:
        """Learn the face at rest from some pictures of it, all alike and facing the camera."""
        if max(abs(now.yaw_deg), abs(now.pitch_deg)) > _FACING_DEG:
            self._seen.clear()
            return
        self._seen.append((time_s, *now.values()))
        rest = mean_gestures([Gestures(*row[1:]) for row in self._seen])
        if any(
            abs(amount) >= _REST
            for row in self._seen
            for action, amount in amounts(Gestures(*row[1:]), rest).items()
            if action != "blink"
        ):
            self._seen = self._seen[-1:]
        elif len(self._seen) >= _REST_FRAMES and time_s - self._seen[0][0] >= _REST_S:
            self._rest, self._seen = rest.values(), []
            self._step, self._since_s = "pause", time_s

    def _pause(self, time_s: float, gone: Mapping[Action, float], asked: Action) -> Reason | None:
        if asked in _ON_PURPOSE and gone[asked] >= _DONE:
            return "too-fast"
        if time_s - self._since_s >= self.pauses_s[self._done] and _at_rest(gone):
            self._step, self._since_s = "act", time_s
            self._acted = False
            self._compared = self._compared and self._done == 0
        return self._slow(time_s)

    def _act(self, time_s: float, gone: Mapping[Action, float], asked: Action) -> Reason | None:
        soon = time_s - self._since_s < _REACTION_S
        if not self._acted and gone[asked] >= _DONE:
            if soon and asked in _ON_PURPOSE:
                return "too-fast"
            self._acted = not soon  # an unasked blink or smile may fall here: it does not count
        elif self._acted and _at_rest(gone) and (self._compared or self.same_from is None):
            self._done += 1
            self._compared = False
            if self._done == len(self.actions):
                self.state = "passed"
            else:
                self._step, self._since_s = "pause", time_s
            return None
        return self._slow(time_s)

    def _slow(self, time_s: float) -> Reason | None:
        limit = _STEP_S + (self.pauses_s[self._done] if self._step == "pause" else 0.0)
        return "no-response" if time_s - self._since_s > limit else None

    def _fail(self, reason: Reason) -> ActiveOutcome:
        self.state, self.reason = "failed", reason
        return self.outcome

    # -- carrying it about -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-able; holds five measures of the face at rest, no picture, no code."""
        names = [name.lstrip("_") for name in self.__slots__]
        values = [getattr(self, name) for name in self.__slots__]
        return {"format": FORMAT, **dict(zip(names, values, strict=True))}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """What `to_dict` gave, also after JSON. It must come from a store of the caller's own.

        Raises:
            DataFileError: It is not that.
        """
        try:
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
            made = cls(
                tuple(content["actions"]),
                str(content["code_digest"]),
                float(content["expires_s"]),
                None if content["same_from"] is None else float(content["same_from"]),
                tuple(map(float, content["pauses_s"])),
            )
            for name in cls.__slots__[len(_GIVEN) :]:
                setattr(made, name, content[name.lstrip("_")])
            made._seen = [tuple(map(float, row)) for row in made._seen]
            made._rest = None if made._rest is None else tuple(map(float, made._rest))
            if not set(made.actions) <= set(ACTIONS) or made.state not in _STATES:
                raise ValueError("it names actions or states that do not exist")
        except (KeyError, TypeError, ValueError) as error:
            raise DataFileError(f"this is no session of active liveness: {error!r}") from error
        return made


_GIVEN = ("actions", "code_digest", "expires_s", "same_from", "pauses_s")
_STATES = ("pending", "passed", "failed")


def _opposite(asked: Action) -> frozenset[Action]:
    """What cannot happen by the way while `asked` is done."""
    if asked == "turn-left":
        return frozenset({"turn-right"})
    return frozenset({"turn-left"} if asked == "turn-right" else {"turn-left", "turn-right"})


def _at_rest(gone: Mapping[Action, float]) -> bool:
    return all(amount < _REST for action, amount in gone.items())


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8")).hexdigest()
