"""MediaPipe's canonical face: where each point of the mesh lies in space, and its triangles."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FaceModel"]


@dataclass(frozen=True, slots=True, eq=False)
class FaceModel:
    """A mean face that looks straight ahead.

    Source: ``canonical_face.txt``, which says where it comes from.

    Attributes:
        points: (468, 3) float64, centimetres, in the axes of a picture: x to the viewer's right,
            y down, z away from the viewer.
        weights: (468,) float64, how much each point counts when a face is laid over the model;
            they sum to 1, and 33 points that move little with expression have all of it.
        triangles: (898, 3) intp, which points make one.
    """

    points: NDArray[np.float64]
    weights: NDArray[np.float64]
    triangles: NDArray[np.intp]

    @classmethod
    def load(cls) -> FaceModel:
        """Read the packaged model; takes a millisecond or two."""
        file = importlib.resources.files("vultus.assess").joinpath("canonical_face.txt")
        rows = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
        vertices = np.array([row[1:] for row in rows if row[0] == "v"], np.float64)
        triangles = np.array([row[1:] for row in rows if row[0] == "f"], np.intp)
        weights = vertices[:, 3] / vertices[:, 3].sum()
        return cls(vertices[:, :3] * (1, -1, -1), weights, triangles)

    def edges(self) -> NDArray[np.intp]:
        """(m, 2), the sides of the triangles, each once."""
        sides = np.concatenate([self.triangles[:, pair] for pair in ((0, 1), (1, 2), (2, 0))])
        found: NDArray[np.intp] = np.unique(np.sort(sides, axis=1), axis=0)
        return found
