from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.sources import load_frame
from vultus.types import Box, Face, Frame, Landmarks

# As MTCNN finds it; written out so that a change of the detector changes nothing here.
POINTS = [[205.37, 101.49], [246.86, 103.11], [225.06, 129.25], [201.15, 139.58], [245.14, 141.09]]


@pytest.fixture(scope="session")
def astronaut(samples: Path) -> Face:
    """The face of a picture in the public domain: sharp, frontal, fully visible."""
    frame = load_frame(samples / "photos" / "astronaut.png")
    return Face(
        Box(180.32, 60.72, 268.39, 172.17), 1.0, Landmarks(np.array(POINTS, np.float32)), frame
    )


@pytest.fixture(scope="session")
def changed(astronaut: Face) -> Callable[[NDArray[np.uint8]], Face]:
    """The same face in another picture of the same size."""

    def change(image: NDArray[np.uint8]) -> Face:
        return Face(astronaut.box, 1.0, astronaut.landmarks, Frame(image))

    return change
