"""A whole gallery in one file: to carry it away, to keep a copy, to bring it back.

An archive is a ZIP file with three members that hold the gallery's records and a fourth that
holds their SHA-256:

    records.jsonl    one record a line, in the order of `Gallery.dump`
    vectors.f32      all embeddings, float32 little-endian, one after the other
    crops.bin        all crops, as opaque as the gallery keeps them
    manifest.json    format, counts, and size and SHA-256 of the other three
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from vultus.errors import DataFileError, OutputError, VultusError
from vultus.gallery.base import Gallery
from vultus.gallery.values import (
    AuditEntry,
    EmbeddingRecord,
    GalleryRecord,
    GroupRecord,
    Membership,
    PersonRecord,
    Record,
    SampleRecord,
    SpaceRecord,
)
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["FORMAT", "check_archive", "read_archive", "write_archive"]

FORMAT = "vultus-gallery/1"
_RECORDS, _VECTORS, _CROPS, _MANIFEST = "records.jsonl", "vectors.f32", "crops.bin", "manifest.json"
_MEMBERS = (_RECORDS, _VECTORS, _CROPS)
_MAX_MANIFEST_BYTES = 100_000
_MAX_LINE_BYTES = 1_000_000  # an id of 256 bytes, a source of 4 KiB, an audit entry: far below
_MAX_DIMENSION = 65_536
_MAX_CROP_BYTES = 8 << 20
_BLOCK_BYTES = 1 << 20
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of ZIP; a fixed time makes equal galleries equal archives
_KINDS = {
    kind.__name__: kind
    for kind in (
        GalleryRecord,
        SpaceRecord,
        GroupRecord,
        PersonRecord,
        Membership,
        SampleRecord,
        EmbeddingRecord,
        AuditEntry,
    )
}

Progress = Callable[[int], None]


def write_archive(gallery: Gallery, path: Path, progress: Progress | None = None) -> Counter[str]:
    """Write everything a gallery holds into one file; the file appears when it is complete.

    The archive holds biometric data in the clear, except for the crops, which stay encrypted
    with the gallery's key: keep it as safe as the gallery. It is made readable by its owner only.

    Args:
        gallery: Read in one consistent state.
        path: The file, replaced when there is one.
        progress: Called with the number of records written so far.

    Returns:
        How many records of each kind were written.

    Raises:
        OutputError: The file cannot be written.
        GalleryError: The gallery cannot be read.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with ExitStack() as stack:
            stack.callback(part.unlink, missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            file = stack.enter_context(os.fdopen(descriptor, "wb"))
            counts = _write(gallery, file, progress)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}", path=str(path)) from error
    return counts


def _write(gallery: Gallery, file: IO[bytes], progress: Progress | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    with (
        tempfile.TemporaryFile() as vectors,
        tempfile.TemporaryFile() as crops,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        sums = {}
        with archive.open(_member(_RECORDS), "w", force_zip64=True) as lines:
            records = _Summed(lines)
            for record in gallery.dump():
                counts[type(record).__name__] += 1
                content = _content(record, vectors, crops)
                line = json.dumps({"kind": type(record).__name__, **content}, ensure_ascii=False)
                records.write(line.encode("utf-8") + b"\n")
                if progress is not None:
                    progress(counts.total())
            sums[_RECORDS] = records.summary()
        for name, source in ((_VECTORS, vectors), (_CROPS, crops)):
            source.seek(0)
            with archive.open(_member(name), "w", force_zip64=True) as target:
                member = _Summed(target)
                while block := source.read(_BLOCK_BYTES):
                    member.write(block)
                sums[name] = member.summary()
        manifest = {"format": FORMAT, "records": dict(sorted(counts.items())), "members": sums}
        archive.writestr(_member(_MANIFEST), json.dumps(manifest, indent=1))
    return counts


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.external_attr = 0o600 << 16
    return info


class _Summed:
    """A file that counts and digests what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def summary(self) -> dict[str, object]:
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}


def _content(record: Record, vectors: IO[bytes], crops: IO[bytes]) -> dict[str, Any]:
    """A record for JSON; its vector and its crop go to the files of these."""
    if isinstance(record, EmbeddingRecord):
        vectors.write(record.embedding.vector.astype("<f4", copy=False).tobytes())
        space = asdict(record.embedding.space)
        return {
            "number": record.number,
            "space": [space["model"], space["digest"], space["dimension"], space["preprocessing"]],
            "raw_norm": record.embedding.raw_norm,
        }
    content = asdict(record)
    if isinstance(record, SampleRecord):
        crop = content.pop("crop")
        content["crop_bytes"] = None if crop is None else len(crop)
        crops.write(crop or b"")
    if isinstance(record, GalleryRecord):
        content["salt"] = base64.b64encode(record.salt).decode("ascii")
    return content


# -- reading --------------------------------------------------------------------------------------


def check_archive(path: Path) -> dict[str, Any]:
    """Verify an archive's sizes and digests without reading its records.

    Returns:
        Its manifest.

    Raises:
        DataFileError: The file is no archive, or damaged.
    """
    with _readable(path), zipfile.ZipFile(path) as archive:
        return _verified(archive, path)


def read_archive(path: Path, gallery: Gallery, progress: Progress | None = None) -> Counter[str]:
    """Put an archive's contents into an empty gallery: all of it, or nothing.

    Sizes and digests are verified before anything is written.

    Args:
        path: The archive.
        gallery: Must be empty.
        progress: Called with the number of records read so far.

    Returns:
        How many records of each kind were read.

    Raises:
        DataFileError: The file is no archive, damaged, or holds what no gallery wrote.
        GalleryError: The gallery is not empty, or cannot be written.
    """
    counts: Counter[str] = Counter()
    with _readable(path), zipfile.ZipFile(path) as archive:
        manifest = _verified(archive, path)
        with (
            archive.open(_RECORDS) as records,
            archive.open(_VECTORS) as vectors,
            archive.open(_CROPS) as crops,
        ):
            stream = _records(records, vectors, crops, path)

            def counted() -> Iterator[Record]:
                for record in stream:
                    counts[type(record).__name__] += 1
                    if progress is not None:
                        progress(counts.total())
                    yield record
                if dict(counts) != manifest["records"]:
                    raise _damaged(path, "its records are not as many as its manifest says")

            gallery.restore(counted())
    return counts


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What the archive's reader says of a file, in our words."""
    try:
        yield
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise DataFileError(
            f"{path} is no readable gallery archive: {error}",
            remedy="take another copy of it",
            path=str(path),
        ) from error


def _damaged(path: Path, why: str) -> DataFileError:
    return DataFileError(
        f"{path} is damaged or no gallery archive: {why}",
        remedy="take another copy of it",
        path=str(path),
    )


def _verified(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """The manifest, once every member has the size and the digest it states."""
    infos = {info.filename: info for info in archive.infolist()}
    if set(infos) != {*_MEMBERS, _MANIFEST} or len(infos) != len(archive.infolist()):
        raise _damaged(path, f"it must hold {', '.join((*_MEMBERS, _MANIFEST))} and nothing else")
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos.values()):
        raise _damaged(path, "its members must not be compressed")  # so none can be a bomb
    if infos[_MANIFEST].file_size > _MAX_MANIFEST_BYTES:
        raise _damaged(path, "its manifest is too large")
    try:
        manifest = json.loads(archive.read(_MANIFEST))
        if manifest["format"] != FORMAT:
            raise DataFileError(
                f"{path} must be an archive of format {FORMAT}, it is of {manifest['format']}",
                remedy="upgrade vultus",
                path=str(path),
            )
        stated = {name: manifest["members"][name]["sha256"] for name in _MEMBERS}
        manifest["records"] = {str(k): int(v) for k, v in manifest["records"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"its manifest cannot be read ({error})") from error
    for name in _MEMBERS:
        digest = hashlib.sha256()
        with archive.open(name) as member:
            while block := member.read(_BLOCK_BYTES):
                digest.update(block)
        if digest.hexdigest() != stated[name]:
            raise _damaged(path, f"{name} was changed")
    result: dict[str, Any] = manifest
    return result


def _records(
    lines: IO[bytes], vectors: IO[bytes], crops: IO[bytes], path: Path
) -> Iterator[Record]:
    number = 0
    while line := lines.readline(_MAX_LINE_BYTES):
        number += 1
        try:
            content = json.loads(line)
            yield _record(content, vectors, crops)
        except (ValueError, KeyError, TypeError, AttributeError, VultusError) as error:
            raise _damaged(path, f"line {number} of {_RECORDS}: {error}") from error
    if vectors.read(1) or crops.read(1):
        raise _damaged(path, "it holds vectors or crops that belong to no record")


def _record(content: dict[str, Any], vectors: IO[bytes], crops: IO[bytes]) -> Record:
    kind = _KINDS[content.pop("kind")]
    if kind is EmbeddingRecord:
        space = EmbeddingSpace(*content["space"])
        if not 0 < space.dimension <= _MAX_DIMENSION:
            raise ValueError(f"a dimension of {space.dimension}")
        data = _exactly(vectors, 4 * space.dimension)
        embedding = Embedding(np.frombuffer(data, "<f4"), space, float(content["raw_norm"]))
        return EmbeddingRecord(int(content["number"]), embedding)
    if kind is SpaceRecord:
        return SpaceRecord(EmbeddingSpace(**content["space"]), bool(content["active"]))
    if kind is GalleryRecord:
        content["salt"] = base64.b64decode(content["salt"], validate=True)
    if kind is SampleRecord:
        size = content.pop("crop_bytes")
        if size is not None and not 0 < size <= _MAX_CROP_BYTES:
            raise ValueError(f"a crop of {size} bytes")
        content["crop"] = None if size is None else _exactly(crops, size)
    made: Record = kind(**content)
    return made


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("its vectors or crops end too early")
    return data
