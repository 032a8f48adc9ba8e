"""Many pictures on one, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from vultus._arrays import check_image
from vultus.draw._text import Line, set_line
from vultus.errors import RangeError
from vultus.types import Image

__all__ = ["contact_sheet"]

_PAPER, _MAT, _INK, _FAINT = (255, 255, 255), (236, 236, 236), (24, 24, 24), (96, 96, 96)
_TEXT_OF_THUMB, _TEXT_MIN_PX = 0.045, 12
_GAP_OF_THUMB = 0.06


def contact_sheet(
    items: Sequence[tuple[Image, str]], *, columns: int | None = None, thumb_px: int = 320
) -> Image:
    """Lay pictures out in rows on white paper.

    Args:
        items: Pictures, (h, w, 3) uint8 RGB, each with a caption below it. A line break begins
            a new line; lines too long for the picture are shortened.
        columns: Pictures per row; as many as make a sheet wider than high when ``None``.
        thumb_px: Longest side of each; smaller pictures are not enlarged.

    Raises:
        RangeError: No picture at all, or a number below 1 (`thumb_px`: below 32).
        DtypeError: A picture is no uint8 array.
        ShapeError: A picture is not (h, w, 3).
    """
    if not items:
        raise RangeError("a contact sheet needs at least one picture, got none")
    if thumb_px < 32 or (columns is not None and columns < 1):
        raise RangeError(
            f"thumb_px must be at least 32 and columns at least 1, got {thumb_px} and {columns}"
        )
    count = len(items)
    columns = min(count, ceil(sqrt(1.5 * count)) if columns is None else columns)
    gap = max(4, round(_GAP_OF_THUMB * thumb_px))
    rows = [
        _row(items[start : start + columns], columns, thumb_px, gap)
        for start in range(0, count, columns)
    ]
    height = gap + sum(row.height for row in rows)
    sheet = Pillow.new("RGB", (rows[0].width, height), _PAPER)
    y = gap
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height
    return np.array(sheet)


def _row(items: Sequence[tuple[Image, str]], columns: int, thumb_px: int, gap: int) -> Pillow.Image:
    """One row of pictures on mats, captions below, and the gap to the next row."""
    thumbs = [_thumb(image, thumb_px) for image, _ in items]
    captions = [_lines(caption, thumb_px) for _, caption in items]
    mat_px = max(thumb.height for thumb in thumbs)
    text_px = max(sum(_step(line) for line in lines) for lines in captions)
    size_wh = (gap + columns * (thumb_px + gap), mat_px + gap // 3 + text_px + gap)
    row = Pillow.new("RGB", size_wh, _PAPER)
    draw = ImageDraw.Draw(row)
    for number, (thumb, lines) in enumerate(zip(thumbs, captions, strict=True)):
        x = gap + number * (thumb_px + gap)
        draw.rectangle((x, 0, x + thumb_px - 1, mat_px - 1), fill=_MAT)
        row.paste(thumb, (x + (thumb_px - thumb.width) // 2, (mat_px - thumb.height) // 2))
        y = mat_px + gap // 3
        for index, line in enumerate(lines):
            line.draw(draw, x, y, _INK if index == 0 else _FAINT)
            y += _step(line)
    return row


def _thumb(image: Image, thumb_px: int) -> Pillow.Image:
    thumb = Pillow.fromarray(check_image(image))
    thumb.thumbnail((thumb_px, thumb_px), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    return thumb


def _lines(caption: str, width_px: int) -> list[Line]:
    size_px = max(_TEXT_MIN_PX, round(_TEXT_OF_THUMB * width_px))
    lines = (set_line(text, size_px, width_px) for text in caption.splitlines())
    return [line for line in lines if line is not None]


def _step(line: Line) -> int:
    return round(1.15 * line.height_px)
