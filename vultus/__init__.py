"""Whose face is this, and how sure are we? Offline, on your own machine.

::

    import vultus

    v = vultus.load()
    v.enroll("family.vultus", "Alice", "alice.jpg")
    for found in v.identify("family.vultus", "party.jpg"):
        print(found.name, found.face.box.xyxy)

Names are imported at first use, so that ``import vultus`` itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vultus.errors import VultusError
    from vultus.gallery import (
        Gallery,
        MemoryGallery,
        NewSample,
        Person,
        SqliteGallery,
        open_gallery,
    )
    from vultus.pipeline import Recognizer, load
    from vultus.sources import Limits, load_frame, load_image, people_tree, walk_images
    from vultus.types import (
        Box,
        Decision,
        Embedding,
        EmbeddingSpace,
        Face,
        Frame,
        Identification,
        Landmarks,
        Match,
        Threshold,
    )

__all__ = [
    "Box",
    "Decision",
    "Embedding",
    "EmbeddingSpace",
    "Face",
    "Frame",
    "Gallery",
    "Identification",
    "Landmarks",
    "Limits",
    "Match",
    "MemoryGallery",
    "NewSample",
    "Person",
    "Recognizer",
    "SqliteGallery",
    "Threshold",
    "VultusError",
    "__version__",
    "load",
    "load_frame",
    "load_image",
    "open_gallery",
    "people_tree",
    "walk_images",
]

__version__ = "0.1.0"

_HOMES = {
    "errors": ("VultusError",),
    "gallery": ("Gallery", "MemoryGallery", "NewSample", "Person", "SqliteGallery", "open_gallery"),
    "pipeline": ("Recognizer", "load"),
    "sources": ("Limits", "load_frame", "load_image", "people_tree", "walk_images"),
    "types": (
        "Box",
        "Decision",
        "Embedding",
        "EmbeddingSpace",
        "Face",
        "Frame",
        "Identification",
        "Landmarks",
        "Match",
        "Threshold",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'vultus' has no attribute {name!r}")
    value: object = getattr(import_module(f"vultus.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
