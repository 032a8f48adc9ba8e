"""Pictures that wait for a job: in one nameless file, so that many jobs fill no memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from vultus.server.routes._body import Upload

__all__ = ["Spool"]


class Spool:
    """Pictures in a temporary file, which is gone with this object, also after a crash.

    Args:
        pictures: Are written down at once.
    """

    def __init__(self, pictures: Iterable[Upload]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        self._entries: list[tuple[int, bool, str | None]] = []
        for picture in pictures:
            data = picture.data
            text = isinstance(data, str)
            encoded = data.encode("utf-8", "replace") if isinstance(data, str) else data
            self._file.write(encoded)
            self._entries.append((len(encoded), text, picture.name))

    def __iter__(self) -> Iterator[Upload]:
        """The pictures, in order, one in memory at a time."""
        self._file.seek(0)
        for size, text, name in self._entries:
            data = self._file.read(size)
            yield Upload(data.decode("utf-8") if text else data, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
