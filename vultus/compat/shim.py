"""A package named ``face_recognition`` that is vultus's: installed, clearly marked, removed.

``import face_recognition`` and the commands ``face_recognition`` and ``face_detection`` then lead
to vultus, in programs that cannot be changed. The package is a few small files and a list of them;
nothing that is not on the list is ever touched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import stat
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from vultus.errors import InputError, OutputError

__all__ = ["MARKER", "NAME", "ShimExistsError", "install_shim", "remove_shim"]

NAME = "face_recognition"
MARKER = "VULTUS-SHIM.json"
"""The list of what was installed, inside the package; its presence marks the package as ours."""

_HEADER = '''\
"""Not the original face_recognition, but vultus under its name.

Installed by `vultus compat install-shim`, removed by `vultus compat remove-shim`.
"""
'''
_PACKAGE = f"""{_HEADER}
from vultus.compat.face_recognition import *  # noqa: F403
from vultus.compat.face_recognition import __version__  # noqa: F401
"""
_MODULES = ("api", "face_recognition_cli", "face_detection_cli")
_COMMANDS = {"face_recognition": "face-recognition", "face_detection": "face-detection"}


class ShimExistsError(InputError):
    """A face_recognition that is not vultus's is there already."""

    code = "shim-exists"
    remedy = "uninstall it first (pip uninstall face_recognition), or choose another --folder"


def install_shim(folder: Path | None = None) -> list[Path]:
    """Install the package, and the commands beside this Python's own.

    Args:
        folder: Where the package goes; its commands then go into ``bin`` inside. Without one:
            where this Python keeps its packages and commands.

    Returns:
        The files written, the list of them last.

    Raises:
        ShimExistsError: Another face_recognition is there, or a command of that name.
        OutputError: The folder cannot be written to.
    """
    packages, commands = _places(folder)
    package = packages / NAME
    files = _files(package, commands)
    if (package / MARKER).is_file():
        remove_shim(folder)
    _check_free(package, commands, files, elsewhere=folder is None)
    listed = {str(path): hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    note = {"made_by": "vultus compat install-shim", "files": listed}
    files = {**files, package / MARKER: json.dumps(note, indent=1) + "\n"}
    written: list[Path] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
            if path.parent == commands and os.name != "nt":
                path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        _drop_empty(package)
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error
    return written


def remove_shim(folder: Path | None = None) -> list[Path]:
    """Remove what `install_shim` installed, and nothing else.

    Args:
        folder: The same as when it was installed.

    Returns:
        The files removed.

    Raises:
        InputError: There is no shim, or its list cannot be read.
        OutputError: A file cannot be removed.
    """
    packages, commands = _places(folder)
    package = packages / NAME
    removed: list[Path] = []
    try:
        for path, digest in _listed(package / MARKER).items():
            if path.parent not in {package, commands} or not path.is_file():
                continue
            if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
                path.unlink()
                removed.append(path)
        (package / MARKER).unlink()
        removed.append(package / MARKER)
    except OSError as error:
        raise OutputError(f"cannot remove {error.filename}: {error.strerror}") from error
    _drop_empty(package)
    return removed


def _places(folder: Path | None) -> tuple[Path, Path]:
    """Where the package goes, and where its commands go."""
    if folder is not None:
        return folder.absolute(), folder.absolute() / "bin"
    paths = sysconfig.get_paths()
    return Path(paths["purelib"]), Path(paths["scripts"])


def _files(package: Path, commands: Path) -> dict[Path, str]:
    """Every file of the shim but the list."""
    files = {package / "__init__.py": _PACKAGE}
    for name in _MODULES:
        files[package / f"{name}.py"] = (
            f"{_HEADER}\nimport sys\n\nimport vultus.compat.face_recognition.{name} as _own\n\n"
            "sys.modules[__name__] = _own\n"
        )
    for name, command in _COMMANDS.items():
        if os.name == "nt":
            text = f'@rem vultus compat install-shim\n@"{sys.executable}" -m vultus {command} %*\n'
            files[commands / f"{name}.cmd"] = text
        else:
            files[commands / name] = (
                "#!/bin/sh\n# Made by `vultus compat install-shim`: not the original command.\n"
                f'exec {_quoted(sys.executable)} -m vultus {command} "$@"\n'
            )
    return files


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _check_free(
    package: Path, commands: Path, files: Mapping[Path, str], *, elsewhere: bool
) -> None:
    """Refuse to hide, or to overwrite, what is not ours."""
    found = [path for path in (package, package.with_suffix(".py")) if path.exists()]
    found += [path for path in files if path.parent == commands and path.exists()]
    if not found and elsewhere:
        spec = importlib.util.find_spec(NAME)
        found = [Path(spec.origin)] if spec and spec.origin else []
    if found:
        raise ShimExistsError(
            f"there must be no other {NAME}, found {found[0]}", path=str(found[0])
        )


def _listed(marker: Path) -> dict[Path, str]:
    """File to SHA-256, from the list."""
    try:
        note = json.loads(marker.read_text(encoding="utf-8"))
        files = cast("dict[str, str]", note["files"])
        return {Path(name): str(digest) for name, digest in files.items()}
    except FileNotFoundError as error:
        raise InputError(
            f"there is no shim of vultus in {marker.parent.parent}",
            remedy="`vultus compat install-shim` installs one; give the same --folder to both",
            path=str(marker.parent),
        ) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"{marker} cannot be read: {error}",
            remedy=f"delete the folder {marker.parent} by hand",
            path=str(marker),
        ) from error


def _drop_empty(package: Path) -> None:
    """Remove the package's folder, with Python's own caches of files that are gone."""
    cache = package / "__pycache__"
    names = {"__init__", *_MODULES}
    if cache.is_dir():
        for path in cache.iterdir():
            if path.name.partition(".")[0] in names:
                path.unlink(missing_ok=True)
    for path in (cache, package):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
