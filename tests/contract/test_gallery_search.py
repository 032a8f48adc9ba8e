"""Search against a plain loop: groups, scopes, fused templates, thresholds, ties, sizes."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from vultus.errors import RangeError
from vultus.gallery import Gallery, NewSample
from vultus.types import Embedding, EmbeddingSpace, Match

Unit = Callable[..., Embedding]


@dataclass
class Loop:
    """The answer by loops over everything, in double precision.

    Attributes:
        samples: Number, person, scope and face.
        members: Groups of each person.
    """

    samples: list[tuple[int, str, str | None, Embedding]]
    members: dict[str, set[str]]

    def counting(self, groups: Collection[str] | None) -> list[tuple[int, str, Embedding]]:
        return [
            (number, person, face)
            for number, person, scope, face in self.samples
            if groups is None
            or (scope in groups if scope else not self.members[person].isdisjoint(groups))
        ]

    def search(
        self,
        query: Embedding,
        k: int,
        groups: Collection[str] | None = None,
        min_similarity: float | None = None,
        template: str = "best",
    ) -> list[Match]:
        own: dict[str, list[tuple[int, Embedding]]] = {}
        for number, person, face in self.counting(groups):
            own.setdefault(person, []).append((number, face))
        found = []
        for person, faces in own.items():
            cosines = [(cosine(query, face.vector), number) for number, face in faces]
            similarity, sample = max(cosines, key=lambda pair: (pair[0], -pair[1]))
            if template == "fused":
                mean = fused([face for _, face in faces])
                if mean is None:
                    continue
                similarity = cosine(query, mean)
            if min_similarity is None or similarity >= min_similarity:
                found.append(Match(person, similarity, sample))
        return sorted(found, key=lambda match: (-match.similarity, match.person))[:k]


def cosine(query: Embedding, vector: np.ndarray) -> float:
    product = query.vector.astype(np.float64) * vector.astype(np.float64)
    return min(max(float(product.sum()), -1.0), 1.0)


def fused(faces: Sequence[Embedding]) -> np.ndarray | None:
    total = np.zeros(len(faces[0].vector))
    for face in faces:
        total = total + face.vector.astype(np.float64)
    norm = math.sqrt(float((total * total).sum()))
    return None if norm < 1e-6 else total / norm


def crowd(gallery: Gallery, space: EmbeddingSpace, people: int, samples: int) -> Loop:
    """Random people, groups and scopes, enrolled; and the loop over them."""
    rng = np.random.default_rng(people)
    groups = ["g0", "g1", "g2", "g3"]
    for group in groups:
        gallery.add_group(group)
    ids = [f"p{i}" for i in range(people)]
    members = {id_: {g for g in groups if rng.random() < 0.4} for id_ in ids}
    centres = rng.standard_normal((people, space.dimension))
    items = []
    for who in rng.integers(0, people, samples).tolist():
        vector = centres[who] + 0.6 * rng.standard_normal(space.dimension)
        face = Embedding(vector / np.linalg.norm(vector), space)
        own = sorted(members[ids[who]])
        scope = own[int(rng.integers(len(own)))] if own and rng.random() < 0.5 else None
        items.append(NewSample(ids[who], face, group=scope))
    numbers = gallery.add_many(items)
    known = {item.person for item in items}
    for id_ in ids:
        for group in members[id_] if id_ in known else ():
            gallery.join(id_, group)
    return Loop(
        [(n, i.person, i.group, i.embedding) for n, i in zip(numbers, items, strict=True)], members
    )


def test_every_filter_agrees_with_the_loop(
    gallery: Gallery, space: EmbeddingSpace, unit: Unit
) -> None:
    loop = crowd(gallery, space, 60, 400)
    queries = [loop.samples[i][3] for i in range(0, 400, 57)] + [unit(s) for s in range(5)]
    choices: list[list[str] | None] = [None, ["g0"], ["g3", "g1"], ["g0", "g1", "g2", "g3"]]
    for groups in choices:
        for k in (1, 7, 1000):
            for least in (None, 0.3):
                expected = [loop.search(query, k, groups, least) for query in queries]
                options = {"groups": groups, "min_similarity": least}
                assert gallery.search_many(queries, k, **options) == expected
                assert [gallery.search(query, k, **options) for query in queries] == expected


def test_fused_templates_agree_with_the_loop(
    gallery: Gallery, space: EmbeddingSpace, unit: Unit
) -> None:
    loop = crowd(gallery, space, 40, 300)
    queries = [loop.samples[i][3] for i in range(0, 300, 43)] + [unit(s) for s in range(5)]
    for groups in (None, ["g0"], ["g3", "g1"]):
        for k, least in ((1, None), (5, 0.2), (1000, None)):
            found = gallery.search_many(
                queries, k, groups=groups, min_similarity=least, template="fused"
            )
            expected = [loop.search(query, k, groups, least, "fused") for query in queries]
            for mine, theirs in zip(found, expected, strict=True):
                assert [(m.person, m.sample) for m in mine] == [
                    (m.person, m.sample) for m in theirs
                ]
                assert [m.similarity for m in mine] == pytest.approx(
                    [m.similarity for m in theirs], abs=1e-12
                )


def test_fused_by_hand(gallery: Gallery, space: EmbeddingSpace) -> None:
    def axis(*weights: float) -> Embedding:
        vector = np.zeros(space.dimension)
        vector[: len(weights)] = weights
        return Embedding(vector / np.linalg.norm(vector), space)

    gallery.add_many(
        [
            NewSample("a", axis(1)),
            NewSample("a", axis(0, 1)),
            NewSample("b", axis(4, 3)),
            NewSample("c", axis(0, 0, 1)),
            NewSample("c", axis(0, 0, -1)),
        ]
    )
    best = gallery.search(axis(1))
    assert [(m.person, m.sample) for m in best] == [("a", 1), ("b", 3), ("c", 4)]
    assert [m.similarity for m in best] == pytest.approx([1.0, 0.8, 0.0], abs=1e-7)
    one, two = gallery.search(axis(1), template="fused")  # c's faces cancel out
    assert (one.person, one.sample, two.person, two.sample) == ("b", 3, "a", 1)
    assert (one.similarity, two.similarity) == pytest.approx((0.8, math.sqrt(0.5)), abs=1e-7)


def test_fused_takes_only_the_faces_that_count(
    gallery: Gallery, space: EmbeddingSpace, unit: Unit
) -> None:
    gallery.add_many(
        [
            NewSample("a", unit(1)),
            NewSample("a", unit(2), group="g1"),
            NewSample("a", unit(3), group="g2"),
        ]
    )
    (match,) = gallery.search(unit(3), groups=["g1"], template="fused")
    expected = fused([unit(1), unit(2)])
    assert expected is not None
    assert match.similarity == pytest.approx(cosine(unit(3), expected), abs=1e-12)
    assert match.sample in (1, 2)


def test_a_threshold_takes_what_reaches_it(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(20)])
    ranked = gallery.search(unit(3), 20)
    limit = ranked[4].similarity
    assert gallery.search(unit(3), 20, min_similarity=limit) == ranked[:5]
    assert gallery.search(unit(3), 2, min_similarity=limit) == ranked[:2]
    assert gallery.search(unit(3), 20, min_similarity=np.nextafter(limit, 1.0)) == ranked[:4]
    assert gallery.search(unit(3), 20, min_similarity=-1.0) == ranked
    assert gallery.search(unit(50), min_similarity=1.0) == []


@pytest.mark.parametrize("least", [-1.01, 1.01, float("nan")])
def test_bad_thresholds(gallery: Gallery, unit: Unit, least: float) -> None:
    with pytest.raises(RangeError, match=r"a cosine in \[-1, 1\]"):
        gallery.search(unit(1), min_similarity=least)


def test_unknown_templates(gallery: Gallery, unit: Unit) -> None:
    with pytest.raises(RangeError, match="'best' or 'fused', got 'mean'"):
        gallery.search(unit(1), template="mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("template", ["best", "fused"])
def test_ties_go_by_id(gallery: Gallery, unit: Unit, template: str) -> None:
    ids = ["b", "Z", "a", "é", "ab"]
    gallery.add_many([NewSample(name, unit(1), group="g") for name in ids])
    for groups in (None, ["g"]):
        found = gallery.search(unit(2), 3, groups=groups, template=template)
        assert [m.person for m in found] == ["Z", "a", "ab"]
        assert len({m.similarity for m in found}) == 1


def test_info_says_how_it_searches(gallery: Gallery, unit: Unit, space: EmbeddingSpace) -> None:
    assert gallery.info().search.samples_indexed == 0
    gallery.add_many([NewSample(f"p{i}", unit(i), group="g") for i in range(3)])
    info = gallery.info()
    assert (info.groups, info.people, info.samples, info.space) == (1, 3, 3, space.id)
    assert info.search.kind == "exact"
    assert info.search.samples_indexed == 3
    assert info.spaces == tuple(gallery.spaces())
    gallery.optimise()
    assert gallery.search(unit(1), 1)[0].person == "p1"
