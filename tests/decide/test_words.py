from __future__ import annotations

import pytest

from vultus.decide import in_words
from vultus.decide.words import how_often
from vultus.types import Decision, Rate, Threshold

LIMIT = Threshold(0.6, "fmr=1e-3", "a list", 1e-3, 0.1, "test")


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (
            Rate(1 / 40_000, 1 / 120_000, 1 / 18_000),
            "about 1 time in 40,000 (95 %: 18,000–120,000)",
        ),
        (Rate(0.25, 0.2, 0.4), "about 1 time in 4 (95 %: 2.5–5)"),
        (Rate(1e-5, 0.0, 2e-5), "less than 1 time in 50,000"),
        (Rate(0.7, 0.6, 0.8), "more often than not"),
    ],
)
def test_rates(rate, words):
    assert how_often(rate) == words


@pytest.mark.parametrize(
    ("similarity", "name", "words"),
    [
        (0.71, "Alice", "Alice, 0.710"),
        (0.51, "Alice", "unknown (nearest: Alice), 0.510"),
        (0.71, None, "the same person, 0.710"),
        (0.51, None, "different people, 0.510"),
    ],
)
def test_decisions(similarity, name, words):
    plain = Decision(similarity, LIMIT, similarity >= 0.6)
    assert in_words(plain, name) == words
    rated = Decision(similarity, LIMIT, similarity >= 0.6, fmr=Rate(1e-3, 5e-4, 2e-3))
    tail = "; a stranger scores this high about 1 time in 1,000 (95 %: 500–2,000)"
    assert in_words(rated, name) == words + tail
