from __future__ import annotations

import pytest

from vultus.server.routes._body import Upload
from vultus.server.routes._spool import Spool

PICTURES = [Upload(b"\xff\xd8", "a.jpg"), Upload("/9j/\u00e4"), Upload(b"", "empty"), Upload("")]


def test_pictures_come_back_as_they_were() -> None:
    with Spool(PICTURES) as spool:
        assert list(spool) == PICTURES
        assert list(spool) == PICTURES


def test_none_at_all() -> None:
    with Spool([]) as spool:
        assert list(spool) == []


def test_closed_it_is_gone() -> None:
    with Spool(PICTURES) as spool:
        pass
    with pytest.raises(ValueError, match="closed"):
        list(spool)
