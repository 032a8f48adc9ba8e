"""Rebuild the sample pictures from the packages they were published in.

python scripts/make_samples.py                     fetch, copy, paint wall.jpg
python scripts/make_samples.py --check             write nothing, compare with what is committed
python scripts/make_samples.py --packages FOLDER   use package files that are here already

Originals are copied to the byte. wall.jpg is painted out of them: each picture mirrored, cut,
shrunk and framed. Its JPEG bytes depend on Pillow's own libjpeg, so --check compares its pixels
where the bytes differ.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from convert.packages import DamagedPackageError, Package, fetch, open_package, sha256
from PIL import Image, ImageDraw, ImageOps

__all__ = ["FACE_RECOGNITION", "FILES", "SCIKIT_IMAGE", "main", "paint_wall"]

_SAMPLES = Path(__file__).resolve().parent.parent / "vultus" / "samples"

_TESTS = "face_recognition-1.3.0/tests/test_images"
# The digests are those of the files as PyPI serves them.
FACE_RECOGNITION = Package(
    requirement="face_recognition==1.3.0",
    file_name="face_recognition-1.3.0.tar.gz",
    sha256="5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
    members={
        f"{_TESTS}/obama.jpg": "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
        f"{_TESTS}/biden.jpg": "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
        f"{_TESTS}/obama2.jpg": "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
        f"{_TESTS}/obama3.jpg": "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
    },
)

SCIKIT_IMAGE = Package(
    requirement="scikit-image==0.26.0",
    file_name=("scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"),
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    members={
        "skimage/data/astronaut.png": (
            "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
        ),
        "skimage/data/rocket.jpg": (
            "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"
        ),
    },
)

FILES = {
    "known/Barack Obama.jpg": "obama.jpg",
    "known/Joe Biden.jpg": "biden.jpg",
    "photos/astronaut.png": "astronaut.png",
    "photos/obama2.jpg": "obama2.jpg",
    "photos/obama3.jpg": "obama3.jpg",
    "photos/rocket.jpg": "rocket.jpg",
}
"""Where each member goes."""

_WALL = "photos/wall.jpg"

# The wall: member, the part of it that is shown (left, top, right, bottom), where its left upper
# corner hangs, and how wide it is there; all in pixels.
_WALL_SIZE_WH = (1500, 980)
_HANGING: tuple[tuple[str, tuple[int, int, int, int], tuple[int, int], int], ...] = (
    ("biden.jpg", (120, 0, 970, 1100), (110, 170), 360),
    ("astronaut.png", (40, 0, 440, 400), (590, 80), 380),
    ("rocket.jpg", (0, 0, 640, 427), (590, 612), 380),
    ("obama2.jpg", (0, 80, 626, 890), (1090, 190), 330),
)
_PAPER, _SKIRTING, _MAT, _FRAME, _SHADOW = "#8f9c93", "#77837a", "#f6f3ec", "#3a2f28", "#7f8c83"
_MAT_PX, _FRAME_PX, _SHADOW_PX = 22, 10, 8
_WALL_QUALITY = 88
_CLOSE = 2.0  # mean difference of two decodings that is still the same picture, of 255


def paint_wall(members: dict[str, bytes]) -> bytes:
    """Hang four of the pictures, mirrored and shrunk, on a wall.

    Convention:
        members: name to bytes, as `open_package` returns them.
        returns: a JPEG.
    """
    wall = Image.new("RGB", _WALL_SIZE_WH, _PAPER)
    draw = ImageDraw.Draw(wall)
    wide, high = _WALL_SIZE_WH
    draw.rectangle((0, high - 40, wide, high), fill=_SKIRTING)
    for name, part, (x, y), width_px in _HANGING:
        with Image.open(io.BytesIO(members[name])) as original:
            cut = ImageOps.mirror(original.convert("RGB").crop(part))
        height_px = round(cut.height * width_px / cut.width)
        small = cut.resize((width_px, height_px), Image.Resampling.LANCZOS)
        for reach, color, shift in (
            (_MAT_PX + _FRAME_PX, _SHADOW, _SHADOW_PX),
            (_MAT_PX + _FRAME_PX, _FRAME, 0),
            (_MAT_PX, _MAT, 0),
        ):
            left, top = x - reach + shift, y - reach + shift
            right, bottom = x + width_px + reach + shift - 1, y + height_px + reach + shift - 1
            draw.rectangle((left, top, right, bottom), fill=color)
        wall.paste(small, (x, y))
    file = io.BytesIO()
    wall.save(file, "JPEG", quality=_WALL_QUALITY, subsampling=2, optimize=True)
    return file.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Run the script; returns its exit code: 0 done, 1 something differs, 2 bad packages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=_SAMPLES, help="folder of the samples (default: %(default)s)"
    )
    parser.add_argument(
        "--packages", type=Path, help="folder with the two package files; otherwise pip fetches"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a picture differs"
    )
    options = parser.parse_args(arguments)
    try:
        members = _open_packages(options.packages)
    except DamagedPackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    files = {place: members[name] for place, name in FILES.items()} | {_WALL: paint_wall(members)}
    same = True
    for place, data in files.items():
        path = options.out / place
        verdict = _verdict(path, data)
        same = same and verdict.startswith("same")
        print(f"{place:<24}{len(data):>8}  {sha256(data)}  {verdict}")
        if not options.check and not verdict.startswith("same"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return 0 if same or not options.check else 1


def _open_packages(folder: Path | None) -> dict[str, bytes]:
    if folder is not None:
        return open_package(FACE_RECOGNITION, folder) | open_package(SCIKIT_IMAGE, folder)
    with tempfile.TemporaryDirectory() as temporary:
        fetch((FACE_RECOGNITION,), Path(temporary))
        _fetch_wheel(SCIKIT_IMAGE, Path(temporary))
        return _open_packages(Path(temporary))


def _fetch_wheel(package: Package, folder: Path) -> None:
    """Download one wheel, made for whatever system; only its pictures are wanted."""
    wanted = folder / "wheel.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    python, abi, system = package.file_name.removesuffix(".whl").split("-")[2:]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--abi", abi]
    command += ["--python-version", python.removeprefix("cp")]
    command += ["--platform", system.rsplit(".", 1)[-1], "-r", str(wanted), "-d", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise DamagedPackageError(
            f"pip could not fetch {package.file_name}: {done.stderr.strip()[-800:]}; "
            "bring it yourself and name its folder with --packages"
        )


def _verdict(path: Path, data: bytes) -> str:
    """How the committed file compares: `same`, `same picture`, `differs` or `missing`."""
    if not path.is_file():
        return "missing"
    committed = path.read_bytes()
    if committed == data:
        return "same"
    if path.name != Path(_WALL).name:
        return "differs"
    one, two = (np.asarray(Image.open(io.BytesIO(b)), np.float32) for b in (committed, data))
    close = one.shape == two.shape and float(np.abs(one - two).mean()) <= _CLOSE
    return "same picture, encoded otherwise" if close else "differs"


if __name__ == "__main__":
    sys.exit(main())
