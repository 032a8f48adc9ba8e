"""npz files that come out the same to the byte."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["npz_bytes"]


def npz_bytes(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return an npz file of plain arrays, without times and without compression.

    Compression would save under a tenth here and would tie the bytes to one build of zlib.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(
                member, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False
            )
            # 1980 is the first year a zip file can express; system 3 (Unix) on every machine.
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()
