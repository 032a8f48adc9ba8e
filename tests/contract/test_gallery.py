"""What every gallery must do: one suite over all backends, held against a plain loop."""

import threading
import unicodedata
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus.errors import (
    DtypeError,
    DuplicateSampleError,
    GalleryError,
    RangeError,
    SpaceMismatchError,
    UnknownPersonError,
)
from vultus.gallery import Gallery, NewSample, open_gallery
from vultus.types import Embedding, EmbeddingSpace, Match

DIMENSION = 24
SPACE = EmbeddingSpace("test", "0" * 64, DIMENSION, "none")
OTHER = EmbeddingSpace("test", "1" * 64, DIMENSION, "none")

Make = Callable[..., Gallery]


def unit(seed: int, space: EmbeddingSpace = SPACE) -> Embedding:
    """A random direction."""
    vector = np.random.default_rng(seed).standard_normal(space.dimension)
    return Embedding(vector / np.linalg.norm(vector), space, raw_norm=1.25)


def axis(*weights: float) -> Embedding:
    """A direction with these first coordinates."""
    vector = np.zeros(DIMENSION)
    vector[: len(weights)] = weights
    return Embedding(vector / np.linalg.norm(vector), SPACE)


def counts(gallery: Gallery) -> list[tuple[str, int]]:
    """Everybody with the number of their samples."""
    return [(person.id, person.samples) for person in gallery.people()]


def brute(samples: list[tuple[int, str, Embedding]], query: Embedding, k: int) -> list[Match]:
    """The answer by a loop over all samples, in double precision."""
    best: dict[str, Match] = {}
    for number, name, embedding in samples:
        product = embedding.vector.astype(np.float64) * query.vector.astype(np.float64)
        cosine = min(max(float(product.sum()), -1.0), 1.0)
        if name not in best or cosine > best[name].similarity:
            best[name] = Match(name, cosine, number)
    return sorted(best.values(), key=lambda match: (-match.similarity, match.name))[:k]


# -- the smallest cases ---------------------------------------------------------------------


def test_empty_gallery(gallery: Gallery) -> None:
    assert gallery.space is None
    assert len(gallery) == 0
    assert gallery.people() == []
    assert gallery.search(unit(1)) == []
    assert gallery.search_many([unit(1), unit(2)]) == [[], []]
    assert gallery.search_many([]) == []
    assert gallery.add_many([]) == []
    assert "Ada" not in gallery


def test_one_person(gallery: Gallery) -> None:
    assert gallery.add("Ada", axis(1)) == 1
    assert gallery.space == SPACE
    assert "Ada" in gallery
    assert counts(gallery) == [("Ada", 1)]
    (match,) = gallery.search(axis(3, 4))
    assert (match.name, match.sample) == ("Ada", 1)
    assert match.similarity == pytest.approx(0.6, abs=1e-7)
    assert gallery.search_many([]) == []


def test_best_sample_per_person_best_first(gallery: Gallery) -> None:
    numbers = gallery.add_many(
        [
            NewSample("Ada", axis(0, 1)),
            NewSample("Bea", axis(1, 1)),
            NewSample("Ada", axis(3, 1)),
            NewSample("Cleo", axis(-1)),
        ]
    )
    assert numbers == [1, 2, 3, 4]
    assert [(m.name, m.sample) for m in gallery.search(axis(1))] == [
        ("Ada", 3),
        ("Bea", 2),
        ("Cleo", 4),
    ]
    assert [m.name for m in gallery.search(axis(1), k=2)] == ["Ada", "Bea"]
    assert gallery.search(axis(1))[-1].similarity == -1.0
    assert counts(gallery) == [("Ada", 2), ("Bea", 1), ("Cleo", 1)]


def test_ties_go_by_name_and_by_age(gallery: Gallery) -> None:
    for name in ("Zoe", "Bea", "Ärger", "Ada", "Bea"):
        gallery.add(name, unit(7))
    assert [(m.name, m.sample) for m in gallery.search(unit(8))] == [
        ("Ada", 4),
        ("Bea", 2),
        ("Zoe", 1),
        ("Ärger", 3),
    ]
    assert [m.name for m in gallery.search(unit(8), k=1)] == ["Ada"]


def test_similarity_never_leaves_its_range(gallery: Gallery) -> None:
    long = Embedding(unit(3).vector * np.float32(1.0009), SPACE)
    gallery.add_many([NewSample("B", long), NewSample("A", unit(3))])
    assert gallery.search(long) == [Match("A", 1.0, 2), Match("B", 1.0, 1)]
    assert gallery.search(long, k=1) == [Match("A", 1.0, 2)]


def test_numbers_are_never_used_again(gallery: Gallery) -> None:
    gallery.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
    gallery.remove("Bea")
    assert gallery.add("Bea", unit(2)) == 3


# -- what goes in ---------------------------------------------------------------------------


def test_names_are_trimmed_and_composed(gallery: Gallery) -> None:
    decomposed = unicodedata.normalize("NFD", "Zoë")
    gallery.add(f"  {decomposed}\n", unit(1))
    gallery.add("Zoë", unit(2))
    assert counts(gallery) == [("Zoë", 2)]
    assert decomposed in gallery
    assert gallery.remove(decomposed) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "1 to 256 bytes"),
        (" \t ", "1 to 256 bytes"),
        ("ä" * 129, "got 258"),
        ("a\nb", r"U\+000A"),
        ("a\x00b", r"U\+0000"),
        ("a\x7fb", r"U\+007F"),
        ("a\u2028b", r"U\+2028"),
        ("a\u202eb", r"U\+202E"),
        ("\ud800", r"U\+D800"),
    ],
)
def test_bad_names(gallery: Gallery, name: str, message: str) -> None:
    with pytest.raises(RangeError, match=message):
        gallery.add(name, unit(1))
    with pytest.raises(RangeError, match=message):
        gallery.remove(name)
    assert name not in gallery
    assert len(gallery) == 0
    assert gallery.space is None


def test_longest_name(gallery: Gallery) -> None:
    gallery.add("ä" * 128, unit(1))
    assert "ä" * 128 in gallery


def test_what_is_no_name_is_not_contained(gallery: Gallery) -> None:
    assert 3 not in gallery
    assert None not in gallery


def test_same_picture_of_a_person_is_refused(gallery: Gallery) -> None:
    gallery.add("Ada", unit(1), source_digest="d1", source="a.jpg")
    with pytest.raises(DuplicateSampleError, match="'Ada' already holds") as caught:
        gallery.add("Ada", unit(2), source_digest="d1")
    assert caught.value.fields == {"name": "Ada", "source_digest": "d1", "position": 0}
    gallery.add("Bea", unit(3), source_digest="d1")
    gallery.add_many([NewSample("Ada", unit(1)), NewSample("Ada", unit(1))])
    assert counts(gallery) == [("Ada", 3), ("Bea", 1)]
    gallery.remove("Ada")
    assert gallery.add("Ada", unit(1), source_digest="d1") == 5


def test_a_batch_goes_in_wholly_or_not_at_all(gallery: Gallery) -> None:
    gallery.add("Ada", unit(1), source_digest="d1")
    batch = [
        NewSample("New", unit(2), "d1"),
        NewSample("Ada", unit(3), "d2"),
        NewSample("Ada", unit(4), "d1"),
        NewSample("Ada", unit(5), "d2"),
    ]
    with pytest.raises(DuplicateSampleError) as caught:
        gallery.add_many(batch)
    assert caught.value.fields["position"] == 2
    with pytest.raises(DuplicateSampleError) as caught:
        gallery.add_many([batch[0], batch[1], batch[3]])
    assert caught.value.fields["position"] == 2
    assert counts(gallery) == [("Ada", 1)]
    assert [m.name for m in gallery.search(unit(2))] == ["Ada"]
    assert gallery.add_many(batch[:2]) == [2, 3]


def test_a_failing_producer_leaves_nothing(gallery: Gallery) -> None:
    def produce() -> Iterator[NewSample]:
        yield NewSample("Ada", unit(1))
        raise OSError("no more pictures")

    with pytest.raises(OSError, match="no more"):
        gallery.add_many(produce())
    assert len(gallery) == 0


@pytest.mark.parametrize("digest", ["", "x" * 257, "a\nb"])
def test_bad_digests(gallery: Gallery, digest: str) -> None:
    with pytest.raises(RangeError, match="a source digest must"):
        gallery.add("Ada", unit(1), source_digest=digest)


def test_sources(gallery: Gallery) -> None:
    gallery.add("Ada", unit(1), source="\udcff.jpg")  # a path whose bytes are no UTF-8
    gallery.add("Ada", unit(1), source="x" * 4096)
    with pytest.raises(RangeError, match="at most 4096 bytes"):
        gallery.add("Ada", unit(1), source="ä" * 2049)


@pytest.mark.parametrize("raw_norm", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_raw_norms(gallery: Gallery, raw_norm: float) -> None:
    with pytest.raises(RangeError, match="raw norm"):
        gallery.add("Ada", Embedding(unit(1).vector, SPACE, raw_norm=raw_norm))


def test_what_is_no_embedding(gallery: Gallery) -> None:
    with pytest.raises(DtypeError, match=r"takes a vultus\.Embedding, got ndarray"):
        gallery.add("Ada", unit(1).vector)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="got ndarray"):
        gallery.search(unit(1).vector)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="a name must be a string"):
        gallery.add(3, unit(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, -1])
def test_bad_k(gallery: Gallery, k: int) -> None:
    with pytest.raises(RangeError, match="at least 1"):
        gallery.search(unit(1), k=k)


# -- spaces ---------------------------------------------------------------------------------


def test_another_space_is_refused_before_anything_is_written(gallery: Gallery) -> None:
    gallery.add("Ada", unit(1))
    with pytest.raises(SpaceMismatchError) as caught:
        gallery.add("Bea", unit(1, OTHER))
    assert caught.value.fields == {"expected": SPACE.id, "actual": OTHER.id}
    with pytest.raises(SpaceMismatchError):
        gallery.add_many([NewSample("Bea", unit(1)), NewSample("Bea", unit(1, OTHER))])
    with pytest.raises(SpaceMismatchError):
        gallery.search(unit(1, OTHER))
    with pytest.raises(SpaceMismatchError):
        gallery.search_many([unit(1), unit(1, OTHER)])
    assert counts(gallery) == [("Ada", 1)]


def test_a_mixed_first_batch_fixes_nothing(gallery: Gallery) -> None:
    with pytest.raises(SpaceMismatchError):
        gallery.add_many([NewSample("Ada", unit(1)), NewSample("Ada", unit(1, OTHER))])
    assert gallery.space is None
    gallery.add("Ada", unit(1, OTHER))
    assert gallery.space == OTHER


def test_a_given_space_holds_from_the_start(make: Make) -> None:
    gallery = make(SPACE)
    assert gallery.space == SPACE
    assert gallery.search(unit(1)) == []
    with pytest.raises(SpaceMismatchError):
        gallery.search(unit(1, OTHER))
    with pytest.raises(SpaceMismatchError):
        gallery.add("Ada", unit(1, OTHER))


def test_the_space_outlives_the_people(gallery: Gallery) -> None:
    gallery.add("Ada", unit(1))
    gallery.remove("Ada")
    assert gallery.space == SPACE
    assert gallery.search(unit(1)) == []


# -- removal --------------------------------------------------------------------------------


def test_remove(gallery: Gallery) -> None:
    gallery.add_many([NewSample(n, unit(i)) for i, n in enumerate(["Ada", "Bea", "Ada", "Cleo"])])
    assert [m.name for m in gallery.search(unit(0), k=1)] == ["Ada"]
    assert gallery.remove("Ada") == 2
    assert "Ada" not in gallery
    assert len(gallery) == 2
    assert {m.name for m in gallery.search(unit(0))} == {"Bea", "Cleo"}
    gallery.add("Dan", unit(0))
    assert gallery.search(unit(0))[0].name == "Dan"


def test_unknown_person_with_a_suggestion(gallery: Gallery) -> None:
    gallery.add_many([NewSample("Ada Lovelace", unit(1)), NewSample("Bea", unit(2))])
    with pytest.raises(UnknownPersonError, match="did you mean 'Ada Lovelace'") as caught:
        gallery.remove("ada lovelase")
    assert caught.value.fields == {"name": "ada lovelase", "close": ["Ada Lovelace"]}
    with pytest.raises(UnknownPersonError, match="list the people"):
        gallery.remove("Xaver")
    assert len(gallery) == 2


# -- the end --------------------------------------------------------------------------------


def test_a_closed_gallery_says_so(gallery: Gallery) -> None:
    with gallery as same:
        assert same is gallery
        gallery.add("Ada", unit(1))
    gallery.close()
    uses: list[Callable[[], object]] = [
        lambda: gallery.space,
        lambda: gallery.add("Ada", unit(1)),
        gallery.people,
        lambda: gallery.remove("Ada"),
        lambda: gallery.search(unit(1)),
        lambda: len(gallery),
        lambda: "Ada" in gallery,
    ]
    for use in uses:
        with pytest.raises(GalleryError, match="closed"):
            use()


def test_open_gallery_hands_a_gallery_back(gallery: Gallery) -> None:
    assert open_gallery(gallery) is gallery


# -- agreement with the loop ----------------------------------------------------------------

POOL = [axis(1), axis(0, 1), axis(1, 1), axis(1, 1, 1e-4), axis(-1)] + [unit(s) for s in range(4)]
additions = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, len(POOL) - 1)), min_size=1, max_size=6
)
steps = st.lists(st.one_of(additions, st.sampled_from("abcdef")), min_size=1, max_size=8)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps, k=st.integers(1, 7))
def test_agrees_with_the_loop_after_every_change(
    make: Make, steps: list[list[tuple[str, int]] | str], k: int
) -> None:
    held: list[tuple[int, str, Embedding]] = []
    with make() as gallery:
        for step in steps:
            if isinstance(step, list):
                numbers = gallery.add_many([NewSample(name, POOL[v]) for name, v in step])
                held += [(n, name, POOL[v]) for n, (name, v) in zip(numbers, step, strict=True)]
            elif step in gallery:
                before = len(held)
                held = [sample for sample in held if sample[1] != step]
                assert gallery.remove(step) == before - len(held)
            assert len(gallery) == len(held)
            expected = [brute(held, query, k) for query in POOL]
            assert gallery.search_many(POOL, k) == expected
            assert [gallery.search(query, k) for query in POOL] == expected


def test_agrees_with_the_loop_at_size(gallery: Gallery) -> None:
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((300, DIMENSION))
    samples = []
    for name in rng.integers(0, 300, 2000).tolist():
        vector = centres[name] + 0.4 * rng.standard_normal(DIMENSION)
        samples.append((f"p{name}", Embedding(vector / np.linalg.norm(vector), SPACE)))
    numbers = gallery.add_many([NewSample(name, embedding) for name, embedding in samples])
    held = [(n, name, e) for n, (name, e) in zip(numbers, samples, strict=True)]
    queries = [embedding for _, embedding in samples[:10]] + [unit(s) for s in range(10)]
    for k in (1, 5, 1000):
        assert gallery.search_many(queries, k) == [brute(held, query, k) for query in queries]


# -- threads --------------------------------------------------------------------------------


def test_readers_never_see_half_a_change_or_miss_a_whole_one(gallery: Gallery) -> None:
    pairs, acknowledged, errors = 60, [0], []
    gallery.add_many([NewSample(f"z{i}", unit(1000 + i)) for i in range(pairs)])
    query = unit(0)

    def write() -> None:
        for i in range(pairs):
            gallery.add_many([NewSample(f"x{i}", unit(i)), NewSample(f"y{i}", unit(i))])
            acknowledged[0] = i + 1

    def remove() -> None:
        for i in range(pairs):
            assert gallery.remove(f"z{i}") == 1

    def read() -> None:
        while acknowledged[0] < pairs:
            at_least = acknowledged[0]
            names = {match.name for match in gallery.search(query, k=1000)}
            added = {name[1:] for name in names if name[0] == "x"}
            assert added == {name[1:] for name in names if name[0] == "y"}
            assert added >= {str(i) for i in range(at_least)}

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            acknowledged[0] = pairs

    threads = [threading.Thread(target=guarded, args=(w,)) for w in (write, remove, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(gallery) == 2 * pairs
    assert {m.name[0] for m in gallery.search(query, k=1000)} == {"x", "y"}
