"""Text as it can be drawn: made one clean line, in a font that has its letters, cut to a width."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import ImageFont

from vultus.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["Line", "clean", "set_line"]

_ELLIPSIS = "…"
_STAND_INS = ("\N{REPLACEMENT CHARACTER}", "?")
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # Persian and Indic spelling needs them
_NO_CHARACTER = "\U0010fffe"  # Unicode keeps it unassigned for ever: any font draws its blank box
_PROBE_PX = 16
_GAP_EM = 0.45  # between text and note

# "" is the font inside Pillow: ASCII and little more. The others are what Windows, macOS and Linux
# install, widest alphabets first, then Chinese, Japanese and Korean, then single scripts.
_FONTS = (
    "",
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "segoeui.ttf",
    "Arial Unicode.ttf",
    "LiberationSans-Regular.ttf",
    "arial.ttf",
    "Arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "msyh.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "YuGothM.ttc",
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
    "simsun.ttc",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "Nirmala.ttc",
    "Nirmala.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "LeelawUI.ttf",
    "unifont.otf",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text, ready to be drawn.

    Attributes:
        text: What gives way when room is short.
        note: What follows it and is kept whole: a similarity, say.
        font: Has the letters of both.
        note_x_px: Where the note begins, from the left end of the line.
        width_px: From the left end to the right end.
        height_px: From the font's ascender to its descender.
    """

    text: str
    note: str
    font: ImageFont.FreeTypeFont
    note_x_px: int
    width_px: int
    height_px: int

    def draw(self, canvas: ImageDraw, x: int, y: int, fill: tuple[int, int, int]) -> None:
        """Draw it with its upper left corner at (x, y)."""
        canvas.text((x, y), self.text, font=self.font, fill=fill, anchor="la")
        if self.note:
            canvas.text((x + self.note_x_px, y), self.note, font=self.font, fill=fill, anchor="la")


def set_line(text: str, size_px: int, max_width_px: int, note: str = "") -> Line | None:
    """Choose a font and shorten `text`, then `note`, to the width.

    Returns:
        The line, or ``None`` when nothing is left of it.
    """
    text, note, font = _drawable(clean(text), clean(note), size_px)
    gap = round(_GAP_EM * size_px) if text and note else 0
    note = _shorten(note, font, max_width_px)
    note_px = _width_px(note, font)
    text = _shorten(text, font, max_width_px - note_px - gap)
    if not text and not note:
        return None
    if not text:
        gap = 0
    text_px = _width_px(text, font)
    ascent, descent = font.getmetrics()
    return Line(text, note, font, text_px + gap, text_px + gap + note_px, ascent + descent)


def clean(text: str) -> str:
    """One line in Unicode form NFC, without what has no shape or would turn the writing around."""
    kept = []
    for char in text:
        category = unicodedata.category(char)
        if category == "Cs":  # half of a character: an undecodable file name
            kept.append(_STAND_INS[0])
        elif category in {"Cc", "Zl", "Zp", "Zs"}:
            kept.append(" ")
        elif category != "Cf" or char in _JOINERS:
            kept.append(char)
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def _drawable(text: str, note: str, size_px: int) -> tuple[str, str, ImageFont.FreeTypeFont]:
    """The texts as the best font can show them, and that font."""
    wanted = set(text + note) - {" "}
    best, fewest = "", len(wanted) + 1
    for name in _FONTS:
        if _font(name, _PROBE_PX) is None:
            continue
        missing = sum(not _has_glyph(name, char) for char in wanted)
        if missing < fewest:
            best, fewest = name, missing
        if missing == 0:
            break
    font = _font(best, size_px)
    if font is None:
        raise MissingExtraError(
            "labels need Pillow built with FreeType",
            remedy="install Pillow's own wheel: pip install --force-reinstall pillow",
        )
    if fewest:
        text, note = (
            "".join(c if c == " " else _stand_in(best, c) for c in part) for part in (text, note)
        )
    return text, note, font


def _stand_in(font: str, char: str) -> str:
    """`char` itself; its letter without accents; a mark for something missing."""
    if _has_glyph(font, char):
        return char
    bare = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    if bare and all(_has_glyph(font, c) for c in bare):
        return bare
    if unicodedata.combining(char) or char in _JOINERS:
        return ""
    return next((c for c in _STAND_INS if _has_glyph(font, c)), "")


@lru_cache(maxsize=256)
def _font(name: str, size_px: int) -> ImageFont.FreeTypeFont | None:
    """A font by file name, searched where the system keeps them; ``None`` when absent."""
    try:
        font = ImageFont.truetype(name, size_px) if name else ImageFont.load_default(size_px)
    except (OSError, ImportError):
        return None
    return font if isinstance(font, ImageFont.FreeTypeFont) else None


@lru_cache(maxsize=4096)
def _has_glyph(name: str, char: str) -> bool:
    """Whether the font draws something else than the box it draws for unknown characters."""
    font = _font(name, _PROBE_PX)
    if font is None:
        return False
    drawn, blank = font.getmask(char), font.getmask(_NO_CHARACTER)
    return drawn.size != blank.size or bytes(drawn) != bytes(blank)


def _width_px(text: str, font: ImageFont.FreeTypeFont) -> int:
    if not text:
        return 0
    return int(max(font.getlength(text), font.getbbox(text, anchor="la")[2]) + 0.999)


def _shorten(text: str, font: ImageFont.FreeTypeFont, max_width_px: int) -> str:
    """The longest beginning that fits with an ellipsis; empty when not one letter does."""
    if _width_px(text, font) <= max_width_px:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _width_px(_cut(text, middle), font) <= max_width_px:
            fits = middle
        else:
            too_long = middle
    return _cut(text, fits) if fits else ""


def _cut(text: str, length: int) -> str:
    """The first `length` characters, not between a letter and its accents, with an ellipsis."""
    while length and (unicodedata.combining(text[length]) or text[length] in _JOINERS):
        length -= 1
    return text[:length].rstrip() + _ELLIPSIS
