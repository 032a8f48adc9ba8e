from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vultus.decide import Calibration
from vultus.errors import RangeError, SpaceMismatchError
from vultus.gallery import MemoryGallery
from vultus.pipeline import Recognizer
from vultus.sources.frames import Ending, Gap, VideoFrame, VideoInfo
from vultus.types import (
    Box,
    Embedding,
    EmbeddingSpace,
    Face,
    Frame,
    Match,
    Occlusion,
    Pose,
    Quality,
    Threshold,
)
from vultus.watch import (
    Followed,
    FollowSettings,
    Held,
    Sample,
    Sight,
    gather,
    held,
    name_tracks,
    template_of,
    watch_video,
)
from vultus.watch.appearances import boxes_between
from vultus.watch.cuts import CUT, colours, difference
from vultus.watch.follow import weight_of
from vultus.watch.video import sheet_of

pytest.importorskip("scipy", reason="install SciPy: pip install 'vultus[video]'")

SPACE = EmbeddingSpace("toy", "1" * 64, 4, "none")
QUALITY = Quality(
    0.9, 0.1, 120.0, 0.4, 80.0, 40.0, 1.0, Occlusion(*[0.0] * 7), Pose(0.0, 0.0, 0.0, "toy")
)


def vector(*values):
    full = np.zeros(4)
    full[: len(values)] = values
    return Embedding((full / np.linalg.norm(full)).astype(np.float32), SPACE)


ANN, BOB, EVE = vector(1), vector(0, 1), vector(0, 0, 1)


def sample(embedding, weight=0.9, time_s=0.0):
    return Sample(embedding, QUALITY, weight, time_s)


def track(number, frames, embedding=None, fps=25.0, weight=0.9):
    sights = tuple(Sight(n, n / fps, 1 / fps, Box(n, 0, n + 40, 40)) for n in frames)
    samples = () if embedding is None else (sample(embedding, weight),)
    return Followed(number, sights, samples, np.zeros((8, 8, 3), np.uint8))


COLORS = {"ann": (250, 0, 0), "bob": (0, 250, 0), "eve": (0, 0, 250)}


class Toy:
    """Faces are 40 px squares of one colour on black; the colour is who it is."""

    space = SPACE
    embedded = 0

    def detect(self, frame):
        faces = []
        for color in COLORS.values():
            ys, xs = np.nonzero((frame.image == color).all(axis=2))
            if len(xs):
                box = Box(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
                faces.append(Face(box, 0.99, None, frame))
        return faces

    def detect_many(self, frames):
        return [self.detect(frame) for frame in frames]

    def embed(self, faces):
        self.embedded += len(faces)
        return [
            vector(*face.frame.image[int(face.box.y1), int(face.box.x1)].astype(float))
            for face in faces
        ]

    def assess(self, faces):
        return [QUALITY for _ in faces]


def toy_calibration():
    return Calibration(
        SPACE, "toys", "2026-01-01", 9, 9, 9, 90000,
        np.array([0.0, 0.3, 0.6, 0.8]), np.array([1.0, 0.1, 1e-3, 1e-5]),
        np.array([0.9, 0.09, 1e-4, 0.0]), np.array([1.0, 0.2, 2e-3, 1e-4]),
        np.array([0.0, 0.0, 0.01, 0.1]),
    )  # fmt: skip


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def found(toy):
    return Recognizer(
        lambda: toy,
        lambda: toy,
        lambda: Threshold(0.6, "fmr=1e-3", "toys", 1e-3, 0.01, SPACE.id),
        calibration=toy_calibration,
        assessor=lambda: toy,
    )


@pytest.fixture
def gallery():
    with MemoryGallery() as opened:
        opened.add("ann", ANN, "1")
        opened.add("bob", BOB, "2")
        yield opened


class Film:
    """A source of frames made by a function of their number."""

    def __init__(self, count, places, fps=25.0, missing=None):
        self.count, self.places, self.fps, self.missing = count, places, fps, missing
        self.info = VideoInfo("film", 320, 120, fps, count, count / fps)
        self.ending = None

    def read(self, every=1):
        for number in range(0, self.count, every):
            image = np.zeros((120, 320, 3), np.uint8)
            for who, x in self.places(number).items():
                image[40:80, int(x) : int(x) + 40] = COLORS[who]
            yield VideoFrame(Frame(image), number / self.fps, number, 1 / self.fps)
        self.ending = Ending(self.count, self.count / self.fps, self.missing)


def test_two_known_people_and_a_stranger(found, gallery, toy):
    def places(n):
        here = {"ann": 5 + n, "eve": 240}
        return here | {"bob": 150} if 20 <= n < 40 else here

    seen = watch_video(Film(60, places), found, gallery, every=2)
    told = seen.to_object()
    assert told == {
        "frames": 60,
        "fps": 25.0,
        "duration_s": 2.4,
        "people": [
            {
                "name": "ann",
                "seconds": 2.36,
                "tracks": [{"start_s": 0.0, "end_s": 2.36, "frames": 59}],
            },
            {
                "name": "bob",
                "seconds": 0.76,
                "tracks": [{"start_s": 0.8, "end_s": 1.56, "frames": 19}],
            },
            {
                "name": None,
                "seconds": 2.36,
                "tracks": [{"start_s": 0.0, "end_s": 2.36, "frames": 59}],
            },
        ],
    }
    ann = seen.people[0].answers[0]
    assert ann.decision.similarity == pytest.approx(1.0, abs=1e-6)
    assert ann.decision.fmr.high <= 1e-4
    assert toy.embedded == seen.embedded < seen.detected * 2.4 / 2  # not every face of every frame
    assert len(ann.track.samples) <= FollowSettings().best
    assert sheet_of(seen).ndim == 3


def test_every_frame_of_a_walk_has_one_name_whatever_every_is(found, gallery):
    for every in (1, 3, 5):
        seen = watch_video(Film(50, lambda n: {"ann": 2 * n}), found, gallery, every=every)
        assert [person.name for person in seen.people] == ["ann"]
        last = (49 // every) * every
        (stretch,) = seen.people[0].stretches
        assert (stretch.start_s, stretch.frames) == (0.0, last + 1)


def test_somebody_who_leaves_and_returns_is_one_person(found, gallery):
    film = Film(150, lambda n: {"eve": 50} if n < 40 or n >= 110 else {})
    seen = watch_video(film, found, gallery, every=1)
    assert [person.name for person in seen.people] == [None]
    first, second = seen.people[0].stretches
    assert (first.frames, second.frames) == (40, 40)
    assert second.start_s == pytest.approx(110 / 25)
    assert seen.people[0].seconds == pytest.approx(80 / 25)


def test_a_cut_ends_a_track_although_the_next_face_is_in_the_same_place(found, gallery):
    class Scenes(Film):
        def read(self, every=1):
            for shown in super().read(every):
                image = shown.frame.image
                if shown.number >= 20:
                    image = np.where(image.any(axis=2, keepdims=True), image, 128).astype(np.uint8)
                yield replace(shown, frame=Frame(image))

    film = Scenes(40, lambda n: {"ann": 100} if n < 20 else {"bob": 100})
    seen = watch_video(film, found, gallery, every=1)
    frames = {person.name: person.stretches[0].frames for person in seen.people}
    assert frames == {"ann": 20, "bob": 20}


def test_nobody_is_seen_and_what_is_missing_is_handed_on(found, gallery):
    gap = Gap("the file says it has 30 frames, it ends after 10", 20)
    seen = watch_video(Film(10, lambda n: {}, missing=gap), found, gallery)
    assert (seen.people, seen.missing) == ((), gap)
    assert sheet_of(seen) is None
    with pytest.raises(RangeError, match="every must be at least 1"):
        watch_video(Film(10, lambda n: {}), found, gallery, every=0)


def test_a_pattern_found_in_one_frame_only_is_no_person(found, gallery):
    seen = watch_video(Film(30, lambda n: {"eve": 99} if n == 7 else {}), found, gallery, every=1)
    assert seen.people == ()


# -- identity -------------------------------------------------------------------------------------


def test_a_template_is_the_weighted_mean():
    template = template_of([sample(ANN, 0.75), sample(BOB, 0.25)])
    np.testing.assert_allclose(template.vector, np.array([3, 1, 0, 0]) / np.sqrt(10), atol=1e-6)
    assert template_of([]) is None
    other = Embedding(ANN.vector, replace(SPACE, model="other"))
    with pytest.raises(SpaceMismatchError):
        template_of([sample(ANN), sample(other)])


def test_nobody_is_in_two_places_at_once(found, gallery):
    better, worse = vector(1, 0.1), vector(1, 0.9)
    answers = name_tracks([track(1, range(5), worse), track(2, range(5), better)], found, gallery)
    # 0.67 of the worse one reaches the threshold for bob as well
    assert [answer.name for answer in answers] == ["bob", "ann"]
    apart = name_tracks([track(1, range(5), worse), track(2, range(9, 14), better)], found, gallery)
    assert [answer.name for answer in apart] == ["ann", "ann"]


def test_a_track_that_could_not_be_judged_has_no_name(found, gallery):
    (answer,) = name_tracks([track(1, range(5))], found, gallery)
    assert (answer.name, answer.decision, answer.template) == (None, None, None)


def test_an_empty_gallery_knows_nobody(found):
    with MemoryGallery() as empty:
        (answer,) = name_tracks([track(1, range(5), ANN)], found, empty)
    assert (answer.name, answer.decision) == (None, None)
    assert answer.template is not None


def test_a_held_name_changes_only_after_three_that_say_otherwise():
    ann, bob, doubt = Match("1", 0.9, 1, "ann"), Match("2", 0.9, 2, "bob"), Match("1", 0.4, 1)
    state = Held()
    names = []
    for match in (doubt, ann, doubt, doubt, ann, bob, bob, bob, None, None, None):
        state = held(state, match, 0.6)
        names.append(state.name)
    assert names == [None] + ["ann"] * 6 + ["bob"] * 3 + [None]
    with pytest.raises(RangeError):
        held(Held(), ann, 0.6, patience=0)


# -- people ---------------------------------------------------------------------------------------


def test_unknown_tracks_are_one_person_when_alike_and_never_side_by_side(found):
    with MemoryGallery() as empty:
        tracks = [
            track(1, range(10), EVE),
            track(2, range(5, 15), EVE),
            track(3, range(20, 30), EVE),
            track(4, range(30, 40), ANN),
            track(5, range(40, 50)),
        ]
        answers = name_tracks(tracks, found, empty)
    people = gather(answers, same=0.9)
    groups = sorted(sorted(a.track.number for a in person.answers) for person in people)
    assert groups in ([[1], [2, 3], [4], [5]], [[1, 3], [2], [4], [5]])
    assert len(gather(answers, same=None)) == 5


def test_between_detections_a_box_moves_on_a_straight_line():
    sights = track(1, [0, 4]).sights
    boxes = boxes_between(sights, every=4)
    assert [boxes[n].x1 for n in range(5)] == [0, 1, 2, 3, 4]
    assert sorted(boxes_between(track(1, [0, 50]).sights, every=4)) == [0, 50]


def test_a_turned_head_counts_less():
    turned = replace(QUALITY, pose=Pose(60.0, 0.0, 0.0, "mesh"))
    assert weight_of(QUALITY) == pytest.approx(0.9)
    assert weight_of(turned) == pytest.approx(0.45)


def test_a_cut_is_another_distribution_of_colours():
    first, second = np.zeros((90, 160, 3), np.uint8), np.zeros((90, 160, 3), np.uint8)
    second[:, 40:] = 255
    assert difference(colours(first), colours(first)) == 0.0
    assert difference(colours(first), colours(second)) == pytest.approx(0.75, abs=0.01)
    assert difference(colours(first), colours(np.roll(first, 20, axis=1))) < CUT


@pytest.mark.parametrize("values", [{"best": 0}, {"look_s": -1.0}, {"lost_s": float("nan")}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(RangeError):
        FollowSettings(**values)
