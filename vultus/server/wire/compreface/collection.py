"""A tenant's gallery as CompreFace's collection of subjects and their examples."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from vultus.errors import PersonExistsError, UnknownPersonError, UnknownSampleError
from vultus.gallery import Gallery, NewSample
from vultus.gallery.values import Sample
from vultus.server.ids import SampleIds
from vultus.server.wire.compreface.errors import CompreFaceError, unknown_subject
from vultus.server.wire.compreface.names import find_subject
from vultus.server.wire.compreface.query import Page

__all__ = ["Collection"]

_PAGE = 1000


class Collection:
    """Subjects are people, whatever the case of their names; examples are their samples.

    Args:
        gallery: The tenant's.
        ids: What its samples are called outside.
        naming: Held from looking for a name until it is given, so that no two requests of this
            process make two subjects whose names differ by case.
    """

    def __init__(self, gallery: Gallery, ids: SampleIds, naming: threading.Lock) -> None:
        self.gallery = gallery
        self._ids = ids
        self._naming = naming

    # -- subjects -------------------------------------------------------------------------------

    def subjects(self) -> list[str]:
        """Everybody's names, in the gallery's order."""
        return [person.id for person in self.gallery.people()]

    def add_subject(self, name: str) -> None:
        """Make a subject without examples.

        Raises:
            CompreFaceError: There is one of this name (43).
        """
        with self._naming:
            if find_subject(self.gallery, name) is not None:
                raise CompreFaceError(400, 43, "Subject already exists")
            self.gallery.put_person(name)

    def rename(self, name: str, new_name: str) -> bool:
        """Call a subject otherwise; where another one has that name, they become one.

        Returns:
            Whether anything changed.

        Raises:
            CompreFaceError: There is no such subject (42).
        """
        with self._naming:
            old = self._required(name)
            if old == new_name:
                return False
            other = find_subject(self.gallery, new_name)
            try:
                if other is None or other == old:
                    self._renamed(old, new_name)
                else:
                    self.gallery.merge(other, old)
            except UnknownPersonError as error:  # erased meanwhile
                raise unknown_subject(name) from error
        return True

    def _renamed(self, old: str, new_name: str) -> None:
        try:
            self.gallery.rename(old, new_name)
        except PersonExistsError:  # another process made them meanwhile
            self.gallery.merge(new_name, old)

    def remove_subject(self, name: str) -> int:
        """Erase a subject with all examples.

        Returns:
            How many examples there were.

        Raises:
            CompreFaceError: There is no such subject (42).
        """
        try:
            return self.gallery.remove(self._required(name))
        except UnknownPersonError as error:
            raise unknown_subject(name) from error

    def remove_everybody(self) -> tuple[int, int]:
        """Erase all subjects.

        Returns:
            How many subjects, and how many examples.
        """
        people = examples = 0
        for person in self.gallery.people():
            with suppress(UnknownPersonError):  # erased meanwhile
                examples += self.gallery.remove(person.id)
                people += 1
        return people, examples

    def _required(self, name: str) -> str:
        found = find_subject(self.gallery, name)
        if found is None:
            raise unknown_subject(name)
        return found

    # -- examples -------------------------------------------------------------------------------

    def add(self, sample: NewSample) -> str:
        """Keep an example of a subject, made when new; the same picture may be kept twice.

        Args:
            sample: Its person is the subject in whatever case.

        Returns:
            The example's UUID.
        """
        with self._naming:
            known = find_subject(self.gallery, sample.person)
            if known is not None and known != sample.person:
                sample = replace(sample, person=known)
            (number,) = self.gallery.add_many([sample], allow_duplicates=True)
        return self._ids.to_uuid(number)

    def examples(self, page: Page, subject: str | None) -> dict[str, Any]:
        """A page of examples in the order they were kept, and how many there are."""
        person, total = None, len(self.gallery)
        if subject is not None:
            person = find_subject(self.gallery, subject)
            total = 0 if person is None else self._count(person)
        first = page.number * page.size
        shown = self._slice(person, first, page.size) if first < total else []
        return {
            "faces": [self._told(sample) for sample in shown],
            "page_number": page.number,
            "page_size": page.size,
            "total_pages": -(-total // page.size),
            "total_elements": total,
        }

    def _count(self, person: str) -> int:
        try:
            return self.gallery.person(person).samples
        except UnknownPersonError:
            return 0

    def _slice(self, person: str | None, first: int, size: int) -> list[Sample]:
        """So many samples after the first ones, which are passed over page by page."""
        after = 0
        with suppress(UnknownPersonError):
            while first > 0:
                skipped = self.gallery.samples(person=person, after=after, limit=min(first, _PAGE))
                if not skipped:
                    return []
                first -= len(skipped)
                after = skipped[-1].number
            return self.gallery.samples(person=person, after=after, limit=size)
        return []

    def sample(self, image_id: str) -> Sample | None:
        """The sample of an example's UUID; ``None`` for whatever this tenant does not have."""
        number = self._ids.number(image_id)
        if number is None:
            return None
        try:
            return self.gallery.sample(number)
        except UnknownSampleError:
            return None

    def remove_examples_of(self, subject: str) -> int:
        """Erase a subject with all examples; 0 where there is no such subject."""
        try:
            return self.remove_subject(subject)
        except CompreFaceError:
            return 0

    def remove_examples(self, image_ids: Sequence[str]) -> list[dict[str, str]]:
        """Erase examples; what was erased, unknown ones passed over."""
        found = {image_id: self.sample(image_id) for image_id in dict.fromkeys(image_ids)}
        known = {image_id: sample for image_id, sample in found.items() if sample is not None}
        gone: list[dict[str, str]] = []
        for sample in known.values():
            with suppress(UnknownSampleError):  # erased meanwhile
                self.gallery.remove_samples([sample.number])
                gone.append(self._told(sample))
        return gone

    def _told(self, sample: Sample) -> dict[str, str]:
        return {"image_id": self._ids.to_uuid(sample.number), "subject": sample.person}
