"""Search in Milvus: it proposes samples, the records say whose they are and how similar."""

# ruff: noqa: S608 - only placeholders, integers and words of our own are put together

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.milvus.engine import MOST_HITS, Hit, MilvusEngine
from vultus.gallery.milvus.mirror import Mark
from vultus.gallery.records.change import Connection, chunks, marks, read_state
from vultus.gallery.records.find import SPACE_STRIDE
from vultus.gallery.search.candidates import Candidate, Proposal, rounding, search_until_certain
from vultus.types import Match

__all__ = ["MilvusSearch", "Moved"]

_ROWS_PER_PERSON = 4  # asked for at first
_APPROXIMATE_ROWS = 100  # and from an approximate index at least: breadth is what finds people
_QUERIES_PER_CALL = 64
_IN_GROUPS = (
    " AND EXISTS (SELECT 1 FROM membership m WHERE m.person_key = s.person_key"
    " AND m.group_key IN {0}) AND (s.scope_key IS NULL OR s.scope_key IN {0})"
)


class Moved(Exception):  # noqa: N818 - never leaves the gallery
    """The records changed while Milvus was searched: its answer is neither of before nor after."""


class MilvusSearch(NamedTuple):
    """A search of one state of the records.

    Attributes:
        engine: Milvus.
        reading: Gives a connection to the records.
        mark: The state, which Milvus had reached.
        exact: Whether Milvus compares every row.
        groups: Keys of the groups to search in, or ``None``.
    """

    engine: MilvusEngine
    reading: Callable[[], AbstractContextManager[Connection]]
    mark: Mark
    exact: bool
    groups: Sequence[int] | None

    def people(
        self, queries: NDArray[np.float32], k: int, min_similarity: float | None
    ) -> list[list[Match]] | None:
        """For each query the nearest people; ``None`` when Milvus does not give enough rows.

        Convention:
            queries: (q, d) float32, unit rows.

        Raises:
            Moved: The records are in another state by now.
        """
        first = self._first(k)
        found = []
        for start in range(0, len(queries), _QUERIES_PER_CALL):
            part = queries[start : start + _QUERIES_PER_CALL]
            answers = self._proposals(part, first)
            for query, answer in zip(part, answers, strict=True):
                matches = self._settle(query, k, first, answer, min_similarity)
                if matches is None:
                    return None
                found.append(matches)
        return found

    def proposed(self, query: NDArray[np.float32]) -> Sequence[Candidate]:
        """The samples that a search for one person looks at first."""
        return self._proposals(query[None], self._first(1))[0].candidates

    def _first(self, k: int) -> int:
        """How many rows to ask for at first."""
        rows = min(_ROWS_PER_PERSON * k, MOST_HITS)
        return rows if self.exact else max(rows, _APPROXIMATE_ROWS)

    def _settle(
        self,
        query: NDArray[np.float32],
        k: int,
        first: int,
        answer: Proposal,
        min_similarity: float | None,
    ) -> list[Match] | None:
        def propose(limit: int) -> Proposal:
            return answer if limit == first else self._proposals(query[None], limit)[0]

        return search_until_certain(
            propose,
            query,
            k,
            first=first,
            most=MOST_HITS,
            margin=rounding(len(query)) if self.exact else None,
            min_similarity=min_similarity,
        )

    def _proposals(self, queries: NDArray[np.float32], limit: int) -> list[Proposal]:
        answers = self.engine.search(self.mark.collection, queries, limit, self.groups)
        numbers = sorted({hit.number for hits in answers for hit in hits})
        with self.reading() as connection:
            if read_state(connection).revision != self.mark.revision:
                raise Moved
            known = self._candidates(connection, numbers)
        return [_proposal(hits, known, limit) for hits in answers]

    def _candidates(self, connection: Connection, numbers: Sequence[int]) -> dict[int, Candidate]:
        """These samples, as far as the records have them and they count in the groups."""
        base = self.mark.space_key * SPACE_STRIDE
        groups = list(self.groups or ())
        within = _IN_GROUPS.format(marks(groups)) if groups else ""
        known: dict[int, Candidate] = {}
        for part in chunks(numbers):
            rows = connection.execute(
                "SELECT s.number, p.id, p.name, e.vector FROM sample s"
                f" JOIN embedding e ON e.id = s.number + {base:d}"
                f" JOIN person p ON p.key = s.person_key WHERE s.number IN {marks(part)}{within}",
                [*part, *groups, *groups],
            ).fetchall()
            vectors = connection.unpack([row[3] for row in rows])
            for (number, person, name, _), vector in zip(rows, vectors, strict=True):
                known[number] = Candidate(number, person, name, vector)
        return known


def _proposal(hits: Sequence[Hit], known: dict[int, Candidate], limit: int) -> Proposal:
    candidates = [known[hit.number] for hit in hits if hit.number in known]
    return Proposal(candidates, hits[-1].score if hits else -np.inf, len(hits) < limit)
