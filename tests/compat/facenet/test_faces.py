from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus import Box, Frame, load_frame
from vultus.compat.facenet.faces import detector, face_of_crop, margin_crop, mirrored, write_png
from vultus.errors import ImageFormatError, OutputError
from vultus.evaluate.embeddings import central_face


def ramp(width: int, height: int) -> Frame:
    """A picture whose red is the column and whose green is the row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    return Frame(image)


class TestMarginCrop:
    def test_half_the_margin_on_each_side(self):
        crop = margin_crop(ramp(200, 100), Box(50.9, 40.2, 90.7, 60.9), 64, 20)
        assert crop is not None
        assert crop.box == (40, 30, 100, 70)  # 40.9, 30.2, 100.7 and 70.9, cut to whole pixels

    def test_clipped_to_the_picture(self):
        crop = margin_crop(ramp(200, 100), Box(-5, 3, 199, 99.5), 10, 44)
        assert crop is not None
        assert crop.box == (0, 0, 200, 100)

    def test_pixels_without_scaling(self):
        crop = margin_crop(ramp(200, 100), Box(20, 10, 60, 50), 40, 0)
        assert crop is not None
        assert (crop.image == ramp(200, 100).image[10:50, 20:60]).all()

    def test_aspect_ratio_is_not_kept(self):
        crop = margin_crop(ramp(200, 100), Box(0, 0, 80, 40), 40, 0)
        assert crop is not None
        columns = crop.image[20, :, 0].astype(int)
        # Of two columns each: the mean of columns 0 and 1 first (and 0.25 of the third) …
        assert columns[20] == pytest.approx(2 * 20 + 0.5, abs=1)
        assert crop.image[:, 20, 1].tolist() == list(range(40))

    def test_nothing_of_the_box_in_the_picture(self):
        assert margin_crop(ramp(50, 50), Box(60, 10, 80, 30), 32, 8) is None


class TestFaceOfCrop:
    def test_the_face_that_is_found(self, photos: Path):
        face, found = face_of_crop(detector(), photos / "obama2.jpg")
        assert found
        assert face.score > 0.99

    def test_where_crops_have_it(self, tmp_path: Path):
        Image.new("RGB", (100, 200), "grey").save(tmp_path / "a.png")
        face, found = face_of_crop(detector(), tmp_path / "a.png")
        assert not found
        left, right, nose, *mouth = (face.points / (100, 200)).tolist()
        assert left[0] + right[0] == pytest.approx(1, abs=0.03)  # upright, in the middle
        assert left[1] == pytest.approx(right[1], abs=0.01)
        assert nose[0] == pytest.approx(0.5, abs=0.02)
        assert left[1] < nose[1] < mouth[0][1]

    def test_that_place_is_where_it_was_measured(self, shared_data: Path, tmp_path: Path):
        """The points that are found in crops of LFW lie about the assumed ones."""
        Image.new("RGB", (182, 182)).save(tmp_path / "none.png")
        assumed, _ = face_of_crop(detector(), tmp_path / "none.png")
        found = []
        for person in sorted((shared_data / "lfw" / "images").iterdir())[1:60:2]:
            frame = load_frame(next(person.iterdir()))
            crop = margin_crop(frame, central_face(detector().detect(frame)).box, 182, 44)
            assert crop is not None
            write_png(crop.image, tmp_path / "crop.png")
            face, seen = face_of_crop(detector(), tmp_path / "crop.png")
            assert seen
            found.append(face.points)
        assert np.abs(np.median(found, axis=0) - assumed.points).max() < 0.03 * 182

    def test_no_picture(self, tmp_path: Path):
        (tmp_path / "a.jpg").write_bytes(b"no")
        with pytest.raises(ImageFormatError):
            face_of_crop(detector(), tmp_path / "a.jpg")


def test_mirrored_twice_is_itself(photos: Path):
    (face,) = detector().detect(load_frame(photos / "obama2.jpg"))
    once = mirrored(face)
    assert once.points[0, 0] < once.points[1, 0]  # the left eye is the viewer's left one again
    assert (once.frame.image[:, ::-1] == face.frame.image).all()
    assert once.box.x1 == face.frame.width_px - face.box.x2
    twice = mirrored(once)
    assert np.allclose(twice.points, face.points, atol=1e-3)
    assert twice.box.xyxy == pytest.approx(face.box.xyxy)


def test_write_png(tmp_path: Path):
    image = ramp(30, 20).image
    write_png(image, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as back:
        assert (back.format, (np.asarray(back) == image).all()) == ("PNG", True)
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(image, tmp_path / "no" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
