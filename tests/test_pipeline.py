from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from vultus import load, load_image
from vultus.decide import DEFAULT_POLICY, Cohort, Normaliser, shipped_cohort
from vultus.embed import MockEmbedder
from vultus.encode import AlignedEmbedder
from vultus.errors import (
    CardError,
    DegenerateLandmarksError,
    DtypeError,
    DuplicateSampleError,
    GalleryError,
    GalleryFileError,
    ImageDamagedError,
    ImageNotFoundError,
    ImageTooLargeError,
    InsufficientDataError,
    ModelMissingError,
    NoFaceError,
    RangeError,
    SeveralFacesError,
    ShapeError,
    SpaceMismatchError,
    UnknownModelError,
    UnknownPersonError,
)
from vultus.gallery import MemoryGallery, open_gallery
from vultus.models import Store
from vultus.pipeline import Recognizer
from vultus.sources import Limits
from vultus.types import Box, Embedding, EmbeddingSpace, Face, Frame, Landmarks, Threshold

FIVE = [[1.0, 2.0], [3.0, 2.0], [2.0, 3.0], [1.0, 4.0], [3.0, 4.0]]


@pytest.fixture(scope="module")
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture(scope="module")
def known(samples: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((samples / "known").iterdir())}


@pytest.fixture(scope="module")
def people(recognizer: Recognizer, known: dict[str, Path]) -> MemoryGallery:
    gallery = MemoryGallery()
    for name, path in known.items():
        recognizer.enroll(gallery, name, path)
    return gallery


@pytest.fixture(scope="module")
def lone(recognizer: Recognizer) -> Recognizer:
    """Without the mirror image, on one thread."""
    return load(mirror=False, threshold=0.93, threads=1)


class TestDetect:
    def test_people_and_none(self, recognizer: Recognizer, photos: Path):
        assert len(recognizer.detect(photos / "wall.jpg")) == 3
        assert recognizer.detect(photos / "rocket.jpg") == []

    def test_largest(self, recognizer: Recognizer, photos: Path):
        every = recognizer.detect(photos / "wall.jpg")
        (largest,) = recognizer.detect(photos / "wall.jpg", largest=True)
        assert largest.box == max(every, key=lambda face: face.box.area_px).box
        assert largest.box != every[0].box  # the best score is another's
        assert recognizer.detect(photos / "rocket.jpg", largest=True) == []

    def test_any_turn(self, recognizer: Recognizer, photos: Path):
        lying = np.rot90(load_image(photos / "astronaut.png")[:400])
        (face,) = recognizer.detect(lying, any_turn=True)
        left, right = face.landmarks.points[:2]
        assert left[1] - right[1] > 30  # the face looks upwards from the left edge

    def test_source_is_kept(self, recognizer: Recognizer, photos: Path):
        (face,) = recognizer.detect(photos / "astronaut.png")
        assert face.frame.source == str(photos / "astronaut.png")


@pytest.fixture(scope="module")
def png(photos: Path) -> bytes:
    return (photos / "astronaut.png").read_bytes()


@pytest.fixture(scope="module")
def pixels(photos: Path) -> np.ndarray:
    return load_image(photos / "astronaut.png")


@pytest.fixture(scope="module")
def box(recognizer: Recognizer, pixels: np.ndarray) -> Box:
    return recognizer.detect(pixels)[0].box


class TestEverySource:
    """One picture, however it comes."""

    @pytest.mark.parametrize(
        "make",
        [
            lambda png, pixels, path: str(path),
            lambda png, pixels, path: path,
            lambda png, pixels, path: png,
            lambda png, pixels, path: bytearray(png),
            lambda png, pixels, path: memoryview(png),
            lambda png, pixels, path: "data:image/png;base64," + base64.b64encode(png).decode(),
            lambda png, pixels, path: io.BytesIO(png),
            lambda png, pixels, path: pixels,
            lambda png, pixels, path: np.asfortranarray(pixels),
            lambda png, pixels, path: np.dstack([pixels, np.full(pixels.shape[:2], 255, "uint8")]),
            lambda png, pixels, path: PilImage.fromarray(pixels),
            lambda png, pixels, path: Frame(pixels),
        ],
        ids=["str", "path", "bytes", "bytearray", "memoryview", "data-uri", "stream", "array",
             "fortran", "rgba", "pillow", "frame"],
    )  # fmt: skip
    def test_same_face(self, recognizer: Recognizer, photos: Path, png, pixels, box, make):
        source = make(png, pixels, photos / "astronaut.png")
        (face,) = recognizer.detect(source)
        assert face.box == box

    def test_open_file(self, recognizer: Recognizer, photos: Path, box: Box):
        with (photos / "astronaut.png").open("rb") as file:
            (face,) = recognizer.detect(file)
        assert face.box == box

    def test_grey(self, recognizer: Recognizer, pixels: np.ndarray, box: Box):
        (face,) = recognizer.detect(pixels.mean(axis=2).astype(np.uint8))
        assert face.box.iou(box) > 0.8

    @pytest.mark.parametrize("method", ["detect", "verify", "enroll", "identify"])
    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            (np.zeros((5, 5, 3)), DtypeError),
            (np.zeros((5, 5, 2), np.uint8), ShapeError),
            (np.zeros((2, 5, 5, 3), np.uint8), ShapeError),
            (np.zeros((0, 5, 3), np.uint8), ShapeError),
            (None, DtypeError),
            (7, DtypeError),
            ("missing.jpg", ImageNotFoundError),
        ],
        ids=["float", "channels", "batch", "empty", "none", "number", "missing"],
    )
    def test_bad_input(self, recognizer: Recognizer, people: MemoryGallery, method, bad, error):
        call: dict[str, Callable[[], object]] = {
            "detect": lambda: recognizer.detect(bad),
            "verify": lambda: recognizer.verify(bad, bad),
            "enroll": lambda: recognizer.enroll(people, "X", bad),
            "identify": lambda: recognizer.identify(people, bad),
        }
        with pytest.raises(error):
            call[method]()
        assert "X" not in people

    def test_limits(self, photos: Path):
        v = load(limits=Limits(max_pixels=1000))
        with pytest.raises(ImageTooLargeError):
            v.detect(photos / "astronaut.png")

    def test_cut_short(self, recognizer: Recognizer, photos: Path):
        data = (photos / "obama2.jpg").read_bytes()
        with pytest.raises(ImageDamagedError):
            recognizer.detect(data[: len(data) // 2])


class TestEmbed:
    def test_one_and_several(self, recognizer: Recognizer, photos: Path):
        faces = recognizer.detect(photos / "wall.jpg")
        several = recognizer.embed(faces)
        assert len(several) == 3
        for face, embedding in zip(faces, several, strict=True):
            one = recognizer.embed(face)
            assert isinstance(one, Embedding)
            np.testing.assert_allclose(one.vector, embedding.vector, atol=2e-6)

    def test_none(self, recognizer: Recognizer):
        assert recognizer.embed([]) == []

    def test_tuple(self, recognizer: Recognizer, photos: Path):
        faces = recognizer.detect(photos / "astronaut.png")
        assert len(recognizer.embed(tuple(faces))) == 1

    def test_landmarks_that_coincide(self, recognizer: Recognizer, photos: Path):
        (face,) = recognizer.detect(photos / "astronaut.png")
        flat = Face(face.box, 0.9, Landmarks(np.full((5, 2), 9.0)), face.frame)
        with pytest.raises(DegenerateLandmarksError):
            recognizer.embed(flat)


class TestVerify:
    def test_same_person(self, recognizer: Recognizer, photos: Path):
        decision = recognizer.verify(photos / "obama2.jpg", photos / "obama3.jpg")
        assert decision.same is True
        assert decision.similarity > 0.94
        assert decision.threshold == recognizer.threshold
        assert decision.threshold.policy == DEFAULT_POLICY

    def test_different_people(self, recognizer: Recognizer, photos: Path, known):
        for name in known:
            decision = recognizer.verify(photos / "astronaut.png", known[name])
            assert decision.same is False
            assert decision.similarity < 0.9

    def test_the_same_picture(self, recognizer: Recognizer, photos: Path):
        decision = recognizer.verify(photos / "astronaut.png", photos / "astronaut.png")
        assert decision.similarity == pytest.approx(1.0, abs=1e-6)

    def test_order_does_not_matter(self, recognizer: Recognizer, photos: Path):
        a, b = photos / "obama2.jpg", photos / "astronaut.png"
        one, other = recognizer.verify(a, b).similarity, recognizer.verify(b, a).similarity
        assert one == pytest.approx(other, abs=1e-6)

    def test_the_largest_face_counts(self, recognizer: Recognizer, photos: Path, known):
        decision = recognizer.verify(photos / "wall.jpg", known["Barack Obama"])
        assert decision.same is True

    def test_faces_may_be_given(self, recognizer: Recognizer, photos: Path, known):
        faces = recognizer.detect(photos / "wall.jpg")
        found = [recognizer.verify(face, known["Joe Biden"]).same for face in faces]
        assert found == [True, False, False]

    @pytest.mark.parametrize("order", [1, -1])
    def test_no_face(self, recognizer: Recognizer, photos: Path, order):
        pair = [photos / "obama2.jpg", photos / "rocket.jpg"][::order]
        with pytest.raises(NoFaceError) as caught:
            recognizer.verify(*pair)
        rocket = str(photos / "rocket.jpg")
        assert caught.value.message == f"{rocket} must show a face, none was found"
        assert caught.value.fields["path"] == rocket

    def test_no_face_in_an_array(self, recognizer: Recognizer):
        with pytest.raises(NoFaceError, match="the picture must show a face"):
            recognizer.verify(np.zeros((90, 90, 3), np.uint8), np.zeros((90, 90, 3), np.uint8))


class TestEnroll:
    def test_numbers_count_up(self, recognizer: Recognizer, photos: Path):
        with MemoryGallery() as gallery:
            first = recognizer.enroll(gallery, "Obama", [photos / "obama2.jpg"])
            second = recognizer.enroll(gallery, "Obama", (photos / "obama3.jpg",))
            third = recognizer.enroll(gallery, "Eileen", photos / "astronaut.png")
            assert [*first, *second, *third] == [1, 2, 3]
            assert [(p.name, p.samples) for p in gallery.people()] == [("Eileen", 1), ("Obama", 2)]
            assert gallery.space == recognizer.embedder.space

    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            ("rocket.jpg", NoFaceError),
            ("wall.jpg", SeveralFacesError),
            ("missing.jpg", ImageNotFoundError),
            ("obama2.jpg", DuplicateSampleError),
        ],
    )
    def test_all_or_nothing(self, recognizer: Recognizer, photos: Path, bad, error):
        with MemoryGallery() as gallery:
            with pytest.raises(error):
                recognizer.enroll(
                    gallery, "Obama", [photos / "obama2.jpg", photos / "obama3.jpg", photos / bad]
                )
            assert len(gallery) == 0

    def test_several_faces_are_refused_with_their_number(self, recognizer, photos: Path):
        with MemoryGallery() as gallery, pytest.raises(SeveralFacesError) as caught:
            recognizer.enroll(gallery, "X", photos / "wall.jpg")
        assert caught.value.message.endswith("wall.jpg must show one face, 3 were found")
        assert caught.value.fields["actual"] == 3

    def test_the_largest_on_purpose(self, recognizer: Recognizer, photos: Path, known):
        with MemoryGallery() as gallery:
            recognizer.enroll(gallery, "Obama", photos / "wall.jpg", largest=True)
            assert recognizer.verify_claim(gallery, "Obama", known["Barack Obama"]).same

    def test_a_face(self, recognizer: Recognizer, photos: Path):
        face = recognizer.detect(photos / "wall.jpg")[0]
        with MemoryGallery() as gallery:
            assert recognizer.enroll(gallery, "Joe", face) == [1]

    def test_one_picture_under_two_names_is_two_samples(self, recognizer, photos: Path):
        with MemoryGallery() as gallery:
            assert recognizer.enroll(gallery, "A", photos / "obama2.jpg") == [1]
            assert recognizer.enroll(gallery, "B", photos / "obama2.jpg") == [2]

    def test_the_same_pixels_under_another_file_name(self, recognizer, photos: Path):
        pixels = load_image(photos / "astronaut.png")
        with MemoryGallery() as gallery:
            recognizer.enroll(gallery, "A", photos / "astronaut.png")
            with pytest.raises(DuplicateSampleError):
                recognizer.enroll(gallery, "A", pixels)

    @pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 300, "\u202eevil"])
    def test_bad_name(self, recognizer: Recognizer, photos: Path, name):
        with MemoryGallery() as gallery:
            with pytest.raises(RangeError, match="a name must"):
                recognizer.enroll(gallery, name, photos / "astronaut.png")
            assert len(gallery) == 0

    def test_no_pictures(self, recognizer: Recognizer):
        with MemoryGallery() as gallery:
            assert recognizer.enroll(gallery, "Nobody", []) == []

    def test_by_path(self, recognizer: Recognizer, photos: Path, tmp_path: Path):
        path = tmp_path / "family.vultus"
        assert recognizer.enroll(path, "Eileen", photos / "astronaut.png") == [1]
        assert recognizer.enroll(str(path), "Obama", photos / "obama2.jpg") == [2]
        with pytest.raises(NoFaceError):
            recognizer.enroll(path, "Obama", [photos / "obama3.jpg", photos / "rocket.jpg"])
        with open_gallery(path, create=False) as gallery:
            assert [(p.name, p.samples) for p in gallery.people()] == [("Eileen", 1), ("Obama", 1)]

    def test_a_path_that_is_no_gallery(self, recognizer: Recognizer, photos: Path, tmp_path: Path):
        with pytest.raises(GalleryFileError, match="must end in"):
            recognizer.enroll(tmp_path / "family.jpg", "A", photos / "astronaut.png")
        (tmp_path / "text.db").write_text("no database at all " * 100)
        with pytest.raises(GalleryFileError):
            recognizer.enroll(tmp_path / "text.db", "A", photos / "astronaut.png")


class TestIdentify:
    def test_who_is_there(self, recognizer: Recognizer, people: MemoryGallery, photos: Path):
        from vultus.samples import EXPECTED

        for file, names in EXPECTED.items():
            found = recognizer.identify(people, photos / file)
            found.sort(key=lambda one: one.face.box.x1)
            assert tuple(one.name for one in found) == names, file

    def test_one_answer_in_full(self, recognizer: Recognizer, people, photos: Path):
        (found,) = recognizer.identify(people, photos / "obama2.jpg")
        assert found.name == "Barack Obama"
        assert found.decision is not None
        assert found.decision.same is True
        assert found.decision.similarity == found.matches[0].similarity > 0.95
        assert [(m.name, m.sample) for m in found.matches] == [
            ("Barack Obama", 1),
            ("Joe Biden", 2),
        ]
        assert found.matches[1].similarity < 0.9

    def test_a_stranger_keeps_the_nearest_people(self, recognizer, people, photos: Path):
        (found,) = recognizer.identify(people, photos / "astronaut.png")
        assert found.name is None
        assert found.decision is not None
        assert found.decision.same is False
        assert len(found.matches) == 2

    def test_k(self, recognizer: Recognizer, people, photos: Path):
        (found,) = recognizer.identify(people, photos / "obama2.jpg", k=1)
        assert [m.name for m in found.matches] == ["Barack Obama"]
        with pytest.raises(RangeError, match="k must be at least 1, got 0"):
            recognizer.identify(people, photos / "obama2.jpg", k=0)

    def test_faces_may_be_given(self, recognizer: Recognizer, people, photos: Path):
        faces = recognizer.detect(photos / "wall.jpg")
        found = recognizer.identify(people, faces[:2])
        assert [one.name for one in found] == ["Joe Biden", "Barack Obama"]
        assert [one.face for one in found] == faces[:2]
        assert recognizer.identify(people, []) == []

    def test_any_turn(self, recognizer: Recognizer, people, photos: Path):
        lying = np.rot90(load_image(photos / "obama2.jpg"), 2)
        (found,) = recognizer.identify(people, lying, any_turn=True)
        assert found.name == "Barack Obama"

    def test_nobody_is_enrolled(self, recognizer: Recognizer, photos: Path):
        with MemoryGallery() as gallery:
            (found,) = recognizer.identify(gallery, photos / "obama2.jpg")
        assert found.name is None
        assert found.decision is None
        assert found.matches == ()

    def test_by_path(self, recognizer: Recognizer, photos: Path, known, tmp_path: Path):
        path = tmp_path / "family.db"
        for name, picture in known.items():
            recognizer.enroll(path, name, picture)
        (found,) = recognizer.identify(path, photos / "obama3.jpg")
        assert found.name == "Barack Obama"

    def test_a_missing_gallery_is_not_made(self, recognizer: Recognizer, photos: Path, tmp_path):
        with pytest.raises(GalleryFileError, match="does not exist"):
            recognizer.identify(tmp_path / "none.db", photos / "obama3.jpg")
        assert list(tmp_path.iterdir()) == []


class TestVerifyClaim:
    def test_true_and_false(self, recognizer: Recognizer, people, photos: Path):
        assert recognizer.verify_claim(people, "Barack Obama", photos / "obama2.jpg").same is True
        claim = recognizer.verify_claim(people, " Joe Biden ", photos / "obama2.jpg")
        assert claim.same is False
        assert claim.similarity < 0.9

    def test_the_best_sample_counts(self, recognizer: Recognizer, photos: Path):
        with MemoryGallery() as gallery:
            recognizer.enroll(gallery, "Two", photos / "astronaut.png")
            recognizer.enroll(gallery, "Two", photos / "obama2.jpg")
            assert recognizer.verify_claim(gallery, "Two", photos / "obama3.jpg").same is True

    def test_composed_and_decomposed_names_are_one(self, recognizer, photos: Path):
        with MemoryGallery() as gallery:
            recognizer.enroll(gallery, "Ren\u00e9", photos / "astronaut.png")
            decision = recognizer.verify_claim(gallery, "Rene\u0301", photos / "astronaut.png")
        assert decision.same is True

    @pytest.mark.parametrize(
        ("name", "remedy"),
        [
            ("Barak Obama", "did you mean 'Barack Obama'?"),
            ("joe biden", "did you mean 'Joe Biden'?"),
            ("", "list the people first"),
            ("a\nb", "list the people first"),
        ],
    )
    def test_unknown(self, recognizer: Recognizer, people, photos: Path, name, remedy):
        with pytest.raises(UnknownPersonError) as caught:
            recognizer.verify_claim(people, name, photos / "obama2.jpg")
        assert caught.value.message == f"nobody in this gallery is called {name!r}"
        assert caught.value.remedy == remedy

    def test_unknown_where_nobody_is_enrolled(self, recognizer: Recognizer, photos: Path):
        with MemoryGallery() as gallery, pytest.raises(UnknownPersonError):
            recognizer.verify_claim(gallery, "Joe Biden", photos / "obama2.jpg")

    def test_no_face(self, recognizer: Recognizer, people, photos: Path):
        with pytest.raises(NoFaceError):
            recognizer.verify_claim(people, "Joe Biden", photos / "rocket.jpg")


class TestSpaces:
    def test_galleries_are_not_mixed(self, recognizer, lone, people, photos: Path):
        with pytest.raises(SpaceMismatchError) as caught:
            lone.identify(people, photos / "obama2.jpg")
        assert caught.value.fields == {
            "expected": recognizer.embedder.space.id,
            "actual": lone.embedder.space.id,
        }
        with pytest.raises(SpaceMismatchError):
            lone.enroll(people, "X", photos / "obama2.jpg")
        with pytest.raises(SpaceMismatchError):
            lone.verify_claim(people, "Joe Biden", photos / "obama2.jpg")
        assert "X" not in people

    def test_on_disk(self, recognizer, lone, photos: Path, tmp_path: Path):
        path = tmp_path / "family.db"
        recognizer.enroll(path, "A", photos / "obama2.jpg")
        with pytest.raises(SpaceMismatchError):
            lone.enroll(path, "A", photos / "obama3.jpg")

    def test_without_the_mirror_there_is_a_decision_too(self, lone, photos: Path):
        assert lone.verify(photos / "obama2.jpg", photos / "obama3.jpg").similarity > 0.93
        assert lone.verify(photos / "obama2.jpg", photos / "astronaut.png").same is False


class TestLoad:
    def test_unknown_model_with_a_suggestion(self):
        with pytest.raises(UnknownModelError) as caught:
            load(embedder="dlib-resnet")
        assert "did you mean dlib-resnet-v1" in caught.value.remedy
        assert "dlib-resnet-v1" in caught.value.fields["suggestions"]
        with pytest.raises(UnknownModelError, match="no model is called 'mtcn'"):
            load(detector="mtcn")

    def test_kinds_are_not_mixed_up(self):
        with pytest.raises(CardError) as caught:
            load(embedder="mtcnn")
        assert caught.value.message == (
            "'mtcnn' must be a model of kind embedder, it is of kind detector"
        )
        assert "--kind embedder" in caught.value.remedy
        with pytest.raises(CardError, match="must be a model of kind detector"):
            load(detector="dlib-resnet-v1")

    def test_a_detector_whose_weight_is_absent(self, tmp_path: Path):
        found = load(detector="yunet", store=Store(tmp_path))
        with pytest.raises(ModelMissingError, match="yunet"):
            found.detect(np.zeros((64, 64, 3), np.uint8))

    def test_alias(self):
        assert load(embedder="dlib").embedder.space.model == "dlib-resnet-v1"

    @pytest.mark.parametrize(
        "options",
        [{"min_face_px": 5}, {"min_face_px": float("nan")}, {"threads": 0}, {"threads": -1}],
    )
    def test_out_of_range(self, options: dict[str, Any]):
        with pytest.raises(RangeError):
            load(**options)

    def test_an_unknown_threshold_is_told_at_once(self):
        with pytest.raises(CardError, match=r"no threshold 'strict' was measured"):
            load(threshold="strict")
        with pytest.raises(InsufficientDataError, match=r"takes 30,000,000,000 impostor"):
            load(threshold="fmr=1e-9")
        with pytest.raises(RangeError):
            load(threshold=3.0)
        assert load(threshold=np.float32(0.5)).threshold.value == 0.5

    def test_memory_by_name_is_refused(self, samples: Path, recognizer: Recognizer):
        with pytest.raises(GalleryError, match="would be gone"):
            recognizer.enroll(":memory:", "Joe", samples / "known" / "Joe Biden.jpg")

    def test_threads(self, photos: Path, recognizer: Recognizer):
        v = load(threads=2)
        decision = v.verify(photos / "obama2.jpg", photos / "obama3.jpg")
        expected = recognizer.verify(photos / "obama2.jpg", photos / "obama3.jpg")
        assert decision.similarity == pytest.approx(expected.similarity, abs=1e-5)


def test_four_threads_share_one_recogniser(lone: Recognizer, photos: Path, known):
    names = ["wall.jpg", "obama2.jpg", "astronaut.png", "rocket.jpg"]
    with MemoryGallery() as gallery:
        for name, path in known.items():
            lone.enroll(gallery, name, path)

        def answers(file: str) -> list[tuple[object, ...]]:
            return [
                (one.face.box, one.name, one.matches)
                for one in lone.identify(gallery, photos / file)
            ]

        expected = {file: answers(file) for file in names}
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(answers, names * 3))
    assert found == [expected[file] for file in names * 3]


class Parts:
    """A recogniser of stubs that counts what is made."""

    def __init__(self, faces: list[tuple[Box, float]]) -> None:
        self.faces = faces
        self.made: list[str] = []
        self.embedder = MockEmbedder(8)

    @property
    def name(self) -> str:
        return "stub"

    @property
    def size_px(self) -> int:
        return 4

    def detect(self, frame: Frame) -> list[Face]:
        return [Face(box, score, Landmarks(FIVE), frame) for box, score in self.faces]

    def align(self, faces: list[Face]) -> list[np.ndarray]:
        return [np.ascontiguousarray(face.frame.image[: int(face.box.height_px)]) for face in faces]

    def recognizer(self, value: float = 0.5) -> Recognizer:
        def made(name: str, part: Any) -> Callable[[], Any]:
            def make() -> Any:
                self.made.append(name)
                return part

            return make

        threshold = Threshold(value, "user", "test", None, None, "mock")
        return Recognizer(
            made("detector", self),
            made("embedder", AlignedEmbedder(self, self.embedder)),
            made("threshold", threshold),
        )


class TestParts:
    def test_are_made_at_first_use_and_once(self):
        parts = Parts([(Box(0, 0, 4, 4), 0.9)])
        v = parts.recognizer()
        assert parts.made == []
        image = np.zeros((9, 9, 3), np.uint8)
        v.detect(image)
        v.detect(image)
        assert parts.made == ["detector"]
        v.embed(v.detect(image))
        assert sorted(parts.made) == ["detector", "embedder"]
        v.verify(image, image)
        v.verify(image, image)
        assert sorted(parts.made) == ["detector", "embedder", "threshold"]

    def test_are_made_once_by_many_threads(self):
        parts = Parts([])
        v = parts.recognizer()
        start = threading.Barrier(8)

        def work(_: int) -> object:
            start.wait()
            return v.detector

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))
        assert set(map(id, found)) == {id(parts)}
        assert parts.made == ["detector"]

    def test_a_part_that_cannot_be_made_is_tried_again(self):
        tries: list[int] = []

        def make() -> Any:
            tries.append(1)
            if len(tries) == 1:
                raise ImageNotFoundError("not yet")
            return Parts([])

        v = Recognizer(make, make, make, make)
        with pytest.raises(ImageNotFoundError):
            _ = v.detector
        assert v.detector.name == "stub"

    def test_largest_is_by_area(self):
        wide, tall = (Box(0, 0, 8, 2), 0.9), (Box(0, 0, 3, 6), 0.8)
        v = Parts([wide, tall]).recognizer()
        (face,) = v.detect(np.zeros((9, 9, 3), np.uint8), largest=True)
        assert face.box == tall[0]

    def test_reaching_the_threshold_names_the_person(self):
        image = np.arange(9 * 9 * 3, dtype=np.uint8).reshape(9, 9, 3)
        parts = Parts([(Box(0, 0, 4, 4), 0.9), (Box(0, 0, 4, 5), 0.8)])
        with MemoryGallery() as gallery:
            v = parts.recognizer(value=0.9)
            v.enroll(gallery, "Ann", v.detect(image)[0])
            first, second = v.identify(gallery, image)
        assert (first.name, second.name) == ("Ann", None)
        assert second.decision is not None
        assert second.decision.similarity == second.matches[0].similarity < 0.9

    def test_space_of_the_gallery(self):
        with MemoryGallery(EmbeddingSpace("other", "1" * 64, 8, "none")) as gallery:
            v = Parts([(Box(0, 0, 4, 4), 0.9)]).recognizer()
            with pytest.raises(SpaceMismatchError):
                v.enroll(gallery, "Ann", np.zeros((9, 9, 3), np.uint8))


@pytest.fixture(scope="module")
def normalising() -> Recognizer:
    return load(normalise=True, threshold="fmr=1e-3")


class TestNormalise:
    def test_decisions_are_on_normalised_similarities(
        self, normalising: Recognizer, photos: Path, known: dict[str, Path]
    ):
        obama, biden = known["Barack Obama"], known["Joe Biden"]
        one, other = normalising.embed(
            [normalising.detect(path, largest=True)[0] for path in (obama, biden)]
        )
        cohort = shipped_cohort(one.space)
        assert cohort is not None
        expected = Normaliser(cohort).similarities(
            np.array([[one.similarity(other)]]), one.vector[None], other.vector[None]
        )
        decision = normalising.verify(obama, biden)
        assert decision.similarity == pytest.approx(float(expected[0, 0]), abs=1e-6)
        assert not decision.same
        assert decision.threshold.source.endswith("normalised by strangers mixed of the other half")
        assert normalising.verify(obama, photos / "obama3.jpg").same

    def test_identify_and_claims(
        self, normalising: Recognizer, people: MemoryGallery, photos: Path
    ):
        faces = normalising.identify(people, photos / "wall.jpg")
        names = [f.name for f in sorted(faces, key=lambda found: found.face.box.x1)]
        assert names == ["Joe Biden", None, "Barack Obama"]
        for found in faces:
            values = [match.similarity for match in found.matches]
            assert values == sorted(values, reverse=True)
            assert found.decision is not None
            assert found.decision.similarity == values[0]
        claim = normalising.verify_claim(people, "Barack Obama", photos / "obama2.jpg")
        (same,) = normalising.identify(people, photos / "obama2.jpg")
        assert same.decision is not None
        assert claim.similarity == pytest.approx(same.decision.similarity, abs=1e-6)

    def test_without_strangers(self):
        with pytest.raises(CardError, match="no strangers to normalise with ship"):
            load(embedder="dlib-mobilefacenet", normalise=True)

    def test_strangers_of_ones_own(self, photos: Path):
        cohort = shipped_cohort(load().embedder.space)
        assert cohort is not None
        v = load(normalise=Cohort(cohort.vectors[:50]), threshold=0.9)
        assert v.verify(photos / "obama2.jpg", photos / "obama3.jpg").same
