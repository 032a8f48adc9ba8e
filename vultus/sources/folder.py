"""Finds pictures on disk: below a folder, behind command-line arguments, or sorted by person."""

from __future__ import annotations

import glob
import os
import re
import stat
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vultus.errors import EmptyGalleryError, ImageNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["IMAGE_SUFFIXES", "expand", "people_tree", "walk_images"]

_PathLike: TypeAlias = "str | os.PathLike[str]"

IMAGE_SUFFIXES: frozenset[str] = frozenset(
    {
        ".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg",
        ".png", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""File name endings, in lower case, that count as pictures; case does not matter."""

_DIGITS = re.compile(r"(\d+)")


def walk_images(root: _PathLike, *, recursive: bool = True) -> Iterator[Path]:
    """List the pictures below a folder, one folder at a time.

    Order: in each folder first its pictures, then its folders, each by name with numbers
    compared as numbers (``img2`` before ``img10``) and case ignored. Hidden entries (``.name``)
    are skipped, except `root` itself. Links are followed; a folder that several links lead to
    is entered once, so loops end. A broken link named like a picture is listed, and so is a
    folder within that cannot be read: whoever loads it hears of it. Pipes and devices are not.

    Args:
        root: A folder, or one file, which is listed whatever its name ends with.
        recursive: Also enter the folders within.

    Returns:
        A lazy iterator of paths that begin with `root`; empty for a folder without pictures.

    Raises:
        ImageNotFoundError: `root` does not exist or cannot be read.
    """
    if _is_folder(root):
        return _walk(Path(root), recursive=recursive)
    return iter((Path(root),))


def expand(paths: _PathLike | Iterable[_PathLike]) -> Iterator[Path]:
    """Turn command-line arguments into pictures, in the order given.

    A file is listed as it is, a folder is walked (see `walk_images`). Where no such file exists,
    ``*``, ``?``, ``[…]`` and ``**`` are understood: matching pictures are listed, each file
    once, and matching folders walked; after ``**`` folders are not walked again.

    Args:
        paths: Files, folders and patterns; a single one need not be wrapped in a list.

    Returns:
        A lazy iterator: an argument is looked at when its turn comes.

    Raises:
        ImageNotFoundError: An argument names nothing, or a pattern matches no picture.
    """
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        text = os.fspath(path)
        if glob.has_magic(text) and not os.path.lexists(text):
            yield from _matches(text)
        else:
            yield from walk_images(text)


def people_tree(root: _PathLike) -> Iterator[tuple[str, list[Path]]]:
    r"""List the people of a folder with their pictures, one person at a time.

    A folder in `root` is a person, named like the folder, with every picture below it. A picture
    that lies in `root` itself is a person, named like the file without its suffix. Both may be
    mixed; equal names are one person. Names are compared, and returned, in Unicode form NFC, so
    that ``é`` is one name on every system; bytes that are no UTF-8 appear as ``\xNN``.

    People come in the order of their names (see `walk_images`); folders without pictures are
    passed over.

    Raises:
        ImageNotFoundError: `root` is no folder or cannot be read (at the first step).
        EmptyGalleryError: There is no picture at all (at the last step).
    """
    folder = Path(root)
    if not _is_folder(root):
        raise ImageNotFoundError(
            f"{folder} is a file, and a folder of people was asked for",
            remedy="name the folder that holds one folder or one picture per person",
            path=str(folder),
        )
    people: dict[str, list[tuple[Path, bool]]] = {}
    pictures, folders = _scan(folder)
    for path in pictures:
        people.setdefault(_person_name(path.stem), []).append((path, False))
    for path in folders:
        people.setdefault(_person_name(path.name), []).append((path, True))
    empty = True
    for name in sorted(people, key=_natural):
        found = [
            picture
            for path, is_folder in people[name]
            for picture in (_walk(path, recursive=True) if is_folder else (path,))
        ]
        if found:
            empty = False
            yield name, found
    if empty:
        raise EmptyGalleryError(
            f"{folder} holds no pictures of people",
            remedy="put one folder of pictures, or one picture, per person into it",
            path=str(folder),
        )


def _walk(root: Path, *, recursive: bool) -> Iterator[Path]:
    entered: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            identity = _identity(folder)
            if identity in entered:
                continue
            entered.add(identity)
            pictures, folders = _scan(folder)
        except ImageNotFoundError:
            if folder is root:
                raise
            yield folder  # whoever loads it hears of it; the rest goes on
            continue
        yield from pictures
        if recursive:
            waiting.extend(reversed(folders))


def _identity(folder: Path) -> tuple[int, int]:
    try:
        facts = folder.stat()
    except OSError as error:
        raise _unreadable(folder, error) from error
    return facts.st_dev, facts.st_ino


def _scan(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures and the folders of one folder, each in natural order."""
    pictures: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _entry_is_folder(entry):
                    folders.append(entry.name)
                elif _has_image_suffix(entry.name) and _may_be_file(entry):
                    pictures.append(entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return (
        [folder / name for name in sorted(pictures, key=_natural)],
        [folder / name for name in sorted(folders, key=_natural)],
    )


def _entry_is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say
        return False


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """A regular file, or a link that leads nowhere; no pipe, socket or device."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return True


def _matches(pattern: str) -> Iterator[Path]:
    deep = "**" in pattern
    found: dict[str, Path] = {}  # the shortest way to each file: ** follows links in circles
    ways = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob skips no hidden files
    for path in sorted(map(Path, ways), key=_by_depth):
        inside: Iterable[Path] = (path,) if _has_image_suffix(path.name) else ()
        if path.is_dir():
            inside = () if deep else walk_images(path)
        for picture in inside:
            found.setdefault(os.path.realpath(picture), picture)
    if not found:
        raise ImageNotFoundError(
            f"no picture matches {pattern}", remedy="check the pattern", path=pattern
        )
    yield from sorted(found.values(), key=lambda path: [_natural(part) for part in path.parts])


def _by_depth(path: Path) -> tuple[int, str]:
    return len(path.parts), str(path)


def _is_folder(path: _PathLike) -> bool:
    """Whether `path` is a folder (True) or a file (False)."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - Path("") would be "."
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from error


def _unreadable(path: _PathLike, error: Exception) -> ImageNotFoundError:
    text = os.fspath(path)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ImageNotFoundError(f"{text or 'an empty path'} cannot be read: {reason}", path=text)


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - no Path needed


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key: numbers by value, letters without case, and the name itself to settle ties."""
    parts = _DIGITS.split(unicodedata.normalize("NFC", name).casefold())
    key = [(0, int(part), "") if n % 2 else (1, 0, part) for n, part in enumerate(parts) if part]
    return key, name


def _person_name(name: str) -> str:
    readable = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", readable)
