"""Who the rows of an index belong to: people as slots, their labels and their groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["People"]

Slots = NDArray[np.int32]


class People:
    """Person keys as slots (whole numbers from 0), with labels and group members.

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
        self._slot_of: dict[int, int] = {}
        self._free: list[int] = []
        self._shared = False

    def __len__(self) -> int:
        return len(self.ids)

    def share(self) -> None:
        """Note that a snapshot holds the lists from now on."""
        self._shared = True

    def slots(self, people: ArrayLike) -> Slots:
        """The slots of person keys; new people get one, and their key for a label."""
        keys, owner = np.unique(np.asarray(people, dtype=np.int64), return_inverse=True)
        return np.array([self._slot(key) for key in keys.tolist()], dtype=np.int32)[owner]

    def known(self, people: Iterable[int]) -> list[int]:
        """The slots of those of some keys that have one."""
        return [self._slot_of[key] for key in map(int, people) if key in self._slot_of]

    def _slot(self, key: int) -> int:
        slot = self._slot_of.get(key)
        if slot is None:
            if self._free:
                slot = self._free.pop()
                self._label(slot, f"#{key}", f"#{key}")
            else:
                slot = len(self.ids)
                self.ids.append(f"#{key}")
                self.names.append(f"#{key}")
            self._slot_of[key] = slot
        return slot

    def label(self, people: Sequence[int], ids: Sequence[str], names: Sequence[str]) -> None:
        """Set ids and display names."""
        for key, name_id, name in zip(people, ids, names, strict=True):
            fresh = len(self.ids)
            slot = self._slot(int(key))
            if slot == fresh:  # no snapshot covers it yet
                self.ids[slot], self.names[slot] = name_id, name
            elif (self.ids[slot], self.names[slot]) != (name_id, name):
                self._label(slot, name_id, name)

    def _label(self, slot: int, name_id: str, name: str) -> None:
        if self._shared:
            self.ids, self.names = list(self.ids), list(self.names)
            self._shared = False
        self.ids[slot], self.names[slot] = name_id, name

    def forget(self, people: Iterable[int]) -> list[int]:
        """Let go of people's labels and memberships; their slots, to be used again."""
        gone = self.known(people)
        for key in map(int, people):
            self._slot_of.pop(key, None)
        for slot in gone:
            self._label(slot, "", "")
        if gone:
            away = np.array(gone, dtype=np.int32)
            self.members = {
                group: own[~np.isin(own, away)] if np.isin(away, own).any() else own
                for group, own in self.members.items()
            }
        self._free.extend(gone)
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
