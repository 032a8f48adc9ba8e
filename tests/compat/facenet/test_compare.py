from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vultus.compat.facenet.compare import compare
from vultus.errors import ImageFormatError, NoFaceError, RangeError, UnknownModelError


def test_the_layout_to_the_letter(photos: Path, plain, heard):
    paths = [photos / name for name in ("obama2.jpg", "rocket.jpg", "obama3.jpg", "wall.jpg")]
    done = compare("dlib-resnet-v1", paths, talk=heard.talk)
    kept = [paths[0], paths[2], paths[3]]
    vectors = [plain.embed(plain.detect(path)[0]).vector for path in kept]  # the first face
    d = [[float(np.linalg.norm(a - b)) for b in vectors] for a in vectors]
    assert np.allclose(done.distances, d, atol=1e-5)
    assert done.paths == kept
    assert heard.lines == [
        "Creating networks and loading parameters",
        f"can't detect face, remove  {paths[1]}",
        "Model filename: dlib-resnet-v1",
        "Images:",
        f"0: {kept[0]}",
        f"1: {kept[1]}",
        f"2: {kept[2]}",
        "",
        "Distance matrix",
        "        0         1         2     ",
        f"0    0.0000    {done.distances[0, 1]:.4f}    {done.distances[0, 2]:.4f}  ",
        f"1    {done.distances[1, 0]:.4f}    0.0000    {done.distances[1, 2]:.4f}  ",
        f"2    {done.distances[2, 0]:.4f}    {done.distances[2, 1]:.4f}    0.0000  ",
    ]


def test_one_picture_twice(photos: Path, heard):
    path = photos / "obama2.jpg"
    assert (compare("dlib-resnet-v1", [path, path], talk=heard.talk).distances == 0).all()


def test_nobody_at_all(photos: Path, heard):
    with pytest.raises(NoFaceError, match="at least one picture must show a face"):
        compare("dlib-resnet-v1", [photos / "rocket.jpg"], talk=heard.talk)


def test_bad_input(photos: Path, tmp_path: Path, heard):
    (tmp_path / "a.jpg").write_bytes(b"text")
    with pytest.raises(ImageFormatError):
        compare("dlib-resnet-v1", [tmp_path / "a.jpg"], talk=heard.talk)
    with pytest.raises(UnknownModelError):
        compare("20180402-114759", [photos / "obama2.jpg"], talk=heard.talk)
    with pytest.raises(RangeError, match="image_size"):
        compare("dlib-resnet-v1", [photos / "obama2.jpg"], image_size=0, talk=heard.talk)
