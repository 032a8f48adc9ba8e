"""The sample pictures are what PROVENANCE.md says, and can be rebuilt."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.samples import EXPECTED, known_dir, photos_dir
from vultus.sources import people_tree

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = known_dir().parent  # as installed
PACKAGES = os.environ.get("VULTUS_TEST_PACKAGES")
sys.path.insert(0, str(ROOT / "scripts"))

import make_samples  # noqa: E402

_ROW = re.compile(r"^\| `((?:known|photos)/[^`]+)` \| (\d+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)


def pictures() -> dict[str, bytes]:
    return {
        path.relative_to(SAMPLES).as_posix(): path.read_bytes()
        for folder in (known_dir(), photos_dir())
        for path in sorted(folder.iterdir())
    }


def test_provenance_lists_every_picture_with_its_digest() -> None:
    listed = {
        name: (int(size), digest)
        for name, size, digest in _ROW.findall((SAMPLES / "PROVENANCE.md").read_text("utf-8"))
    }
    there = {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in pictures().items()
    }
    assert listed == there
    assert len(there) == 7


def test_together_they_are_small() -> None:
    assert sum(map(len, pictures().values())) < 3_000_000


def test_known_people_and_photos() -> None:
    assert [(name, len(paths)) for name, paths in people_tree(known_dir())] == [
        ("Barack Obama", 1),
        ("Joe Biden", 1),
    ]
    assert sorted(EXPECTED) == [path.name for path in sorted(photos_dir().iterdir())]


def test_originals_are_those_of_the_packages() -> None:
    digests = {
        path.rsplit("/", 1)[-1]: digest
        for package in (make_samples.FACE_RECOGNITION, make_samples.SCIKIT_IMAGE)
        for path, digest in package.members.items()
    }
    shipped = pictures()
    assert {name: hashlib.sha256(shipped[name]).hexdigest() for name in make_samples.FILES} == {
        name: digests[member] for name, member in make_samples.FILES.items()
    }
    provenance = (SAMPLES / "PROVENANCE.md").read_text("utf-8")
    for package in (make_samples.FACE_RECOGNITION, make_samples.SCIKIT_IMAGE):
        assert package.sha256 in provenance
        assert package.file_name in provenance


def test_the_wall_is_painted_from_the_originals() -> None:
    shipped = pictures()
    members = {member: shipped[name] for name, member in make_samples.FILES.items()}
    painted, committed = (
        np.asarray(Image.open(io.BytesIO(data)), np.float32)
        for data in (make_samples.paint_wall(members), shipped["photos/wall.jpg"])
    )
    assert painted.shape == committed.shape == (980, 1500, 3)
    assert float(np.abs(painted - committed).mean()) <= 2.0


def test_check_tells_what_differs(tmp_path: Path) -> None:
    data = pictures()["photos/wall.jpg"]
    assert make_samples._verdict(tmp_path / "wall.jpg", data) == "missing"
    (tmp_path / "wall.jpg").write_bytes(data)
    assert make_samples._verdict(tmp_path / "wall.jpg", data) == "same"
    with Image.open(io.BytesIO(data)) as wall:
        wall.save(tmp_path / "wall.jpg", quality=95)
        assert make_samples._verdict(tmp_path / "wall.jpg", data).startswith("same picture")
        wall.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "wall.jpg")
    assert make_samples._verdict(tmp_path / "wall.jpg", data) == "differs"
    (tmp_path / "rocket.jpg").write_bytes(b"other")
    assert make_samples._verdict(tmp_path / "rocket.jpg", b"this") == "differs"


def test_without_packages_the_script_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_samples.main(["--packages", str(tmp_path), "--check"]) == 2
    assert "face_recognition-1.3.0.tar.gz must be there" in capsys.readouterr().err


@pytest.mark.skipif(PACKAGES is None, reason="VULTUS_TEST_PACKAGES names no folder")
def test_the_packages_hold_the_committed_pictures(tmp_path: Path) -> None:
    assert PACKAGES is not None
    assert make_samples.main(["--packages", PACKAGES, "--check"]) == 0
    assert make_samples.main(["--packages", PACKAGES, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "known" / "Joe Biden.jpg").read_bytes() == pictures()["known/Joe Biden.jpg"]
