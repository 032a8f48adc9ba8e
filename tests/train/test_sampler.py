"""Samplers: what is in a batch, that it can be repeated, resumed and shared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError
from vultus.train.sampler import BalancedSampler, BatchSampler, PeopleSampler, ShuffledSampler

# Five identities (numbered with gaps, unsorted) with 2, 3, 10, 1 and 4 pictures.
LABELS = np.random.default_rng(0).permutation(np.repeat([7, 3, 100, 42, 8], [2, 3, 10, 1, 4]))
PAIRS = np.where(LABELS == 42, 8, LABELS)  # nobody with a single picture: 2, 3, 10 and 5

MAKERS: list[Callable[..., BatchSampler]] = [
    lambda **k: ShuffledSampler(LABELS, 4, **k),
    lambda **k: BalancedSampler(LABELS, 4, **k),
    lambda **k: PeopleSampler(PAIRS, 2, 2, **k),
]


@pytest.mark.parametrize("make", MAKERS)
def test_order_depends_on_seed_and_epoch_alone(make: Callable[..., BatchSampler]) -> None:
    one, two = make(seed=1), make(seed=1)
    two.seek(3)
    list(two)
    two.seek(0)
    assert list(one) == list(two)
    assert one.epoch(1).tolist() != one.epoch(0).tolist()
    assert make(seed=2).epoch(0).tolist() != one.epoch(0).tolist()
    assert len(list(one)) == len(one)


@pytest.mark.parametrize("make", MAKERS)
def test_going_on_in_the_middle(make: Callable[..., BatchSampler]) -> None:
    whole, resumed = make(seed=5), make(seed=5)
    whole.seek(2)
    resumed.seek(2, 3)
    assert list(resumed) == list(whole)[3:]
    resumed.seek(2, len(resumed))
    assert list(resumed) == []
    with pytest.raises(RangeError, match=f"an epoch has {len(whole)} batches"):
        resumed.seek(0, len(whole) + 1)


@pytest.mark.parametrize("make", MAKERS)
def test_processes_share_each_batch(make: Callable[..., BatchSampler]) -> None:
    whole = list(make(seed=5))
    parts = [list(make(seed=5, rank=rank, world=2)) for rank in (0, 1)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole
    with pytest.raises(RangeError):
        make(rank=2, world=2)
    with pytest.raises(RangeError):
        make(world=3)


def test_shuffled_shows_each_picture_once() -> None:
    sampler = ShuffledSampler(LABELS, 6)
    got = [i for batch in sampler for i in batch]
    assert len(sampler) == 3
    assert len(set(got)) == len(got) == 18
    assert set(got) <= set(range(20))


def test_balanced_shows_each_identity_as_often() -> None:
    sampler = BalancedSampler(LABELS, 5, batches=8)
    batches = list(sampler)
    assert [len(batch) for batch in batches] == [5] * 8
    assert all(len(set(LABELS[batch])) == 5 for batch in batches)  # a round fills a batch
    pictures = Counter(i for batch in batches for i in batch)
    for label, own in ((100, 10), (8, 4), (42, 1)):
        counts = [pictures[i] for i in np.flatnonzero(label == LABELS)]
        assert sum(counts) == 8
        assert max(counts) - min(counts) <= 1, own
    uneven = Counter(LABELS[i] for batch in BalancedSampler(LABELS, 4, batches=3) for i in batch)
    assert sorted(uneven.values()) == [2, 2, 2, 3, 3]  # 12 pictures of five
    assert len(BalancedSampler(LABELS, 6)) == 4  # 20 pictures in sixes


def test_people_come_with_their_pictures() -> None:
    sampler = PeopleSampler(PAIRS, 3, 2, batches=10)
    batches = list(sampler)
    assert len(batches) == 10
    for batch in batches:
        labels = PAIRS[batch].reshape(3, 2)
        assert (labels[:, 0] == labels[:, 1]).all()
        assert len(set(labels[:, 0])) == 3
        assert len(set(batch)) == 6  # all have two pictures: none twice
    assert set(PAIRS[np.concatenate(batches)]) == set(PAIRS)
    few = next(iter(PeopleSampler(PAIRS, 4, 3))).copy()
    counts = Counter(few)
    twice = [i for i, times in counts.items() if times == 2]
    assert len(few) == 12
    assert len(twice) == 1  # of the identity with two pictures
    assert PAIRS[twice[0]] == 7


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ShuffledSampler(LABELS, 0), RangeError, "at least one picture, got 0"),
        (lambda: ShuffledSampler(LABELS, 21), InsufficientDataError, "takes 21 .* there are 20"),
        (lambda: BalancedSampler(np.zeros(4, int), 2), InsufficientDataError, "two identities"),
        (lambda: BalancedSampler(np.zeros(0, int), 2), InsufficientDataError, "got 0"),
        (lambda: BalancedSampler(LABELS, 2, batches=0), RangeError, "one batch, got 0"),
        (lambda: PeopleSampler(PAIRS, 2, 1), RangeError, "got 2 by 1"),
        (lambda: PeopleSampler(LABELS, 2, 2), InsufficientDataError, "1 of 5 .* single picture"),
        (lambda: PeopleSampler(PAIRS, 5, 2), InsufficientDataError, "takes 5 people, there are 4"),
    ],
)
def test_impossible_ones_are_refused(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()
