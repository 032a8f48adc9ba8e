"""The server's index: built on demand, nearly complete, and exact in what it says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from vultus.errors import SpaceMismatchError, UnknownGroupError
from vultus.gallery import MemoryGallery, NewSample, PostgresGallery
from vultus.types import Embedding, EmbeddingSpace, Match

psycopg = pytest.importorskip("psycopg", reason="install psycopg: pip install 'vultus[postgres]'")

SPACE = EmbeddingSpace("test", "0" * 64, 32, "none")
PEOPLE = 300
FROM = 500  # samples from which an index is built here


def items() -> list[NewSample]:
    """Three faces each of 300 people; a tenth of them in a group, some scoped to it."""
    rng = np.random.default_rng(11)
    found = []
    for person in range(PEOPLE):
        centre = rng.standard_normal(32)
        for face in range(3):
            vector = centre + 0.7 * rng.standard_normal(32)
            group = "tenth" if person % 10 == 0 and face else None
            found.append(
                NewSample(
                    f"p{person:03}",
                    Embedding(vector / np.linalg.norm(vector), SPACE),
                    group=group,
                )
            )
    return found


def queries() -> list[Embedding]:
    rng = np.random.default_rng(12)
    found = []
    for item in items()[::30]:
        vector = item.embedding.vector + 0.15 * rng.standard_normal(32)
        found.append(Embedding(vector / np.linalg.norm(vector), SPACE))
    return found


@pytest.fixture(scope="module")
def reference() -> Iterator[MemoryGallery]:
    with MemoryGallery() as gallery:
        gallery.add_many(items())
        yield gallery


@contextmanager
def indexed(url: str) -> Iterator[PostgresGallery]:
    """A gallery with an index."""
    with PostgresGallery(url, approximate_from=FROM) as opened:
        opened.add_many(items())
        opened.optimise()
        yield opened


@pytest.fixture(scope="module")
def still(postgres_server: Any) -> Iterator[PostgresGallery]:
    """One with an index that no test changes."""
    joint = "&" if "?" in postgres_server.url else "?"
    with indexed(f"{postgres_server.url}{joint}gallery=test_search") as opened:
        yield opened
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error; DROP SCHEMA test_search CASCADE")


@pytest.fixture
def url(postgres_url: Callable[[], str]) -> str:
    return postgres_url()


@pytest.fixture
def gallery(url: str) -> Iterator[PostgresGallery]:
    """One with an index, to be changed."""
    with indexed(url) as opened:
        yield opened


@pytest.fixture
def ask(url: str, postgres_server: Any) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {url.partition('gallery=')[2]}, public")

        def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

        yield run


def indexes(ask: Callable[..., list[tuple[Any, ...]]]) -> list[str]:
    rows = ask("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema ORDER BY 1")
    return [name for (name,) in rows if name.startswith("hnsw")]


def found_part(found: list[list[Match]], true: list[list[Match]]) -> float:
    pairs = list(zip(found, true, strict=True))
    hits = sum(len({m.person for m in a} & {m.person for m in b}) for a, b in pairs)
    return hits / sum(len(b) for _, b in pairs)


def test_a_small_gallery_gets_no_index(url: str, ask: Any) -> None:
    with PostgresGallery(url, approximate_from=FROM) as gallery:
        gallery.optimise()
        assert gallery.info().search.why == "nobody is enrolled yet"
        gallery.add_many(items()[: FROM - 1])
        gallery.optimise()
        assert (gallery.info().search.kind, indexes(ask)) == ("exact", [])


def test_a_large_gallery_gets_one_and_says_how_good_it_is(
    gallery: PostgresGallery, ask: Any
) -> None:
    assert indexes(ask) == ["hnsw_1"]
    search = gallery.info().search
    assert (search.kind, search.samples_indexed) == ("approximate", 3 * PEOPLE)
    assert "from 500 samples on" in search.why
    assert search.recall is not None
    assert 0.95 <= search.recall <= 1.0
    assert search.parameters["m"] == 16
    assert search.parameters["recall_samples"] == 3 * PEOPLE
    assert 300 <= search.parameters["recall_queries"] <= 400
    assert search.parameters["server_bytes"] > 32 * 2 * 3 * PEOPLE
    assert gallery.verify() == []


def test_what_is_found_is_exact(still: PostgresGallery, reference: MemoryGallery) -> None:
    exact = [{m.person: m for m in matches} for matches in reference.search_many(queries(), PEOPLE)]
    found = still.search_many(queries(), 5)
    for matches, true in zip(found, exact, strict=True):
        assert [true[match.person] for match in matches] == matches
    assert found_part(found, reference.search_many(queries(), 5)) >= 0.98
    assert [still.search(query, 5) for query in queries()] == found


def test_the_index_is_used(gallery: PostgresGallery, ask: Any) -> None:
    def scans() -> int:
        gallery._link.ask("SELECT pg_stat_force_next_flush()")
        ((found,),) = ask(
            "SELECT idx_scan FROM pg_stat_user_indexes"
            " WHERE indexrelname = 'hnsw_1' AND schemaname = current_schema"
        )
        return int(found)

    before = scans()
    gallery.search(queries()[0], 5)
    assert scans() == before + 1
    assert gallery._cache._index is None  # no vectors in this process


def test_vectors_that_half_precision_cannot_tell_apart(url: str) -> None:
    rng = np.random.default_rng(3)
    base = rng.standard_normal(32)
    base /= np.linalg.norm(base)
    with PostgresGallery(url, approximate_from=1) as gallery:
        vectors = np.repeat(base[None], 40, axis=0).astype(np.float32)
        for row in range(40):  # one unit in the last place each: equal as halfvec
            vectors[row, row % 32] = np.nextafter(vectors[row, row % 32], np.float32(row - 20))
        gallery.add_many(
            [NewSample(f"p{i:02}", Embedding(v, SPACE)) for i, v in enumerate(vectors)]
        )
        gallery.optimise()
        query = Embedding(base, SPACE)
        wide = query.vector.astype(np.float64)
        cosines = np.clip((vectors * wide).sum(axis=1), -1.0, 1.0)
        order = sorted(range(40), key=lambda i: (-cosines[i], f"p{i:02}"))
        assert [(m.person, m.similarity) for m in gallery.search(query, 40)] == [
            (f"p{i:02}", cosines[i]) for i in order
        ]


@pytest.mark.parametrize("members", [5_000, 0], ids=["small-group", "large-group"])
def test_groups(
    still: PostgresGallery,
    reference: MemoryGallery,
    members: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vultus.gallery.postgres.search._EXACT_MEMBERS", members)
    found = still.search_many(queries(), 5, groups=["tenth"])
    true = reference.search_many(queries(), 5, groups=["tenth"])
    assert all(int(match.person[1:]) % 10 == 0 for matches in found for match in matches)
    if members:
        assert found == true
    else:
        assert found_part(found, true) >= 0.98
    with pytest.raises(UnknownGroupError):
        still.search(queries()[0], groups=["nobody"])


def test_small_groups_are_exact_even_where_many_are_alike(url: str) -> None:
    same = items()[0].embedding
    with PostgresGallery(url, approximate_from=1) as gallery, MemoryGallery() as reference:
        for each in (gallery, reference):
            each.add_many([NewSample(f"p{i:03}", same, group="g") for i in range(300)])
            each.add_many([NewSample("p007", items()[3].embedding, group="g")])
        gallery.optimise()
        assert gallery.search(same, 3, groups=["g"]) == reference.search(same, 3, groups=["g"])


def test_other_ways_to_ask(still: PostgresGallery, reference: MemoryGallery) -> None:
    some = queries()
    assert still.search_many(some, 5, template="fused") == reference.search_many(
        some, 5, template="fused"
    )
    strict = still.search_many(some, 5, min_similarity=0.8)
    assert strict == [
        [match for match in matches if match.similarity >= 0.8]
        for matches in still.search_many(some, 5)
    ]
    assert len(still.search(some[0], PEOPLE)) == PEOPLE  # everybody
    assert still.search(some[0], 10 * PEOPLE) == reference.search(some[0], 10 * PEOPLE)
    assert still.search_many([], 5) == []
    other = EmbeddingSpace("other", "1" * 64, 32, "none")
    with pytest.raises(SpaceMismatchError):
        still.search(Embedding(some[0].vector, other))


def test_when_the_index_cannot_settle_it_everything_is_compared(
    still: PostgresGallery, reference: MemoryGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vultus.gallery.postgres.search._MOST_CANDIDATES", 20)
    assert still.search(queries()[0], 50) == reference.search(queries()[0], 50)


def test_changes_are_seen_at_once(gallery: PostgresGallery, url: str) -> None:
    query = queries()[3]
    first = gallery.search(query, 1)[0].person
    with PostgresGallery(url) as other:
        assert other.search(query, 1)[0].person == first
        gallery.remove(first)
        assert first not in {match.person for match in other.search(query, 20)}
        assert other.add("new", query) == 3 * PEOPLE + 1
        assert gallery.search(query, 1)[0].person == "new"
        other.rename("new", "newer")
        assert gallery.search(query, 1)[0].person == "newer"
        assert gallery.verify() == []


def test_another_space_gets_an_index_of_its_own(gallery: PostgresGallery, ask: Any) -> None:
    other = EmbeddingSpace("other", "1" * 64, 8, "none")
    gallery.add_space(other)
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((3 * PEOPLE, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery.put_embeddings(other, [(n + 1, Embedding(v, other)) for n, v in enumerate(vectors)])
    gallery.activate(other)
    query = Embedding(vectors[5], other)
    assert gallery.info().search.kind == "exact"
    assert gallery.search(query, 1)[0].sample == 6
    gallery.optimise()
    assert indexes(ask) == ["hnsw_2"]
    assert gallery.info().search.kind == "approximate"
    assert gallery.search(query, 1)[0].sample == 6
    gallery.activate(SPACE)  # its index is gone, its plan is not: slow, but right
    assert [finding.code for finding in gallery.verify()] == ["index"]
    assert gallery.search(items()[0].embedding, 1)[0].person == "p000"
    gallery.optimise()
    assert gallery.verify() == []


def test_a_gallery_that_shrank_loses_its_index(gallery: PostgresGallery, ask: Any) -> None:
    gallery.remove_samples(range(1, 3 * PEOPLE - FROM + 2))
    gallery.optimise()
    assert (gallery.info().search.kind, indexes(ask)) == ("exact", [])


def test_an_interrupted_build_is_begun_anew(gallery: PostgresGallery, ask: Any) -> None:
    ask("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'hnsw_1'::regclass")
    assert [finding.code for finding in gallery.verify()] == ["index"]
    gallery.optimise()
    assert gallery.verify() == []
    assert ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'hnsw_1'::regclass") == [(True,)]


def test_the_index_forgets_what_is_erased(
    gallery: PostgresGallery, ask: Any, postgres_server: Any
) -> None:
    if postgres_server.log is None:
        pytest.skip("VULTUS_TEST_POSTGRES is not the tests' own: its files cannot be looked into")

    def held(vector: np.ndarray) -> bool:
        ask("CHECKPOINT")
        ((file,),) = ask("SELECT pg_relation_filepath('hnsw_1')")
        data = (postgres_server.log.parent / "data" / file).read_bytes()
        return vector.astype("<f2").tobytes() in data

    vectors = [item.embedding.vector for item in items()[3:7]]  # three of p001, one of p002
    assert [held(vector) for vector in vectors] == [True] * 4
    gallery.remove("p001")
    assert [held(vector) for vector in vectors] == [False, False, False, True]


def test_a_server_short_of_memory_is_named(url: str, caplog: pytest.LogCaptureFixture) -> None:
    # 64 kB, the least there can be, hold some 200 vectors with their links.
    with PostgresGallery(f"{url}&options=-c%20maintenance_work_mem%3D64kB") as gallery:
        gallery._approximate_from = 1
        gallery.add_many(items())
        gallery.optimise()
        assert "hnsw graph no longer fits into maintenance_work_mem" in caplog.text
        assert gallery.info().search.recall is not None


def test_two_processes_do_not_build_at_once(url: str) -> None:
    with PostgresGallery(url, approximate_from=FROM) as gallery:
        gallery.add_many(items())
        threads = [threading.Thread(target=gallery.optimise) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert gallery.info().search.kind == "approximate"
        assert gallery.verify() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind":"signs"}', '{"kind":"hnsw","odd":1}'])
def test_a_plan_of_another_kind_is_left_alone(url: str, ask: Any, text: str) -> None:
    with PostgresGallery(url) as gallery:
        gallery.add_many(items()[:5])
        ask("UPDATE space SET search_plan = %s", text)
        assert gallery.info().search.kind == "exact"
        assert gallery.search(items()[0].embedding, 1)[0].person == "p000"


@pytest.mark.parametrize(("dimension", "samples"), [(128, 781_250), (512, 195_312)])
def test_where_an_index_begins_to_pay(url: str, dimension: int, samples: int) -> None:
    with PostgresGallery(url) as gallery:
        assert gallery._limit(EmbeddingSpace("m", "0" * 64, dimension, "none")) == samples
