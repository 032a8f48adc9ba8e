from __future__ import annotations

import numpy as np
import pytest

from vultus.decide import own_distances
from vultus.errors import InsufficientDataError, RangeError, ShapeError

# Unit vectors at 0, 60 and 90 degrees.
AT_0, AT_60, AT_90 = (
    np.array([np.cos(a), np.sin(a)], np.float32) for a in np.deg2rad([0.0, 60.0, 90.0])
)


def test_largest_own_distance_and_the_maximum_over_all():
    vectors = np.stack([AT_0, AT_60, AT_0, AT_90, AT_60])
    found = own_distances(vectors, ["ann", "ann", "bea", "bea", "cleo"])
    assert found.largest == {"ann": pytest.approx(1.0), "bea": pytest.approx(np.sqrt(2))}
    assert found.single == ("cleo",)
    assert found.maximum == pytest.approx(np.sqrt(2))
    # d = 1 is a cosine of 1/2; people with one picture take everybody's maximum, a cosine of 0.
    assert found.similarity("ann") == pytest.approx(0.5)
    assert found.similarity("cleo") == pytest.approx(0.0, abs=1e-6)
    assert found.similarity() == pytest.approx(0.0, abs=1e-6)


def test_nobody_has_two_pictures():
    found = own_distances(np.stack([AT_0, AT_90]), ["ann", "bea"])
    assert found.largest == {}
    with pytest.raises(InsufficientDataError, match="two pictures"):
        found.similarity()


def test_bad_input():
    with pytest.raises(ShapeError):
        own_distances(np.stack([AT_0]), ["ann", "bea"])
    with pytest.raises(RangeError):
        own_distances(np.full((2, 2), np.nan, np.float32), ["ann", "bea"])
