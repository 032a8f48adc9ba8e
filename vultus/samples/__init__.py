"""Public-domain pictures that ship with vultus: two people to enrol, five photos to find them in.

Where they come from, and why they may be used, says ``PROVENANCE.md`` beside this file;
``scripts/make_samples.py`` rebuilds them.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

__all__ = ["EXPECTED", "known_dir", "photos_dir"]

EXPECTED: Mapping[str, tuple[str | None, ...]] = MappingProxyType(
    {
        "astronaut.png": (None,),
        "obama2.jpg": ("Barack Obama",),
        "obama3.jpg": ("Barack Obama",),
        "rocket.jpg": (),
        "wall.jpg": ("Joe Biden", None, "Barack Obama"),
    }
)
"""Who is on each photo, from left to right; ``None``: somebody who is not among the known."""


def known_dir() -> Path:
    """The folder with one picture per known person, named after them."""
    return Path(str(files(__name__).joinpath("known")))


def photos_dir() -> Path:
    """The folder with the photos of `EXPECTED`."""
    return Path(str(files(__name__).joinpath("photos")))
