"""Pictures of enrolled faces, encrypted: kept so that another model can embed them one day."""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import GalleryError, InputError, MissingExtraError
from vultus.types import Box, Face, Frame, Image, Landmarks

__all__ = [
    "KEY_VARIABLE",
    "key_from_environment",
    "new_key",
    "pack_crop",
    "parse_key",
    "unpack_crop",
]

KEY_VARIABLE = "VULTUS_GALLERY_KEY"
"""The environment variable that holds the key."""

_KEY_BYTES = 32  # AES-256
_NONCE_BYTES = 12  # of GCM (NIST SP 800-38D, section 8.2)
_MAGIC = b"VCR1"
_MARGIN = 0.8  # of the box on each side: room for every alignment, also of a leaning face
_FACE_PX = 320  # larger faces are shrunk to this: every embedder here looks at 112 to 160 px
_MAX_PIXELS = 4_000_000


def new_key() -> str:
    """A new random key as text: 32 bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")


def parse_key(text: str) -> bytes:
    """The key from its text.

    Raises:
        InputError: Not 32 bytes in base64. The message does not repeat it.
    """
    try:
        key = base64.urlsafe_b64decode(text.strip().encode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise _key_error() from error
    if len(key) != _KEY_BYTES:
        raise _key_error()
    return key


def _key_error() -> InputError:
    return InputError(
        "a gallery's key must be 32 bytes in URL-safe base64",
        remedy="make one with `vultus gallery key`",
    )


def key_from_environment() -> bytes | None:
    """The key in `KEY_VARIABLE`; ``None`` when the variable is absent or empty.

    Raises:
        InputError: The variable holds no key.
    """
    text = os.environ.get(KEY_VARIABLE, "")
    return parse_key(text) if text else None


def pack_crop(face: Face, key: bytes) -> bytes:
    """Cut out a face with a margin, and encrypt the picture with its box and landmarks.

    AES-256-GCM with a random nonce; the picture is PNG, so nothing is lost but the size of very
    large faces.

    Args:
        face: From a detector.
        key: 32 bytes.

    Raises:
        MissingExtraError: The package ``cryptography`` is not installed.
    """
    image, offset, scale = _cut(face)
    corners = (np.array(face.box.xyxy).reshape(2, 2) - offset) * scale
    about = {
        "box": corners.ravel().tolist(),
        "score": face.score,
        "points": None
        if face.landmarks is None
        # Box edges scale about the corner, points are pixel centres half a pixel in.
        else ((face.landmarks.points - offset + 0.5) * scale - 0.5).tolist(),
    }
    header = json.dumps(about).encode("ascii")
    done, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise GalleryError("a crop cannot be encoded")
    plain = len(header).to_bytes(4, "little") + header + png.tobytes()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed: bytes = _cipher(key).encrypt(nonce, plain, _MAGIC)
    return _MAGIC + nonce + sealed


def unpack_crop(data: bytes, key: bytes) -> Face:
    """The face again, in a picture of its own.

    Raises:
        GalleryError: The key is another one, or the data were changed.
        MissingExtraError: The package ``cryptography`` is not installed.
    """
    if not data.startswith(_MAGIC):
        raise GalleryError("a crop must be one that vultus encrypted")
    from_here = len(_MAGIC) + _NONCE_BYTES
    cipher = _cipher(key)
    from cryptography.exceptions import InvalidTag

    try:
        plain: bytes = cipher.decrypt(data[len(_MAGIC) : from_here], data[from_here:], _MAGIC)
    except (InvalidTag, ValueError) as error:  # the latter for data cut short
        raise GalleryError(
            "a crop cannot be decrypted: it was changed, or made with another key",
            remedy=f"set {KEY_VARIABLE} to the key it was enrolled with",
        ) from error
    length = int.from_bytes(plain[:4], "little")
    about = json.loads(plain[4 : 4 + length])
    image = cv2.imdecode(np.frombuffer(plain[4 + length :], np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape[0] * image.shape[1] > _MAX_PIXELS:
        raise GalleryError("a crop holds no picture")
    frame = Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
    points = about["points"]
    landmarks = None if points is None else Landmarks(np.array(points, np.float32))
    return Face(Box(*about["box"]), float(about["score"]), landmarks, frame)


def _cut(face: Face) -> tuple[Image, NDArray[np.float64], NDArray[np.float64]]:
    """The face with its margin, where (x, y) it lies in the picture, and its scale (x, y)."""
    box, image = face.box, face.frame.image
    margin = _MARGIN * max(box.width_px, box.height_px)
    left = max(0, int(box.x1 - margin))
    top = max(0, int(box.y1 - margin))
    right = min(face.frame.width_px, int(np.ceil(box.x2 + margin)))
    bottom = min(face.frame.height_px, int(np.ceil(box.y2 + margin)))
    if right <= left or bottom <= top:
        raise GalleryError("a face outside its picture cannot be kept")
    part = image[top:bottom, left:right]
    whole_wh = np.array([right - left, bottom - top], np.float64)
    wanted = min(1.0, _FACE_PX / max(box.width_px, box.height_px))
    size_wh = np.maximum(1, np.rint(whole_wh * wanted)).astype(int)
    if wanted < 1.0:
        size = (int(size_wh[0]), int(size_wh[1]))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    return part, np.array([left, top], np.float64), size_wh / whole_wh


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise MissingExtraError(
            "keeping encrypted crops takes the package cryptography",
            remedy="pip install 'vultus[crops]'",
        ) from error
    return AESGCM(key)
