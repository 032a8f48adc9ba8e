"""What a gallery over SQL records needs of its backend, and how a change is made with it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

from vultus.errors import VultusError
from vultus.gallery.base import Gallery
from vultus.gallery.records.change import Change, Connection, Damage
from vultus.gallery.values import Finding

__all__ = ["RecordsAccess"]


class RecordsAccess(Gallery):
    """Connections to the records; a backend fills in what is abstract."""

    backend: ClassVar[str]

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees one state of the records throughout."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Connection]:
        """A connection within a transaction that no other writer shares; commits at the end."""

    @abstractmethod
    def _streaming(self) -> AbstractContextManager[Connection]:
        """As `_reading`, for reading much: others go on reading and writing meanwhile."""

    @abstractmethod
    def _damaged(self, damage: Damage) -> VultusError:
        """The backend's error for records that contradict themselves."""

    @abstractmethod
    def _place(self) -> tuple[str, int]:
        """Where the records lie, without credentials, and the number of their schema."""

    def _changed(self, change: Change) -> None:
        """Called at the end of each change, within its transaction."""

    def _erased(self) -> None:
        """Called after each change that erased data."""

    def _tidy(self) -> None:
        """Clear away what erasure left behind; may take long."""

    def _verify_store(self) -> Iterator[Finding]:
        """What is wrong with the store itself."""
        yield from ()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """`_reading`, with damage named."""
        try:
            with self._reading() as connection:
                yield connection
        except Damage as damage:
            raise self._damaged(damage) from damage

    @contextmanager
    def _change(self) -> Iterator[Change]:
        """One change: its transaction, its log and news, and the sweep after an erasure."""
        try:
            with self._writing() as connection:
                change = Change(connection)
                yield change
                if change.changed:
                    self._changed(change)
                    change.settle()
        except Damage as damage:
            raise self._damaged(damage) from damage
        if change.erased:
            self._erased()
