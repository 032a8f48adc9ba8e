"""Pictures written to disk in one step: all of the file is there, or none of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from PIL import Image as Pillow

from vultus._arrays import check_image
from vultus.errors import OutputError, RangeError
from vultus.types import Image

__all__ = ["MADE_BY", "write_image"]

_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


MADE_BY = b"drawn by vultus"
"""The comment in every JPEG written here, near its beginning: this file may be written again."""


def write_image(image: Image, path: str | os.PathLike[str], quality: int = 90) -> None:
    """Write a picture; the file's name says in which format.

    Args:
        image: (h, w, 3) uint8, RGB.
        path: Ends in ``.jpg``, ``.jpeg`` or ``.png``; folders are made, a file of this name is
            replaced.
        quality: Of a JPEG, 1..100.

    Raises:
        OutputError: Another ending, or the file cannot be written; what was there before stays.
        RangeError: `quality` is outside its range.
        DtypeError: `image` is no uint8 array.
        ShapeError: `image` is not (h, w, 3).
    """
    target = Path(path)
    picture = Pillow.fromarray(check_image(image))
    if not 1 <= quality <= 100:
        raise RangeError(f"a JPEG's quality lies in 1..100, got {quality}")
    kind = _FORMATS.get(target.suffix.lower())
    if kind is None:
        raise OutputError(
            f"a picture's file must end in {', '.join(_FORMATS)}, got {str(target)!r}",
            remedy="choose one of these endings",
            path=str(target),
        )
    # Text stays crisp only where colour is stored in full: subsampling 4:4:4.
    options = {"quality": quality, "subsampling": 0, "comment": MADE_BY} if kind == "JPEG" else {}
    temporary = target.with_name(f".vultus-{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                picture.save(file, format=kind, **options)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"{target} cannot be written: {reason}", path=str(target), reason=str(error)
        ) from error
