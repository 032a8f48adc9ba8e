"""What every gallery can do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

from vultus.gallery._directory import Directory, Orphans
from vultus.gallery._errors import closed_error, unknown_person_error
from vultus.gallery._rules import check_k, check_space, check_spaces, clean_name, name_or_none
from vultus.gallery.values import (
    AuditEntry,
    Finding,
    GalleryInfo,
    NewSample,
    Person,
    QualityRecord,
    Record,
    Sample,
    SpaceInfo,
)
from vultus.types import Embedding, EmbeddingSpace, Match, Quality

__all__ = [
    "Gallery",
    "NewSample",
    "Orphans",
    "Person",
    "Template",
    "check_k",
    "check_space",
    "check_spaces",
    "clean_name",
    "closed_error",
    "name_or_none",
    "unknown_person_error",
]

Template: TypeAlias = Literal["best", "fused"]
"""What a person is compared by: their best sample, or the normalised mean of their samples."""


class Gallery(Directory, Protocol):
    """Known people, their faces and the groups they are in.

    All backends give the same answers: where `info` says that search is exact, similarities are
    computed in double precision from the stored float32 vectors. Sample numbers count up from 1
    and are never used again. Every method may be called from several threads; each change is made
    wholly or not at all, and is on record in the audit log once it is made. Used after `close`,
    every method raises `GalleryError`.

    Ids and names are trimmed, brought to Unicode's composed form (NFC), 1 to 256 bytes of UTF-8,
    without control characters. Methods raise `RangeError` or `DtypeError` for arguments that
    cannot be stored, `UnknownPersonError`, `UnknownGroupError` or `UnknownSampleError` for what
    is not there, and `GalleryFileError` or `GalleryServerError` where the store fails; nothing
    was changed then.
    """

    # -- faces ----------------------------------------------------------------------------------

    @property
    def space(self) -> EmbeddingSpace | None:
        """The active space; ``None`` until the first sample fixes it.

        It stays when everybody has been removed.
        """
        ...

    def add(
        self,
        person: str,
        embedding: Embedding,
        source_digest: str | None = None,
        source: str | None = None,
        *,
        group: str | None = None,
        quality: Quality | QualityRecord | None = None,
        crop: bytes | None = None,
        allow_duplicates: bool = False,
    ) -> int:
        """Enrol one face; the person is made when new.

        Args:
            person: Their id.
            embedding: The face, in the active space.
            source_digest: What identifies the picture, usually its SHA-256.
            source: Where the picture came from, at most 4096 bytes.
            group: Scope: the face counts in this group only; made, and joined, when needed.
            quality: What was measured of the face.
            crop: Its picture as opaque bytes, encrypted by the caller.
            allow_duplicates: Take a picture the person already holds.

        Returns:
            The number of the new sample.

        Raises:
            SpaceMismatchError: The embedding lives in another space than the active one.
            DuplicateSampleError: The person holds a sample of this `source_digest` in this scope.
        """
        item = NewSample(
            person, embedding, source_digest, source, group=group, quality=quality, crop=crop
        )
        return self.add_many([item], allow_duplicates=allow_duplicates)[0]

    def add_many(self, items: Iterable[NewSample], *, allow_duplicates: bool = False) -> list[int]:
        """Enrol many faces in one change: all of them, or none.

        Returns:
            The numbers of the new samples, ascending, in the order of `items`.

        Raises:
            SpaceMismatchError: An embedding lives in another space than the active one.
            DuplicateSampleError: An item repeats a digest of its person and scope.
        """
        ...

    def replace(
        self,
        person: str,
        items: Iterable[NewSample],
        *,
        group: str | None = None,
        allow_duplicates: bool = False,
    ) -> list[int]:
        """Erase a person's samples and enrol others, in one change.

        Args:
            person: Their id; made when new.
            items: New samples, all of this person; with `group`, all of this scope.
            group: Erase only the samples of this scope.
            allow_duplicates: As in `add_many`.

        Returns:
            The numbers of the new samples.
        """
        ...

    def samples(
        self,
        *,
        person: str | None = None,
        group: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Sample]:
        """Samples in the order of their numbers, a page at a time.

        Args:
            person: Only theirs.
            group: Only those that count in a search of this group.
            after: Only higher numbers: the last one of the page before.
            limit: At most so many.
        """
        ...

    def sample(self, number: int) -> Sample:
        """One sample."""
        ...

    def embedding(self, number: int, space: EmbeddingSpace | None = None) -> Embedding:
        """The embedding of a sample in `space`, or in the active one.

        Raises:
            SpaceMismatchError: It has none there.
        """
        ...

    def crop(self, number: int) -> bytes | None:
        """The crop kept with a sample, or ``None``."""
        ...

    def move_samples(self, numbers: Iterable[int], person: str) -> int:
        """Give samples to another person, who joins the groups of their scopes where needed.

        Returns:
            How many changed hands.

        Raises:
            DuplicateSampleError: The person holds one of these pictures already.
        """
        ...

    def remove_samples(self, numbers: Iterable[int]) -> int:
        """Erase samples; the people stay.

        Returns:
            How many were erased.
        """
        ...

    # -- search ---------------------------------------------------------------------------------

    def search(
        self,
        embedding: Embedding,
        k: int = 5,
        *,
        groups: Collection[str] | None = None,
        min_similarity: float | None = None,
        template: Template = "best",
    ) -> list[Match]:
        """Find the `k` people most like `embedding`.

        Args:
            embedding: In the active space.
            k: At most so many people.
            groups: Only members of any of these, and of their samples those without a scope or
                scoped to one of these. ``None``: everybody, by all their samples.
            min_similarity: Only people at least so similar.
            template: ``best`` compares with each of a person's samples and takes the best (the
                older one on a tie); ``fused`` with the normalised mean of those that count.

        Returns:
            Matches, one per person, best first, equal similarities in the order of ids. Empty
            for an empty gallery. A match's ``sample`` is the person's best one either way.

        Raises:
            RangeError: `k` is below 1, or `groups` is empty.
            SpaceMismatchError: The embedding lives in another space than the active one.
        """
        return self.search_many(
            [embedding], k, groups=groups, min_similarity=min_similarity, template=template
        )[0]

    def search_many(
        self,
        embeddings: Sequence[Embedding],
        k: int = 5,
        *,
        groups: Collection[str] | None = None,
        min_similarity: float | None = None,
        template: Template = "best",
    ) -> list[list[Match]]:
        """Search for several faces at once; far cheaper per face than `search`.

        Returns:
            For each embedding what `search` returns for it.
        """
        ...

    # -- spaces ---------------------------------------------------------------------------------

    def spaces(self) -> list[SpaceInfo]:
        """Every space the gallery keeps, in the order they were added."""
        ...

    def add_space(self, space: EmbeddingSpace) -> None:
        """Keep embeddings of another space beside; known already, nothing happens.

        The first space of a gallery becomes the active one.
        """
        ...

    def pending(self, space: EmbeddingSpace, *, after: int = 0, limit: int = 100) -> list[Sample]:
        """Samples that lack an embedding in `space`, in the order of their numbers.

        Raises:
            SpaceMismatchError: The space was not added.
        """
        ...

    def put_embeddings(self, space: EmbeddingSpace, items: Iterable[tuple[int, Embedding]]) -> int:
        """Keep further embeddings of samples; one that is there is replaced.

        Returns:
            How many were kept.

        Raises:
            SpaceMismatchError: The space was not added, or an embedding lives elsewhere.
        """
        ...

    def activate(self, space: EmbeddingSpace, *, allow_missing: bool = False) -> None:
        """Search in this space from now on; new samples need an embedding there.

        Also the way back to the former space, as long as it is kept.

        Args:
            space: One that was added.
            allow_missing: Go on although samples lack an embedding there; they are not found
                until they have one.

        Raises:
            SpaceMismatchError: The space was not added.
            GalleryError: Samples lack an embedding there.
        """
        ...

    def drop_space(self, space: EmbeddingSpace) -> int:
        """Erase a space that is not active, with all embeddings there.

        Returns:
            How many embeddings were erased.

        Raises:
            SpaceMismatchError: The space was not added.
            GalleryError: It is the active one.
        """
        ...

    # -- the whole ------------------------------------------------------------------------------

    def audit(
        self, *, person: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[AuditEntry]:
        """The log of changes, oldest first, a page at a time.

        Args:
            person: Only entries about them; they may have been removed.
            after: Only higher numbers: the last one of the page before.
            limit: At most so many.
        """
        ...

    def verify(self) -> list[Finding]:
        """Examine everything that is stored; an empty list: all is sound.

        Looked at are the store's own integrity, references, every vector, the audit log's chain,
        what erased data may have left behind, and whether the index agrees with the records.
        """
        ...

    def info(self) -> GalleryInfo:
        """The gallery at a glance."""
        ...

    def optimise(self) -> None:
        """Build or refresh the approximate index, where the gallery is large enough for one."""
        ...

    def dump(self) -> Iterator[Record]:
        """Everything the gallery keeps, as of one moment."""
        ...

    def restore(self, records: Iterable[Record]) -> None:
        """Take over what another gallery's `dump` gave: numbers, times, crops and log included.

        Raises:
            GalleryError: This gallery is not empty, or the records contradict one another.
        """
        ...

    def __len__(self) -> int:
        """Number of samples; a gallery without any is therefore falsy."""
        ...

    def __contains__(self, person: object) -> bool:
        """Whether somebody has this id."""
        ...

    def close(self) -> None:
        """Let the store go; a second call does nothing."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
