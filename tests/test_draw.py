"""Marked pictures, contact sheets and files: what the pixels say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from vultus.draw import (
    KNOWN,
    NEUTRAL,
    UNKNOWN,
    Mark,
    annotate,
    contact_sheet,
    person_color,
    write_image,
)
from vultus.draw import _text as text_module
from vultus.draw._text import clean, set_line
from vultus.draw.marks import _contrast, _place_labels
from vultus.errors import DtypeError, OutputError, RangeError, ShapeError
from vultus.types import Box, Image, Landmarks

GREY = (90, 90, 90)
PINK = (250, 20, 140)  # nothing else draws in it
NAMES = [
    "Ada",
    "Maximilian-Alexander von und zu Hohenstein-Wittelsbach",
    "张伟",
    "田中 さくら",
    "عمر",
    "Zoë Łukasiewicz",
    "🙂",
    "line\nbreak\ttab",
    "a\u202egpj.exe",
    "undecodable \udc80",
    "nul\x00",
    "e\u0301" * 40,
    "x" * 3000,
    " ",
    "",
]


def plain(width: int, height: int, color: tuple[int, int, int] = GREY) -> Image:
    return np.full((height, width, 3), color, np.uint8)


def is_color(image: Image, color: tuple[int, int, int]) -> np.ndarray:
    return (image == np.array(color, np.uint8)).all(axis=2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of what is set, the last two exclusive."""
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def relative_luminance(color: tuple[int, int, int]) -> float:
    parts = np.array(color) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


class TestBox:
    def test_line_lies_inside_and_halo_outside(self) -> None:
        picture = plain(200, 200)
        drawn = annotate(picture, [Mark(Box(50, 60, 150, 160), color=PINK)])
        assert extent(is_color(drawn, PINK)) == (50, 60, 150, 160)
        assert is_color(drawn, PINK).sum() == 4 * 100 - 4  # one pixel wide
        assert (drawn[59, 49:151] == 0).all()  # black reads better on pink
        assert (drawn[61:159, 51:149] == 90).all()
        assert (drawn[:59] == 90).all()
        assert (picture == 90).all()

    @pytest.mark.parametrize(("side", "line_px"), [(100, 1), (1000, 6), (3000, 18)])
    def test_line_grows_with_the_picture(self, side: int, line_px: int) -> None:
        box = Box(side * 0.2, side * 0.2, side * 0.8, side * 0.8)
        drawn = annotate(plain(side, side), [Mark(box, color=PINK)])
        assert is_color(drawn, PINK)[side // 2, : side // 2].sum() == line_px

    def test_small_box_in_a_big_picture_gets_a_thin_line(self) -> None:
        drawn = annotate(plain(2000, 2000), [Mark(Box(100, 100, 140, 150), color=PINK)])
        assert is_color(drawn, PINK)[125, :120].sum() == 5

    def test_landmarks_are_dots(self) -> None:
        points = np.array([[80, 90], [120, 90], [100, 110], [85, 130], [115, 130]], np.float32)
        mark = Mark(Box(50, 60, 150, 160), "", Landmarks(points), PINK)
        drawn = annotate(plain(200, 200), [mark])
        for x, y in points.astype(int):
            assert tuple(drawn[y, x]) == PINK
        assert tuple(drawn[100, 100]) == GREY

    def test_box_may_reach_past_the_picture(self) -> None:
        drawn = annotate(plain(200, 100), [Mark(Box(-1e9, 20, 1e9, 60), "far", color=PINK)])
        assert drawn.shape == (100, 200, 3)
        assert is_color(drawn, PINK)[59, :].all()
        outside = annotate(plain(200, 100), [Mark(Box(500, 500, 600, 600), color=PINK)])
        assert (outside == 90).all()

    def test_no_mark_no_change(self) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        drawn = annotate(picture, [])
        assert (drawn == picture).all()
        assert not np.shares_memory(drawn, picture)


class TestLabel:
    @pytest.mark.parametrize("side", [100, 640, 3000])
    @pytest.mark.parametrize("place", [(0, 0), (0.8, 0), (0, 0.8), (0.8, 0.8), (0.4, 0.4)])
    def test_plate_lies_inside_the_picture(self, side: int, place: tuple[float, float]) -> None:
        x, y = place[0] * side, place[1] * side
        mark = Mark(Box(x, y, x + 0.2 * side, y + 0.2 * side), "Ada Lovelace", None, PINK, "0.97")
        ((_, rect, line),) = _place_labels((side, side), [mark], 1.0)
        assert rect[0] >= 0
        assert rect[1] >= 0
        assert rect[2] <= side
        assert rect[3] <= side
        assert rect[2] - rect[0] > line.width_px
        drawn = annotate(plain(side, side), [mark])
        plate = drawn[rect[1] : rect[3], rect[0] : rect[2]]
        assert is_color(plate, PINK).mean() > 0.5  # the rest is text
        assert (plate[..., 0] < 125).sum() > 40  # text, dark on pink
        assert not is_color(plate, GREY).any()

    @pytest.mark.parametrize(("width", "height"), [(100, 100), (1000, 700), (8000, 1500)])
    def test_text_is_readable_and_not_too_big(self, width: int, height: int) -> None:
        box = Box(0.4 * width, 0.4 * height, 0.4 * width + 0.3 * height, 0.8 * height)
        ((_, rect, _),) = _place_labels((width, height), [Mark(box, "Ada")], 1.0)
        assert 11 <= rect[3] - rect[1] <= 0.16 * height

    def test_plate_sits_on_the_box(self) -> None:
        mark = Mark(Box(100, 150, 250, 350), "Ada", color=PINK)
        ((_, rect, _),) = _place_labels((500, 500), [mark], 1.0)
        assert (rect[0], rect[3]) == (100, 150)

    def test_plate_goes_below_where_there_is_no_room_above(self) -> None:
        ((_, rect, _),) = _place_labels((500, 500), [Mark(Box(100, 2, 250, 350), "Ada")], 1.0)
        assert (rect[0], rect[1]) == (100, 350)

    def test_labels_keep_off_each_other_and_off_faces(self) -> None:
        boxes = [Box(60 + 90 * i, 200 + 30 * (i % 2), 120 + 90 * i, 290) for i in range(8)]
        marks = [
            Mark(box, f"Person number {i}", None, KNOWN, "0.98") for i, box in enumerate(boxes)
        ]
        placed = list(_place_labels((800, 500), marks, 1.0))
        assert len(placed) == 8
        rects = [Box(*rect) for _, rect, _ in placed]
        for i, rect in enumerate(rects):
            assert all(rect.iou(other) == 0 for other in rects[:i])
            assert all(rect.iou(box) < 0.05 for box in boxes)

    def test_a_name_is_shortened_only_where_it_would_hide_others(self) -> None:
        name = NAMES[1]
        alone = Mark(Box(20, 50, 60, 100), name, None, KNOWN, "0.97")
        ((_, _, line),) = _place_labels((800, 600), [alone], 1.0)
        assert (line.text, line.note) == (name, "0.97")
        crowd = [Mark(Box(x, y, x + 40, y + 50)) for x in (70, 120) for y in (0, 52, 104)]
        ((_, _, line),) = _place_labels((800, 600), [alone, *crowd], 1.0)
        assert line.text.endswith("…")
        assert name.startswith(line.text[:-1])
        assert line.note == "0.97"

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name_can_be_drawn(self, name: str) -> None:
        mark = Mark(Box(30, 40, 80, 90), name, None, PINK, name[:4])
        drawn = annotate(plain(120, 100), [mark])
        assert drawn.shape == (100, 120, 3)
        for _, rect, _ in _place_labels((120, 100), [mark], 1.0):
            assert 0 <= rect[0] < rect[2] <= 120
            assert 0 <= rect[1] < rect[3] <= 100
        assert bool(list(_place_labels((120, 100), [mark], 1.0))) == bool(name.strip())

    def test_tiny_pictures_get_no_label(self) -> None:
        for side in (1, 5, 20):
            drawn = annotate(plain(side, side), [Mark(Box(0, 0, side, side), "Ada", color=PINK)])
            assert tuple(drawn[0, 0]) == PINK
            assert list(_place_labels((side, side), [Mark(Box(0, 0, 1, 1), "Ada")], 1.0)) == []

    def test_scale_enlarges_text_and_line(self) -> None:
        mark = Mark(Box(200, 200, 400, 400), "Ada", color=PINK)
        ((_, one, _),) = _place_labels((600, 600), [mark], 1.0)
        ((_, two, _),) = _place_labels((600, 600), [mark], 2.0)
        assert two[3] - two[1] == pytest.approx(2 * (one[3] - one[1]), abs=3)
        drawn = annotate(plain(600, 600), [mark], scale=2.0)
        assert is_color(drawn, PINK)[300, :300].sum() == 7


class TestShrink:
    def test_boxes_follow_the_picture(self) -> None:
        mark = Mark(Box(400, 200, 800, 600), color=PINK)
        small = annotate(plain(1600, 800), [mark], max_px=400)
        assert small.shape == (200, 400, 3)
        assert extent(is_color(small, PINK)) == (100, 50, 200, 150)

    def test_landmarks_follow_the_picture(self) -> None:
        points = Landmarks(np.full((5, 2), 400, np.float32))
        small = annotate(plain(800, 800), [Mark(Box(0, 0, 8, 8), "", points, PINK)], max_px=200)
        assert tuple(small[100, 100]) == PINK

    def test_small_pictures_stay(self) -> None:
        assert annotate(plain(300, 200), [], max_px=400).shape == (200, 300, 3)
        assert annotate(plain(5000, 2), [], max_px=100).shape == (1, 100, 3)


class TestColors:
    @pytest.mark.parametrize("color", [KNOWN, UNKNOWN, NEUTRAL, *map(person_color, "abcdefghijk")])
    def test_text_contrasts_with_its_plate(self, color: tuple[int, int, int]) -> None:
        one, two = sorted(map(relative_luminance, (color, _contrast(color))))
        assert (two + 0.05) / (one + 0.05) >= 4.5  # WCAG 2.2, level AA

    def test_meanings_differ_in_lightness(self) -> None:
        levels = [relative_luminance(color) for color in (KNOWN, UNKNOWN, NEUTRAL)]
        assert np.round(levels, 2).tolist() == [0.15, 0.42, 0.87]

    def test_a_person_keeps_their_color(self) -> None:
        assert person_color("Joe Biden") == person_color("Joe Biden")
        assert len({person_color(f"person {i}") for i in range(100)}) == 6
        assert UNKNOWN not in {person_color(f"person {i}") for i in range(100)}
        assert person_color("\udc80") in {person_color(f"person {i}") for i in range(100)}

    @pytest.mark.parametrize("color", [(0, 0, 256), (-1, 0, 0), (0, 0)])
    def test_a_color_is_checked(self, color: tuple[int, int, int]) -> None:
        with pytest.raises(RangeError, match="a colour is"):
            Mark(Box(0, 0, 1, 1), color=color)


class TestBadInput:
    def test_image(self) -> None:
        with pytest.raises(DtypeError):
            annotate(np.zeros((4, 4, 3)), [])  # type: ignore[arg-type]
        with pytest.raises(ShapeError):
            annotate(np.zeros((4, 4), np.uint8), [])

    @pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
    def test_scale(self, scale: float) -> None:
        with pytest.raises(RangeError, match="scale must be positive"):
            annotate(plain(9, 9), [], scale=scale)

    def test_max_px(self) -> None:
        with pytest.raises(RangeError, match="max_px"):
            annotate(plain(9, 9), [], max_px=0)


class TestText:
    @pytest.mark.parametrize(
        ("raw", "shown"),
        [
            ("Zoe\u0308", "Zoë"),
            (" a \n\t b ", "a b"),
            ("a\u202egpj", "agpj"),
            ("x\udc80y", "x\ufffdy"),
            ("می\u200cخواهم", "می\u200cخواهم"),
        ],
    )
    def test_clean(self, raw: str, shown: str) -> None:
        assert clean(raw) == shown

    def test_without_any_other_font(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_module, "_FONTS", ("", "no-such-font.ttf"))
        line = set_line("Zoë 张伟 Ø", 20, 500, "0.97…")
        assert line is not None
        assert (line.text, line.note) == ("Zoe ?? ?", "0.97…")

    def test_shortening_keeps_letters_whole(self) -> None:
        line = set_line("q\u0301" * 50, 20, 100)
        assert line is not None
        assert line.text.endswith("\u0301…") or line.text == "q" * line.text.count("q") + "…"
        assert line.width_px <= 100

    def test_no_room(self) -> None:
        assert set_line("Ada", 20, 3) is None
        assert set_line("", 20, 300) is None
        only_note = set_line("Ada Lovelace", 20, 45, "0.97")
        assert only_note is not None
        assert only_note.note == "0.97"
        assert only_note.width_px <= 45


class TestContactSheet:
    def test_layout(self) -> None:
        tiles = [(plain(400, 200, PINK), "a"), (plain(50, 100, PINK), "b"), (plain(9, 9), "c")]
        sheet = contact_sheet(tiles, columns=2, thumb_px=100)
        gap = 6
        assert sheet.shape[1] == gap + 2 * (100 + gap)
        first = is_color(sheet[:, : gap + 100], PINK)
        assert extent(first)[::2] == (gap, gap + 100)
        assert first.sum() == 100 * 50
        second = is_color(sheet[:, gap + 100 :], PINK)
        assert second.sum() == 50 * 100  # as it is: not enlarged
        assert (sheet[:gap] == 255).all()
        assert (sheet[:, -gap:] == 255).all()

    def test_captions_stay_under_their_picture(self) -> None:
        sheet = contact_sheet([(plain(64, 64), "W" * 200 + "\nsecond line")] * 2, thumb_px=100)
        dark = (sheet < 80).all(axis=2)
        below = dark[6 + 64 :]
        assert below[:, 6:106].sum() > 50
        assert not below[:, 106:112].any()
        assert not dark[:, :6].any()

    def test_number_of_columns(self) -> None:
        one = contact_sheet([(plain(40, 40), "")], thumb_px=40)
        six = contact_sheet([(plain(40, 40), "")] * 6, thumb_px=40)
        assert one.shape[1] == 4 + 44
        assert six.shape[1] == 4 + 3 * 44

    def test_bad_input(self) -> None:
        with pytest.raises(RangeError, match="at least one picture"):
            contact_sheet([])
        with pytest.raises(RangeError, match="columns at least 1"):
            contact_sheet([(plain(9, 9), "")], columns=0)


class TestWriteImage:
    def test_png_keeps_every_pixel(self, tmp_path: Path) -> None:
        picture = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        path = tmp_path / "new" / "folder" / "a.PNG"
        write_image(picture, path)
        with Pillow.open(path) as written:
            assert written.format == "PNG"
            assert (np.asarray(written) == picture).all()
        assert [entry.name for entry in path.parent.iterdir()] == ["a.PNG"]

    def test_jpeg(self, tmp_path: Path) -> None:
        write_image(plain(64, 64, KNOWN), tmp_path / "a.jpg", quality=95)
        with Pillow.open(tmp_path / "a.jpg") as written:
            assert written.format == "JPEG"
            assert np.abs(np.asarray(written, np.int16) - KNOWN).max() <= 3

    def test_a_failure_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"old")

        def full(_self: object, file: object, **_: object) -> None:
            file.write(b"half")  # type: ignore[attr-defined]
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Pillow.Image, "save", full)
        with pytest.raises(OutputError, match="No space left on device") as caught:
            write_image(plain(9, 9), path)
        assert caught.value.fields["path"] == str(path)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_folder_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").mkdir()
        (tmp_path / "file").write_bytes(b"")
        for path in (tmp_path / "a.png", tmp_path / "file" / "b.png", tmp_path / "nul\0.png"):
            with pytest.raises(OutputError, match="cannot be written"):
                write_image(plain(9, 9), path)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.png", "file"]

    @pytest.mark.parametrize("name", ["a.gif", "a", "jpg"])
    def test_other_endings(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(OutputError, match=r"must end in \.jpg"):
            write_image(plain(9, 9), tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_quality(self, tmp_path: Path) -> None:
        with pytest.raises(RangeError, match=r"1\.\.100"):
            write_image(plain(9, 9), tmp_path / "a.jpg", quality=0)
