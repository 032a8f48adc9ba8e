"""The index at one moment: what a search reads, without a lock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search.exact import Found, nearest
from vultus.gallery.search.filter import Filters, Selection, Table
from vultus.gallery.search.fused import nearest_fused
from vultus.gallery.search.int8 import Screen
from vultus.gallery.search.scan import Scanner
from vultus.gallery.search.signs import LIMIT, Signs, make_plan, nearest_by_signs
from vultus.types import Match

__all__ = ["Snapshot", "Template"]

Template: TypeAlias = Literal["best", "fused"]

# Below so many rows that count per candidate, comparing all of them is faster than codes.
_ROWS_PER_CANDIDATE = 16
_CANDIDATES_PER_PERSON = 10  # with fewer, codes are too coarse for the last of the people sought


class Snapshot:
    """The index at one moment; later changes do not touch it.

    Args:
        table: The rows.
        ids: Per slot the person's id; entries past the table's people are of a later moment.
        names: Likewise their display names.
        screen: Codes for exact search.
        signs: The approximate index, or ``None``.
        last_sample: The highest sample number ever put in, 0 for none.
    """

    def __init__(
        self,
        table: Table,
        ids: Sequence[str],
        names: Sequence[str],
        screen: Screen,
        signs: Signs | None,
        last_sample: int,
    ) -> None:
        self.last_sample = last_sample
        self._table = table
        self._ids = ids
        self._names = names
        self._screen = screen
        self._signs = signs
        self._filters = Filters(table)
        self._scanner = Scanner(table, screen, self._filters)

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return self._filters.select(None).count

    @property
    def samples(self) -> NDArray[np.int64]:
        """(rows,) their numbers, in no promised order."""
        dead = self._table.dead
        return self._table.samples if dead is None else self._table.samples[~dead]

    def vector(self, sample: int) -> NDArray[np.float32]:
        """A copy of one sample's vector, (d,) float32.

        Raises:
            KeyError: There is no such sample.
        """
        for row in np.flatnonzero(self._table.samples == sample).tolist():
            if self._table.dead is None or not self._table.dead[row]:
                vector: NDArray[np.float32] = self._table.vectors[row].copy()
                return vector
        raise KeyError(sample)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        groups: Collection[int] | None = None,
        min_similarity: float | None = None,
        template: Template = "best",
    ) -> list[list[Match]]:
        """For each query the `k` nearest people, best first; equal ones in the order of their ids.

        Args:
            queries: (q, d) float32, unit rows.
            k: ≥ 1.
            groups: Only rows that count in one of these groups; ``None``: all.
            min_similarity: No match below it.
            template: What a person is compared by: ``"best"``, their most similar sample, or
                ``"fused"``, the normalised mean of their samples that count. Of fused samples
                that cancel out there is none, and the person is not found.
        """
        selection = self._filters.select(groups)
        if selection.count == 0 or len(queries) == 0:
            return [[] for _ in queries]
        at_least = -np.inf if min_similarity is None else float(min_similarity)
        found = self._found(selection, queries, k, at_least, template)
        return [self._matches(people, k) for people in found]

    def _found(
        self,
        selection: Selection,
        queries: NDArray[np.float32],
        k: int,
        at_least: float,
        template: Template,
    ) -> list[list[Found]]:
        scanner, signs = self._scanner, self._signs
        # A gallery uses codes of one kind: both together take more memory than they are worth.
        coded = signs is None or not self._is_large
        if template == "fused":
            return nearest_fused(scanner, selection, queries, k, at_least, coded=coded)
        if signs is not None and self._is_large:
            candidates = signs.plan.candidates
            many = selection.count > _ROWS_PER_CANDIDATE * candidates
            if many and k <= candidates // _CANDIDATES_PER_PERSON:
                return nearest_by_signs(scanner, signs, selection, queries, k, at_least)
        return nearest(scanner, selection, queries, k, at_least, coded=coded)

    def _matches(self, people: Iterable[Found], k: int) -> list[Match]:
        ids, names = self._ids, self._names
        ordered = sorted(people, key=lambda p: (-p.similarity, ids[p.slot]))
        return [Match(ids[p.slot], p.similarity, p.sample, names[p.slot]) for p in ordered[:k]]

    @property
    def _is_large(self) -> bool:
        return self._table.vectors.size >= LIMIT

    def plan(self) -> str | None:
        """Work out how to search approximately; takes seconds per hundred thousand samples.

        Returns:
            A plan for `VectorIndex.use_plan`, a short text of numbers; ``None`` where exact search
            is fast enough, or where no plan finds what exact search finds.
        """
        if not self._is_large or not hasattr(np, "bitwise_count"):
            return None
        plan = make_plan(self._table)
        return None if plan is None else plan.text()

    def describe(self) -> dict[str, Any]:
        """How this index searches, as the fields of a `SearchInfo`."""
        signs, table = self._signs, self._table
        approximate = signs is not None and self._is_large
        size = len(table) * table.vectors.shape[1]
        limit = f"{LIMIT // table.vectors.shape[1]:,} samples"
        parameters: dict[str, Any] = {"scan": "int8" if self._screen.nbytes else "float32"}
        if approximate and signs is not None:
            plan = signs.plan
            why = f"above {limit} exact search is slow; sign codes were built"
            parameters = {
                "bits": plan.bits,
                "candidates": plan.candidates,
                "recall_queries": plan.queries,
                "recall_source": plan.source,
                "recall_rows": plan.rows,
            }
        elif size < LIMIT:
            why = f"up to {limit} exact search is fast"
        elif not hasattr(np, "bitwise_count"):
            why = "the approximate index needs NumPy 2"
        else:
            why = "no approximate index was built; `optimise` builds one"
        return {
            "kind": "approximate" if approximate else "exact",
            "why": why,
            "samples_indexed": self.rows,
            "recall": signs.plan.recall if approximate and signs is not None else 1.0,
            "parameters": parameters,
            "memory_bytes": self._nbytes,
        }

    @property
    def _nbytes(self) -> int:
        table = self._table
        arrays = (table.vectors, table.slots, table.scopes, table.samples, table.dead)
        codes = self._screen.nbytes + (0 if self._signs is None else self._signs.nbytes)
        return sum(a.nbytes for a in arrays if a is not None) + codes + self._filters.nbytes
