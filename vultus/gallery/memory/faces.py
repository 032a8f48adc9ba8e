"""The part of a gallery in memory that is about faces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vultus.gallery._errors import (
    duplicate_error,
    missing_embedding_error,
)
from vultus.gallery._rules import (
    check_of_person,
    check_page,
    check_spaces,
    clean_group,
    clean_name,
    clean_number,
    clean_numbers,
)
from vultus.gallery.audit import now, ranges
from vultus.gallery.memory.directory import MemoryDirectory
from vultus.gallery.memory.store import StoredGroup, StoredPerson, StoredSample
from vultus.gallery.values import (
    NewSample,
    Sample,
)
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["MemoryFaces"]


class MemoryFaces(MemoryDirectory):
    """Samples and their embeddings; see `Gallery` for what each method does."""

    # -- faces ----------------------------------------------------------------------------------

    @property
    def space(self) -> EmbeddingSpace | None:
        """The active space; see `Gallery.space`."""
        with self._open():
            return self._active

    def add_many(self, items: Iterable[NewSample], *, allow_duplicates: bool = False) -> list[int]:
        """Enrol many faces in one change; see `Gallery.add_many`."""
        batch = list(items)
        with self._open():
            self._require_addable(batch, set(), allow_duplicates=allow_duplicates)
            return self._add(batch)

    def _require_addable(
        self, batch: Sequence[NewSample], erased: set[int], *, allow_duplicates: bool
    ) -> None:
        """Refuse what cannot be added once some samples are erased."""
        check_spaces(self._active, (item.embedding for item in batch))
        if allow_duplicates:
            return
        held = {
            (person, self._samples[number].group, self._samples[number].source_digest)
            for person in {item.person for item in batch} & self._people.keys()
            for number in self._people[person].numbers - erased
        }
        for position, item in enumerate(batch):
            key = (item.person, item.group, item.source_digest)
            if item.source_digest is not None and key in held:
                raise duplicate_error(item.person, item.source_digest, position)
            held.add(key)

    def _add(self, batch: Sequence[NewSample]) -> list[int]:
        if not batch:
            return []
        at = now()
        if batch[0].embedding.space not in self._spaces:
            self._use_space(batch[0].embedding.space)
        for group in dict.fromkeys(item.group for item in batch if item.group):
            if group not in self._groups:
                self._groups[group] = StoredGroup("", at)
                self._log(at, "group.add", group=group)
        own: dict[str, list[int]] = {}
        new: set[str] = set()
        for item in batch:
            if item.person not in self._people:
                self._people[item.person] = StoredPerson(item.person, None, at, at)
                new.add(item.person)
            own.setdefault(item.person, []).append(self._add_one(item, at))
        for person, numbers in own.items():
            detail: dict[str, object] = {"count": len(numbers), "samples": ranges(numbers)}
            groups = {item.group for item in batch if item.person == person and item.group}
            detail |= {"new": True} if person in new else {}
            detail |= {"groups": sorted(groups)} if groups else {}
            self._log(at, "sample.add", person, **detail)
        self._touch(own, at)
        added = list(range(self._last_sample - len(batch) + 1, self._last_sample + 1))
        self._extend_index(added, list(own))
        return added

    def _add_one(self, item: NewSample, at: str) -> int:
        self._last_sample += 1
        self._samples[self._last_sample] = StoredSample(
            item.person,
            item.group,
            item.source_digest,
            item.source,
            item.quality,  # type: ignore[arg-type]  # a record by now
            item.crop,
            at,
            {item.embedding.space: item.embedding},
        )
        person = self._people[item.person]
        person.numbers.add(self._last_sample)
        if item.group is not None:
            person.infos.setdefault(item.group, "")
        return self._last_sample

    def replace(
        self,
        person: str,
        items: Iterable[NewSample],
        *,
        group: str | None = None,
        allow_duplicates: bool = False,
    ) -> list[int]:
        """Erase a person's samples and enrol others; see `Gallery.replace`."""
        who, batch = clean_name(person), list(items)
        scope = None if group is None else clean_group(group)
        check_of_person(who, scope, ((item.person, item.group) for item in batch))
        with self._change() as at:
            if not batch:
                self._require_person(who)
                if scope is not None:
                    self._require_group(scope)
            old = self._numbers(who, scope) if who in self._people else []
            self._require_addable(batch, set(old), allow_duplicates=allow_duplicates)
            if old:
                self._log_samples(at, "sample.remove", old)
                self._erase(old)
                self._touch([who], at)
            return self._add(batch)

    def samples(
        self,
        *,
        person: str | None = None,
        group: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Sample]:
        """Samples in the order of their numbers; see `Gallery.samples`."""
        check_page(after, limit)
        who = None if person is None else clean_name(person)
        where = None if group is None else clean_group(group)
        with self._open():
            if who is not None:
                self._require_person(who)
            if where is not None:
                self._require_group(where)
            found = [
                number
                for number, sample in self._samples.items()
                if number > after and who in (None, sample.person) and self._counts(sample, where)
            ]
            return [self._sample_value(number) for number in sorted(found)[:limit]]

    def _counts(self, sample: StoredSample, group: str | None) -> bool:
        """Whether a sample counts in a search of a group."""
        if group is None or sample.group == group:
            return True
        return sample.group is None and group in self._people[sample.person].infos

    def sample(self, number: int) -> Sample:
        """One sample; see `Gallery.sample`."""
        wanted = clean_number(number)
        with self._open():
            self._require_sample(wanted)
            return self._sample_value(wanted)

    def embedding(self, number: int, space: EmbeddingSpace | None = None) -> Embedding:
        """The embedding of a sample; see `Gallery.embedding`."""
        wanted = clean_number(number)
        with self._open():
            held = self._require_sample(wanted).embeddings
            where = space or self._active or next(iter(held))
            self._require_space(where)
            if where not in held:
                raise missing_embedding_error(wanted, where)
            return held[where]

    def crop(self, number: int) -> bytes | None:
        """The crop kept with a sample; see `Gallery.crop`."""
        wanted = clean_number(number)
        with self._open():
            return self._require_sample(wanted).crop

    def move_samples(self, numbers: Iterable[int], person: str) -> int:
        """Give samples to another person; see `Gallery.move_samples`."""
        wanted, who = clean_numbers(numbers), clean_name(person)
        with self._change() as at:
            target = self._require_person(who)
            moved = [n for n in wanted if self._require_sample(n).person != who]
            self._refuse_duplicates(who, moved, self._held(who))
            if not moved:
                return 0
            givers = {self._samples[n].person for n in moved}
            self._log_samples(at, "sample.give", moved, to=self._subject(who))
            self._assign(moved, who)
            for number in moved:
                group = self._samples[number].group
                if group is not None:
                    target.infos.setdefault(group, "")
            self._log(at, "sample.take", who, count=len(moved), samples=ranges(moved))
            self._touch({who, *givers}, at)
            return len(moved)

    def remove_samples(self, numbers: Iterable[int]) -> int:
        """Erase samples; see `Gallery.remove_samples`."""
        wanted = clean_numbers(numbers)
        with self._change() as at:
            people = {self._require_sample(number).person for number in wanted}
            self._log_samples(at, "sample.remove", wanted)
            self._erase(wanted)
            self._touch(people, at)
            return len(wanted)

    def __len__(self) -> int:
        with self._open():
            return len(self._samples)
