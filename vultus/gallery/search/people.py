"""Who the rows of an index belong to: people as slots, their labels and their groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["People"]

Slots = NDArray[np.int32]


class People:
    """Person keys as slots (whole numbers from 0), with labels and group members.

    Keys are a database's: whole numbers from 0 that were counted up, so an array leads from
    them to the slots.

    What a snapshot was given is never changed: lists only grow behind what it covers, or are
    copied before an entry changes; arrays of members are replaced.

    Attributes:
        ids: Per slot the person's id.
        names: Per slot what they are called.
        members: Group key -> the slots of its people.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.names: list[str] = []
        self.members: Mapping[int, Slots] = {}
        self._slot_of = np.empty(0, dtype=np.int32)  # -1: nobody
        self._free: list[int] = []
        self._shared = False

    def __len__(self) -> int:
        return len(self.ids)

    def share(self) -> None:
        """Note that a snapshot holds the lists from now on."""
        self._shared = True

    def slots(self, people: ArrayLike) -> Slots:
        """The slots of person keys; new people get one, without a label yet."""
        keys = np.asarray(people, dtype=np.int64)
        highest = int(keys.max(initial=-1))
        if highest >= len(self._slot_of):
            larger = np.full(highest + 1 + highest // 8, -1, dtype=np.int32)
            larger[: len(self._slot_of)] = self._slot_of
            self._slot_of = larger
        found = self._slot_of[keys]
        if (found < 0).any():
            new = np.unique(keys[found < 0])
            self._slot_of[new] = self._new_slots(len(new))
            found = self._slot_of[keys]
        return found

    def known(self, people: Iterable[int]) -> Slots:
        """The slots of those of some keys that have one."""
        keys = np.array(list(people), dtype=np.int64)
        slots = self._slot_of[keys[keys < len(self._slot_of)]]
        return slots[slots >= 0]

    def _new_slots(self, count: int) -> list[int]:
        """Slots that were used before, then new ones."""
        again = [self._free.pop() for _ in range(min(count, len(self._free)))]
        first, more = len(self.ids), count - len(again)
        self.ids += [""] * more
        self.names += [""] * more
        return [*again, *range(first, first + more)]

    def label(self, people: Sequence[int], ids: Sequence[str], names: Sequence[str]) -> None:
        """Set ids and display names."""
        covered = len(self.ids) if self._shared else 0  # what comes behind no snapshot has
        slots = self.slots(people).tolist()
        for slot, name_id, name in zip(slots, ids, names, strict=True):
            called = name_id if name == name_id else name  # most names are ids: one string each
            if slot >= covered:
                self.ids[slot], self.names[slot] = name_id, called
            elif (self.ids[slot], self.names[slot]) != (name_id, name):
                self._label(slot, name_id, called)
                covered = 0

    def _label(self, slot: int, name_id: str, name: str) -> None:
        if self._shared:
            self.ids, self.names = list(self.ids), list(self.names)
            self._shared = False
        self.ids[slot], self.names[slot] = name_id, name

    def forget(self, people: Iterable[int]) -> Slots:
        """Let go of people's labels and memberships; their slots, to be used again."""
        keys = np.unique(np.array(list(people), dtype=np.int64))
        gone = self.known(keys)
        self._slot_of[keys[keys < len(self._slot_of)]] = -1
        for slot in gone.tolist():
            self._label(slot, "", "")
        self.members = {
            group: own[~np.isin(own, gone)] if np.isin(gone, own).any() else own
            for group, own in self.members.items()
        }
        self._free.extend(gone.tolist())
        return gone

    def set_members(self, people: ArrayLike, groups: ArrayLike) -> None:
        """Replace all memberships by these pairs."""
        slots, keys = self.slots(people), np.asarray(groups, dtype=np.int64)
        order = np.argsort(keys, kind="stable")
        found, begins = np.unique(keys[order], return_index=True)
        parts = np.split(slots[order], begins[1:]) if len(found) else []
        self.members = dict(zip(found.tolist(), parts, strict=True))

    def set_group(self, group: int, people: ArrayLike) -> None:
        """Replace the members of one group."""
        slots = self.slots(people)
        members = {key: own for key, own in self.members.items() if key != group}
        self.members = members | ({int(group): slots} if len(slots) else {})

    def join(self, person: int, group: int) -> None:
        """Add one membership."""
        slot = self.slots([person])
        own = self.members.get(group, np.empty(0, dtype=np.int32))
        if slot[0] not in own:
            self.members = {**self.members, int(group): np.concatenate((own, slot))}

    def leave(self, person: int, group: int) -> None:
        """Take one membership away."""
        own = self.members.get(group)
        if own is not None:
            kept = own[~np.isin(own, self.known([person]))]
            self.members = {**self.members, int(group): kept}
