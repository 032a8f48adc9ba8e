"""A folder with one folder per person: what is in it, and which pictures are there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vultus.errors import EmptyGalleryError, InsufficientDataError
from vultus.evaluate._one_picture import digest_of
from vultus.runtime import default_threads, ordered_map
from vultus.sources import people_tree

__all__ = ["Leak", "PeopleTree", "digests_of", "find_leaks", "repeated", "scan_people"]


@dataclass(frozen=True, slots=True)
class PeopleTree:
    """The people of a folder.

    Attributes:
        root: The folder.
        people: Name -> pictures, both in natural order.
        loose: Pictures that lie in `root` itself and belong to nobody.
    """

    root: Path
    people: Mapping[str, tuple[Path, ...]] = field(repr=False)
    loose: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def pictures(self) -> list[Path]:
        """All of them, person after person."""
        return [path for paths in self.people.values() for path in paths]

    @property
    def names(self) -> list[str]:
        """Whom each of `pictures` shows."""
        return [name for name, paths in self.people.items() for _ in paths]

    @property
    def single(self) -> tuple[str, ...]:
        """People with one picture."""
        return tuple(name for name, paths in self.people.items() if len(paths) == 1)


@dataclass(frozen=True, slots=True)
class Leak:
    """One picture, byte by byte, that is in several places.

    Attributes:
        digest: Its SHA-256.
        people: Under whom it lies; several mean that a label is wrong.
        paths: Where it lies.
    """

    digest: str
    people: tuple[str, ...]
    paths: tuple[str, ...]


def scan_people(root: Path) -> PeopleTree:
    """Look through a folder with one folder per person, each of any depth.

    Raises:
        ImageNotFoundError: `root` is no folder.
        InsufficientDataError: It holds no folder with a picture.
    """
    people: dict[str, tuple[Path, ...]] = {}
    loose: list[Path] = []
    try:
        for name, paths in people_tree(root):
            own = tuple(path for path in paths if path.parent != root)
            loose += [path for path in paths if path.parent == root]
            if own:
                people[name] = own
    except EmptyGalleryError:
        pass
    if not people:
        raise InsufficientDataError(
            f"{root} holds no folder with pictures",
            remedy="put the pictures of each person into a folder of their own",
            path=str(root),
        )
    return PeopleTree(root, people, tuple(loose))


def digests_of(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each file, hexadecimal; empty where it cannot be read."""
    found = ordered_map(digest_of, paths, default_threads())
    return [digest.hex() if isinstance(digest, bytes) else "" for digest in found]


def repeated(paths: Sequence[Path], names: Sequence[str], digests: Sequence[str]) -> list[Leak]:
    """Pictures that are there more than once, by where the first one stands."""
    places: dict[str, list[int]] = {}
    for i, digest in enumerate(digests):
        if digest:
            places.setdefault(digest, []).append(i)
    return [
        Leak(
            digest,
            tuple(dict.fromkeys(names[i] for i in where)),
            tuple(str(paths[i]) for i in where),
        )
        for digest, where in places.items()
        if len(where) > 1
    ]


def find_leaks(tree: PeopleTree, other: PeopleTree) -> list[Leak]:
    """Pictures of `tree` that are in `other` too, a training set say.

    Returns:
        One per picture; `Leak.paths` are those of both folders, `Leak.people` the names there.
    """
    ours, theirs = tree.pictures, other.pictures
    known = digests_of(theirs)
    wanted = set(known) - {""}
    both = [
        (path, name, digest)
        for path, name, digest in zip(ours, tree.names, digests_of(ours), strict=True)
        if digest in wanted
    ]
    shared = {digest for _, _, digest in both}
    both += [
        (path, name, digest)
        for path, name, digest in zip(theirs, other.names, known, strict=True)
        if digest in shared
    ]
    return repeated([b[0] for b in both], [b[1] for b in both], [b[2] for b in both])
