"""Search on the server: pgvector's HNSW index proposes, the stored float32 vectors decide.

The index holds half-precision copies; what it proposes is compared anew in double precision from
the vectors themselves, so a person found has the exact similarity, and only who is found is
approximate (Malkov and Yashunin 2018, *Efficient and robust approximate nearest neighbor search
using Hierarchical Navigable Small World graphs*).
"""

# ruff: noqa: S608 - integers and words of our own are put together

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from vultus.gallery.postgres.dialect import PostgresConnection
from vultus.gallery.records.find import SPACE_STRIDE
from vultus.gallery.search.candidates import Candidate, Proposal, rounding, search_until_certain
from vultus.gallery.search.recall import questions, recall
from vultus.types import Match

__all__ = [
    "LARGEST_DIMENSION",
    "HnswPlan",
    "build_index",
    "building",
    "drop_stale_indexes",
    "index_bytes",
    "measured",
    "read_plan",
    "search_index",
]

_log = logging.getLogger(__name__)

LARGEST_DIMENSION = 4000
"""Of a halfvec in an HNSW index (pgvector, README, "HNSW")."""

# The defaults of pgvector, which are those the paper uses for data of this kind (section 4.1).
_M = 16
_EF_CONSTRUCTION = 64
_CANDIDATES = (100, 200, 400, 800)  # tried in turn until the recall is good enough
_ENOUGH_RECALL = 0.99
_MOST_CANDIDATES = 16_384
_EF_SEARCH_MOST = 1000  # pgvector's limit; iterative scans go beyond
_RETRY_S = 0.2
_EXACT_MEMBERS = 5_000  # groups up to this size are searched exactly, in about 20 ms


@dataclass(frozen=True, slots=True)
class HnswPlan:
    """How the index of a space is built and used.

    Attributes:
        m: Links per element.
        ef_construction: Breadth of the search while building.
        candidates: How many samples it proposes per search; breadth of the search too.
        recall: Part of the queries answered with the same person as by exact search.
        queries: How many were asked.
        samples: How many there were then.
    """

    m: int
    ef_construction: int
    candidates: int
    recall: float | None
    queries: int
    samples: int

    def text(self) -> str:
        """As it is stored."""
        return json.dumps({"kind": "hnsw", **asdict(self)}, separators=(",", ":"))


def read_plan(text: str | None) -> HnswPlan | None:
    """What `HnswPlan.text` wrote; ``None`` for anything else."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    if not isinstance(found, dict) or found.pop("kind", None) != "hnsw":
        return None
    try:
        return HnswPlan(**found)
    except TypeError:
        return None


# -- the index --------------------------------------------------------------------------------


def _index_name(space_key: int) -> str:
    return f"hnsw_{space_key}"


def _ids_of(space_key: int, alias: str = "") -> str:
    """The condition that the index is limited to, and that a query must repeat."""
    base = space_key * SPACE_STRIDE
    return f"{alias}id > {base:d} AND {alias}id < {base + SPACE_STRIDE:d}"


def build_index(driver: psycopg.Connection, space_key: int, dimension: int) -> HnswPlan:
    """Build the index of a space where there is none; readers and writers go on meanwhile.

    Args:
        driver: Without a transaction; nobody else must be building.
        space_key: The space.
        dimension: Of its vectors.
    """
    name = sql.Identifier(_index_name(space_key))
    row = driver.execute(
        "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(%s)",
        (_index_name(space_key),),
    ).fetchone()
    if row == (False,):  # an interrupted build
        driver.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(name))
    if row != (True,):
        driver.add_notice_handler(_warn)  # that the server's memory is short, say
        try:
            driver.execute(
                sql.SQL(
                    "CREATE INDEX CONCURRENTLY {} ON embedding"
                    " USING hnsw ((vector::halfvec({})) halfvec_ip_ops)"
                    " WITH (m = {}, ef_construction = {}) WHERE {}"
                ).format(name, dimension, _M, _EF_CONSTRUCTION, sql.SQL(_ids_of(space_key)))
            )
        finally:
            driver.remove_notice_handler(_warn)
    return HnswPlan(_M, _EF_CONSTRUCTION, _CANDIDATES[0], None, 0, 0)


def _warn(notice: psycopg.errors.Diagnostic) -> None:
    _log.warning("while building an index: %s; %s", notice.message_primary, notice.message_hint)


@contextmanager
def building(driver: psycopg.Connection, gallery: str) -> Iterator[None]:
    """Let only one process at a time build the indexes of a gallery."""
    key = f"vultus/{gallery}/index"
    # Who waits within a statement is what building concurrently waits for: a deadlock.
    attempt = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
    while driver.execute(attempt, (key,)).fetchone() != (True,):
        time.sleep(_RETRY_S)
    try:
        yield
    finally:
        if not driver.broken:
            driver.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (key,))


def drop_stale_indexes(driver: psycopg.Connection, kept: int | None) -> None:
    """Drop the indexes of all spaces but one.

    Args:
        driver: Without a transaction.
        kept: Key of the space whose index stays.
    """
    rows = driver.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'i' AND relname LIKE 'hnsw\\_%'"
        " AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'embedding'::regclass)"
    ).fetchall()
    for (name,) in rows:
        if kept is None or name != _index_name(kept):
            statement = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}")
            driver.execute(statement.format(sql.Identifier(name)))


def index_bytes(connection: PostgresConnection, space_key: int) -> int:
    """What the index takes on the server; 0 where it is missing or was not completed."""
    row = connection.driver.execute(
        "SELECT pg_relation_size(indexrelid) FROM pg_index"
        " WHERE indexrelid = to_regclass(%s) AND indisvalid",
        (_index_name(space_key),),
    ).fetchone()
    return int(row[0]) if row else 0


# -- search -----------------------------------------------------------------------------------

_COLUMNS = "s.number, p.id, p.name, e.vector"
_IN_GROUPS = (
    " AND EXISTS (SELECT 1 FROM membership m WHERE m.person_key = s.person_key"
    " AND m.group_key = ANY(%(groups)s))"
    " AND (s.scope_key IS NULL OR s.scope_key = ANY(%(groups)s))"
)


def search_index(
    connection: PostgresConnection,
    space_key: int,
    plan: HnswPlan,
    queries: NDArray[np.float32],
    k: int,
    group_keys: Sequence[int] | None,
    min_similarity: float | None,
) -> list[list[Match]] | None:
    """For each query the `k` nearest people that the index finds, by their best sample.

    Small groups are searched exactly, without the index.

    Convention:
        queries: (q, d) float32, unit rows.

    Returns:
        ``None`` when so many rows would be needed that an exact search is better.
    """
    groups = None if group_keys is None else list(group_keys)
    exact = groups is not None and _members(connection, groups) <= _EXACT_MEMBERS
    propose = _propose_exactly if exact else _propose
    found = []
    for query in queries:
        matches = search_until_certain(
            partial(propose, connection, space_key, query, groups),
            query,
            k,
            first=max(plan.candidates, 4 * k),
            most=_MOST_CANDIDATES,
            margin=rounding(queries.shape[1]) if exact else None,
            min_similarity=min_similarity,
        )
        if matches is None:
            return None
        found.append(matches)
    return found


def _members(connection: PostgresConnection, groups: list[int]) -> int:
    """How many people are in these groups, counted no further than needed."""
    row = connection.driver.execute(
        "SELECT count(*) FROM (SELECT 1 FROM membership WHERE group_key = ANY(%s) LIMIT %s) AS few",
        (groups, _EXACT_MEMBERS + 1),
    ).fetchone()
    return int(row[0]) if row else 0


def _propose(
    connection: PostgresConnection,
    space_key: int,
    query: NDArray[np.float32],
    groups: list[int] | None,
    limit: int,
) -> Proposal:
    """The samples that the index finds nearest."""
    connection.driver.execute(
        "SELECT set_config('hnsw.ef_search', %s, true),"
        " set_config('hnsw.iterative_scan', 'relaxed_order', true),"
        " set_config('enable_sort', 'off', true)",  # or small tables are sorted whole instead
        (str(min(limit, _EF_SEARCH_MOST)),),
    )
    half = f"::halfvec({len(query):d})"
    return _proposal(
        connection,
        f"SELECT {_COLUMNS}, e.vector{half} <#> %(query)s{half} AS distance"
        f" FROM embedding e JOIN sample s ON s.number = e.id - {space_key * SPACE_STRIDE:d}"
        f" JOIN person p ON p.key = s.person_key WHERE {_ids_of(space_key, 'e.')}"
        f"{'' if groups is None else _IN_GROUPS} ORDER BY distance LIMIT {limit:d}",
        query,
        groups,
        limit,
    )


def _propose_exactly(
    connection: PostgresConnection,
    space_key: int,
    query: NDArray[np.float32],
    groups: list[int] | None,
    limit: int,
) -> Proposal:
    """The nearest samples, compared one by one."""
    return _proposal(
        connection,
        f"SELECT {_COLUMNS}, e.vector <#> %(query)s AS distance"
        f" FROM sample s JOIN embedding e ON e.id = s.number + {space_key * SPACE_STRIDE:d}"
        f" JOIN person p ON p.key = s.person_key WHERE true{_IN_GROUPS}"
        f" ORDER BY distance LIMIT {limit:d}",
        query,
        groups,
        limit,
    )


def _proposal(
    connection: PostgresConnection,
    statement: str,
    query: NDArray[np.float32],
    groups: list[int] | None,
    limit: int,
) -> Proposal:
    rows = connection.driver.execute(
        statement.encode(), {"query": connection.pack(query), "groups": groups}, binary=True
    ).fetchall()
    candidates = [Candidate(*row[:4]) for row in rows]
    return Proposal(candidates, -rows[-1][4] if rows else -np.inf, len(rows) < limit)


def measured(
    connection: PostgresConnection, space_key: int, dimension: int, plan: HnswPlan, samples: int
) -> HnswPlan:
    """The plan with as many candidates as it takes, and the recall that was found with them.

    Args:
        connection: A streaming one.
        space_key: The space.
        dimension: Of its vectors.
        plan: How the index was built.
        samples: How many it holds.
    """
    asked = questions(connection, space_key, dimension)
    best = replace(plan, samples=samples, queries=len(asked))
    for candidates in _CANDIDATES:

        def propose(query: NDArray[np.float32], limit: int = candidates) -> Sequence[Candidate]:
            return _propose(connection, space_key, query, None, limit).candidates

        part = recall(asked, propose)
        if part is None or best.recall is None or part > best.recall:
            best = replace(best, candidates=candidates, recall=part)
        if part is None or part >= _ENOUGH_RECALL:
            break
    return best
