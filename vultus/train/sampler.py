"""Which pictures make up each batch: shuffled, balanced over identities, or P people by K pictures.

An epoch's batches depend on the seed and the epoch's number alone, so that a run can be repeated
and resumed. Where to go on is told with `seek`: a sampler cannot know it, because loaders read
ahead of the training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InsufficientDataError, RangeError

__all__ = ["BalancedSampler", "BatchSampler", "PeopleSampler", "ShuffledSampler"]

Indices = NDArray[np.int64]


class BatchSampler(ABC):
    """Batches of picture numbers, for the ``batch_sampler`` of PyTorch's ``DataLoader``.

    Args:
        labels: (n,) whose picture each is.
        batch_size: Pictures of a batch, of all processes together.
        seed: Of the order.
        rank: Number of this process; it gets its part of each batch.
        world: How many processes there are.

    Raises:
        RangeError: An impossible size, or a batch that the processes cannot share evenly.
        InsufficientDataError: Fewer than two identities.
    """

    def __init__(
        self,
        labels: NDArray[np.integer[Any]],
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1:
            raise RangeError(f"a batch has at least one picture, got {batch_size}")
        if not 0 <= rank < world or batch_size % world:
            raise RangeError(
                f"{batch_size} pictures cannot be shared evenly by {world} processes, of which "
                f"this is number {rank}"
            )
        _, self._labels, self._counts = np.unique(
            np.asarray(labels), return_inverse=True, return_counts=True
        )
        if len(self._counts) < 2:
            raise InsufficientDataError(
                f"training takes at least two identities, got {len(self._counts)}",
                expected=2,
                actual=len(self._counts),
            )
        self._starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        self.batch_size, self.seed = batch_size, seed
        self._rank, self._world = rank, world
        self._epoch, self._first = 0, 0

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration be this epoch's, from this batch on.

        Raises:
            RangeError: There is no such epoch or batch.
        """
        if epoch < 0 or not 0 <= batch <= len(self):
            raise RangeError(
                f"epoch {epoch}, batch {batch} does not exist: an epoch has {len(self)} batches"
            )
        self._epoch, self._first = epoch, batch

    @abstractmethod
    def __len__(self) -> int:
        """How many batches an epoch has."""

    @abstractmethod
    def epoch(self, number: int) -> Indices:
        """All batches of an epoch, (batches, batch_size), of all processes together."""

    def __iter__(self) -> Iterator[list[int]]:
        """This process's part of each batch, from where `seek` said."""
        part = self.batch_size // self._world
        own = slice(self._rank * part, (self._rank + 1) * part)
        for row in self.epoch(self._epoch)[self._first :]:
            yield row[own].tolist()

    def _random(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch))

    def _by_class(self, random: np.random.Generator) -> Indices:
        """Picture numbers, those of a class next to each other and in random order."""
        order: Indices = np.lexsort((random.random(len(self._labels)), self._labels))
        return order

    def _rounds(self, random: np.random.Generator, rounds: int) -> Indices:
        """(rounds, classes): all classes in a new random order each time."""
        classes = np.tile(np.arange(len(self._counts)), (rounds, 1))
        return random.permuted(classes, axis=1)


class ShuffledSampler(BatchSampler):
    """Each picture once per epoch, in random order; what does not fill a batch is left out.

    Raises:
        InsufficientDataError: Fewer pictures than a batch takes.
    """

    def __init__(
        self,
        labels: NDArray[np.integer[Any]],
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(labels, batch_size, seed=seed, rank=rank, world=world)
        if len(self) == 0:
            raise InsufficientDataError(
                f"a batch takes {batch_size} pictures, there are {len(self._labels)}",
                remedy="make the batch smaller",
                expected=batch_size,
                actual=len(self._labels),
            )

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(self._labels) // self.batch_size

    def epoch(self, number: int) -> Indices:
        """(batches, batch_size)."""
        order = self._random(number).permutation(len(self._labels))
        return order[: len(self) * self.batch_size].reshape(len(self), self.batch_size)


class BalancedSampler(BatchSampler):
    """Each identity as often as each other, however many pictures it has.

    Identities come in rounds, each of them once per round in random order; an identity's pictures
    are gone through in an order of the epoch, and again when they run out.

    Args:
        labels: As in `BatchSampler`.
        batch_size: As in `BatchSampler`.
        batches: Of an epoch; as many as it takes to draw as many pictures as there are, when left
            out.
        seed: As in `BatchSampler`.
        rank: As in `BatchSampler`.
        world: As in `BatchSampler`.
    """

    def __init__(
        self,
        labels: NDArray[np.integer[Any]],
        batch_size: int,
        *,
        batches: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(labels, batch_size, seed=seed, rank=rank, world=world)
        self._batches = _at_least_one(batches, -(-len(self._labels) // batch_size))

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return self._batches

    def epoch(self, number: int) -> Indices:
        """(batches, batch_size)."""
        random = self._random(number)
        order = self._by_class(random)
        total = self._batches * self.batch_size
        rounds = -(-total // len(self._counts))
        classes = self._rounds(random, rounds)
        turn = np.arange(rounds)[:, None]  # a class's turn is the round: it comes once in each
        chosen: Indices = order[self._starts[classes] + turn % self._counts[classes]]
        return chosen.reshape(-1)[:total].reshape(self._batches, self.batch_size)


class PeopleSampler(BatchSampler):
    """P people with K pictures each in every batch, as losses on triplets and pairs need them.

    People come in rounds, in a random order each; who does not fill a round's last batch is left
    out of that round. A person's pictures are gone through K at a time; one with fewer than K
    has some of them twice in a batch.

    Source: Hermans et al. 2017, section 2 ("PK batches").

    Args:
        labels: As in `BatchSampler`.
        people: P.
        images: K, at least 2.
        batches: Of an epoch; as many as it takes to draw as many pictures as there are, when left
            out.
        seed: As in `BatchSampler`.
        rank: As in `BatchSampler`.
        world: As in `BatchSampler`; it must divide `people`.

    Raises:
        RangeError: K below 2, or as in `BatchSampler`.
        InsufficientDataError: Fewer than P people, or one with a single picture.
    """

    def __init__(
        self,
        labels: NDArray[np.integer[Any]],
        people: int,
        images: int,
        *,
        batches: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if people < 2 or images < 2 or people % max(world, 1):
            raise RangeError(
                f"a batch takes at least two people with two pictures each, and people that the "
                f"{world} processes can share, got {people} by {images}"
            )
        super().__init__(labels, people * images, seed=seed, rank=rank, world=world)
        single = int(np.count_nonzero(self._counts < 2))
        if single:
            raise InsufficientDataError(
                f"{single} of {len(self._counts)} identities have a single picture, and triplets "
                f"take two of one person",
                remedy="leave those identities out",
                actual=single,
            )
        if len(self._counts) < people:
            raise InsufficientDataError(
                f"a batch takes {people} people, there are {len(self._counts)}",
                expected=people,
                actual=len(self._counts),
            )
        self.people, self.images = people, images
        self._batches = _at_least_one(batches, -(-len(self._labels) // self.batch_size))

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return self._batches

    def epoch(self, number: int) -> Indices:
        """(batches, P * K), a person's pictures next to each other."""
        random = self._random(number)
        order = self._by_class(random)
        each = len(self._counts) // self.people  # batches of a round
        rounds = -(-self._batches // each)
        classes = self._rounds(random, rounds)[:, : each * self.people, None]
        turn = np.arange(rounds)[:, None, None] * self.images + np.arange(self.images)
        chosen: Indices = order[self._starts[classes] + turn % self._counts[classes]]
        return chosen.reshape(-1, self.batch_size)[: self._batches]


def _at_least_one(batches: int | None, otherwise: int) -> int:
    if batches is None:
        return otherwise
    if batches < 1:
        raise RangeError(f"an epoch has at least one batch, got {batches}")
    return batches
