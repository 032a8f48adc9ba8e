"""Where pictures come from: files, bytes, arrays, folders."""

from vultus.sources.folder import IMAGE_SUFFIXES, expand, people_tree, walk_images
from vultus.sources.image import (
    DEFAULT_LIMITS,
    ImageSource,
    Limits,
    decode_base64,
    load_frame,
    load_image,
)

__all__ = [
    "DEFAULT_LIMITS",
    "IMAGE_SUFFIXES",
    "ImageSource",
    "Limits",
    "decode_base64",
    "expand",
    "load_frame",
    "load_image",
    "people_tree",
    "walk_images",
]
