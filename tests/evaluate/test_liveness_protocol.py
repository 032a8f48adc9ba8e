from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.detect import Detector
from vultus.errors import DataFileError, InsufficientDataError
from vultus.evaluate.metrics.bootstrap import Resampling
from vultus.evaluate.protocols.liveness import evaluate_liveness, read_folders, read_nuaa
from vultus.types import Box, Face, Frame


def picture(path: Path, grey: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (grey, grey, grey)).save(path)
    return path


class Everywhere:
    """A face on every picture that is not black; the largest one is the second."""

    name = "everywhere"

    def detect(self, frame: Frame) -> list[Face]:
        if not frame.image.any():
            return []
        return [Face(Box(0, 0, 2 + i, 2 + i), 0.9, None, frame) for i in (0, 8)]


class Brightness:
    """Bright faces are alive."""

    name = "brightness"

    def scores(self, faces: Sequence[Face]) -> np.ndarray:
        assert all(face.box.x2 == 10 for face in faces)  # the largest
        return np.array([face.frame.image.mean() / 255 for face in faces])


@pytest.fixture
def detector() -> Detector:
    found: Detector = Everywhere()  # type: ignore[assignment]
    return found


class TestNuaa:
    def test_lists(self, tmp_path: Path):
        (tmp_path / "client_test_raw.txt").write_text("0001\\0001_a.jpg\r\n\r\n")
        (tmp_path / "imposter_test_raw.txt").write_text("0002\\0002_b.jpg\n")
        live, attack = read_nuaa(tmp_path, "test")
        assert live.picture == tmp_path / "ClientRaw" / "0001" / "0001_a.jpg"
        assert (live.person, live.species) == ("0001", None)
        assert attack.picture == tmp_path / "ImposterRaw" / "0002" / "0002_b.jpg"
        assert (attack.person, attack.species) == ("0002", "print")

    @pytest.mark.parametrize("line", ["0001", "..\\x.jpg", "a\\b\\c.jpg"])
    def test_bad_lines(self, tmp_path: Path, line: str):
        (tmp_path / "client_train_raw.txt").write_text(f"0001\\ok.jpg\n{line}\n")
        with pytest.raises(DataFileError, match=r"client_train_raw\.txt:2 must be PERSON"):
            read_nuaa(tmp_path, "train")

    def test_no_list(self, tmp_path: Path):
        with pytest.raises(DataFileError, match="cannot be read"):
            read_nuaa(tmp_path, "train")

    def test_the_published_lists(self, shared_data: Path):
        found = read_nuaa(shared_data / "nuaa", "train")
        assert sum(one.species is None for one in found) == 220
        assert sum(one.species == "print" for one in found) == 220
        assert all(one.picture.is_file() for one in found)


class TestFolders:
    def test_species_and_people(self, tmp_path: Path):
        for name in ("real/ann/1.png", "real/2.png", "attack/print/ann/3.png"):
            picture(tmp_path / name, 9)
        picture(tmp_path / "attack/screen/4.png", 9)
        picture(tmp_path / "attack/5.png", 9)
        found = read_folders(tmp_path / "real", tmp_path / "attack")
        told = {(one.picture.name, one.person, one.species) for one in found}
        assert told == {
            ("1.png", "ann", None),
            ("2.png", "2", None),
            ("3.png", "ann", "print"),
            ("4.png", "4", "screen"),
            ("5.png", "5", "attack"),
        }

    def test_folders_called_like_people_are_people(self, tmp_path: Path):
        for name in ("real/ann/1.png", "attack/ann/2.png", "attack/bob/3.png"):
            picture(tmp_path / name, 9)
        found = read_folders(tmp_path / "real", tmp_path / "attack")
        assert [(one.person, one.species) for one in found] == [
            ("ann", None),
            ("ann", "attack"),
            ("bob", "attack"),
        ]

    def test_an_empty_one(self, tmp_path: Path):
        picture(tmp_path / "real/1.png", 9)
        (tmp_path / "attack").mkdir()
        with pytest.raises(InsufficientDataError, match="holds no pictures"):
            read_folders(tmp_path / "real", tmp_path / "attack")


def test_pictures_without_a_verdict_are_counted_apart(tmp_path: Path, detector: Detector):
    for name, grey in (("real/1.png", 250), ("real/2.png", 200), ("real/3.png", 0)):
        picture(tmp_path / name, grey)
    for name, grey in (("attack/4.png", 20), ("attack/5.png", 230)):
        picture(tmp_path / name, grey)
    (tmp_path / "attack" / "6.png").write_bytes(b"no picture")
    steps: list[tuple[int, int]] = []
    found = evaluate_liveness(
        read_folders(tmp_path / "real", tmp_path / "attack"),
        detector,
        Brightness(),
        0.5,
        how=Resampling(rounds=20),
        progress=lambda *at: steps.append(at),
    )
    assert steps[-1] == (6, 6)
    assert (found.report.n_real, found.report.n_attack) == (2, 2)
    assert (found.report.apcer.value, found.report.bpcer.value) == (0.5, 0.0)
    assert [(Path(path).name, why) for path, why in found.no_face] == [
        ("3.png", "no-face"),
        ("6.png", "image-format"),
    ]
    assert [(Path(path).name, truth) for path, truth, _ in found.wrong] == [("5.png", "attack")]
    assert found.wrong[0][2] == pytest.approx(230 / 255)
    assert found.to_dict()["model"] == "brightness"
    np.testing.assert_allclose(sorted(found.attack_scores["attack"]), [20 / 255, 230 / 255])


def test_nothing_to_measure(tmp_path: Path, detector: Detector):
    picture(tmp_path / "real/1.png", 0)
    picture(tmp_path / "attack/2.png", 9)
    with pytest.raises(InsufficientDataError, match="living faces, there are none"):
        evaluate_liveness(
            read_folders(tmp_path / "real", tmp_path / "attack"), detector, Brightness(), 0.5
        )
