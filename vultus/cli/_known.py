"""The people a command compares with: a gallery file, or a folder enrolled on the fly."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vultus.cli._output import warn, with_progress
from vultus.errors import (
    DuplicateSampleError,
    EmptyGalleryError,
    GroupExistsError,
    ModelError,
    NoFaceError,
    VultusError,
)

if TYPE_CHECKING:
    from vultus.gallery import Gallery, NewSample
    from vultus.pipeline import Recognizer

__all__ = ["Tree", "enroll_tree", "join_group", "known_people"]


class Known(NamedTuple):
    """Who is known.

    Attributes:
        gallery: Open.
        failed: How many pictures of a folder could not be used.
    """

    gallery: Gallery
    failed: int


@contextmanager
def known_people(
    source: str | Path, found: Recognizer, *, jobs: int = 1, shown: bool = False
) -> Iterator[Known]:
    """Open a gallery file, or enrol a folder of people in memory.

    In a folder, the largest face of each picture counts; a picture that cannot be used is
    reported on standard error and left out.

    Args:
        source: A gallery, a folder per person, or a folder with one picture per person.
        found: What embeds the faces.
        jobs: Pictures at a time.
        shown: Whether to show progress on a terminal.

    Raises:
        EmptyGalleryError: Nobody could be enrolled.
        GalleryFileError: The file is no gallery.
        SpaceMismatchError: It was made with another model.
        ImageNotFoundError: No such file or folder.
    """
    from vultus.gallery import MemoryGallery, open_gallery
    from vultus.gallery.base import check_space

    if os.path.isdir(source):  # noqa: PTH112 - Path.is_dir raises for some names
        with MemoryGallery() as gallery:
            tree = enroll_tree(Path(source), found, gallery, jobs=jobs, shown=shown)
            yield Known(gallery, tree.failed)
    else:
        with open_gallery(source, create=False) as gallery:
            if len(gallery) == 0:
                raise EmptyGalleryError(f"nobody is enrolled in {source}", path=str(source))
            if gallery.space is not None:
                check_space(gallery.space, found.embedder.space)
            yield Known(gallery, 0)


class Tree(NamedTuple):
    """What became of the pictures of a folder of people.

    Attributes:
        enrolled: How many are new in the gallery.
        known: How many it held already.
        failed: How many could not be used.
    """

    enrolled: int
    known: int
    failed: int


def enroll_tree(
    root: Path,
    found: Recognizer,
    gallery: Gallery,
    *,
    jobs: int,
    shown: bool,
    group: str | None = None,
) -> Tree:
    """Enrol everybody, into a group if wanted.

    Raises:
        EmptyGalleryError: Nobody is in the gallery then.
    """
    from vultus.pipeline import largest_face
    from vultus.runtime import ordered_map
    from vultus.sources import people_tree

    pairs = [(name, path) for name, paths in people_tree(root) for path in paths]

    def one(pair: tuple[str, Path]) -> tuple[str, Path, int, NewSample | VultusError]:
        name, path = pair
        try:
            faces = found.detect(path)
            if not faces:
                raise NoFaceError(f"{path} shows no face", path=str(path))
            return name, path, len(faces), found.sample(name, largest_face(faces))
        except ModelError:  # would fail for every picture
            raise
        except VultusError as error:  # also a folder's name that no person can have
            return name, path, 0, error

    enrolled = known = failed = 0
    results = ordered_map(one, pairs, jobs)
    with with_progress(results, len(pairs), "enrolling", shown=shown) as counted:
        for name, path, faces, sample in counted:
            if isinstance(sample, VultusError):
                warn(f"{name}: {sample.message} [{sample.code}]; this picture is left out")
                failed += 1
                continue
            if faces > 1:
                warn(f"{name}: {path} shows {faces} faces; the largest is taken")
            try:
                gallery.add_many([sample])
                enrolled += 1
            except DuplicateSampleError:
                warn(f"{name}: {path} is the same picture as another; it is left out")
                known += 1
            if group is not None:
                join_group(gallery, name, group)
    if len(gallery) == 0:
        raise EmptyGalleryError(
            f"no picture in {root} could be enrolled",
            remedy="see the warnings above; each person needs one picture with a clear face",
            path=str(root),
        )
    return Tree(enrolled, known, failed)


def join_group(gallery: Gallery, person: str, group: str) -> None:
    """Put a person into a group, which is made when absent; what is noted there stays."""
    if group not in gallery.person(person).groups:
        with contextlib.suppress(GroupExistsError):
            gallery.add_group(group)
        gallery.join(person, group)
