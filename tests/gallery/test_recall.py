"""What is asked of an index to measure it, and how the answers are counted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.gallery import NewSample, SqliteGallery
from vultus.gallery.search.candidates import Candidate
from vultus.gallery.search.recall import Question, questions, recall
from vultus.types import Embedding, EmbeddingSpace


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[SqliteGallery]:
    with SqliteGallery(tmp_path / "people.db") as opened:
        yield opened


def fill(gallery: SqliteGallery, space: EmbeddingSpace, people: int, each: int) -> None:
    rng = np.random.default_rng(4)
    items = []
    for person in range(people):
        centre = rng.standard_normal(space.dimension)
        for _ in range(each):
            vector = centre + 0.5 * rng.standard_normal(space.dimension)
            items.append(
                NewSample(f"p{person:03}", Embedding(vector / np.linalg.norm(vector), space))
            )
    gallery.add_many(items)


def asked(gallery: SqliteGallery, dimension: int = 16) -> list[Question]:
    with gallery._streaming() as connection:
        return questions(connection, 1, dimension)


def everything(gallery: SqliteGallery) -> list[Candidate]:
    return [
        Candidate(s.number, s.person, s.person, gallery.embedding(s.number).vector.tobytes())
        for s in gallery.samples()
    ]


def test_an_empty_gallery_asks_nothing(gallery: SqliteGallery, space: EmbeddingSpace) -> None:
    gallery.add_space(space)
    assert asked(gallery) == []
    assert recall([], lambda _: []) is None


def test_people_of_several_samples_are_found_by_the_others(
    gallery: SqliteGallery, space: EmbeddingSpace
) -> None:
    fill(gallery, space, 60, 3)
    found = asked(gallery)
    assert len(found) > 150  # of 180; a few lie nearer to somebody else
    for question in found:
        assert gallery.sample(question.hidden).person == question.person
        assert (question.query == gallery.embedding(question.hidden).vector).all()
        best = [
            match.person
            for match in gallery.search(Embedding(question.query, space), 2)
            if match.sample != question.hidden
        ]
        assert question.person == best[0] or len(best) == 1


def test_single_samples_are_turned_away(gallery: SqliteGallery) -> None:
    wide = EmbeddingSpace("wide", "2" * 64, 64, "none")
    fill(gallery, wide, 60, 1)
    found = asked(gallery, 64)
    assert 50 < len(found) <= 60
    for question in found:
        assert question.hidden == 0
        match = gallery.search(Embedding(question.query, wide), 1)[0]
        assert match.person == question.person
        assert match.similarity == pytest.approx(0.5, abs=1e-6)


def test_answers_are_counted(gallery: SqliteGallery, space: EmbeddingSpace) -> None:
    fill(gallery, space, 60, 3)
    found, rows = asked(gallery), everything(gallery)
    true: Callable[[NDArray[np.float32]], list[Candidate]] = lambda _: rows  # noqa: E731
    assert recall(found, true) == 1.0
    assert recall(found, lambda _: []) == 0.0
    # An engine that gives nothing but the query itself, which does not count.
    own = {question.query.tobytes(): question.hidden for question in found}
    assert recall(found, lambda q: [rows[own[q.tobytes()] - 1]]) == 0.0
    even = [row for row in rows if int(row.person[1:]) % 2 == 0]
    part = sum(int(question.person[1:]) % 2 == 0 for question in found) / len(found)
    assert recall(found, lambda _: even) == part
