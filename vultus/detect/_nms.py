"""Non-maximum suppression: of boxes that overlap too much, keep the one with the best score."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["nms_iou", "nms_min_area"]

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]


def nms_iou(boxes: Floats, scores: Floats, limit: float) -> Indices:
    """Suppress by intersection over union.

    Args:
        boxes: (n, 4) xyxy, float.
        scores: (n,), above 0: a box that scores 0 is dropped.
        limit: Boxes that overlap a better one by more than this are dropped.

    Returns:
        Indices of the kept boxes by falling score.
    """
    if len(boxes) == 0:
        return np.zeros(0, np.intp)
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]], axis=1).astype(np.float64)
    kept = cv2.dnn.NMSBoxes(xywh, scores.astype(np.float32), 0.0, limit)  # type: ignore[arg-type]
    return np.asarray(kept, dtype=np.intp).reshape(-1)


def nms_min_area(boxes: Floats, scores: Floats, limit: float) -> Indices:
    """Suppress by intersection over the smaller area, with inclusive pixels.

    The last stage of MTCNN uses it to drop a box inside another (Zhang et al. 2016).

    Args:
        boxes: (n, 4) xyxy in inclusive pixels.
        scores: (n,).
        limit: As in `nms_iou`.

    Returns:
        Indices of the kept boxes by falling score.
    """
    # Scores saturate at 1; of equals the last comes first, as in the reference implementation.
    order = np.argsort(scores, kind="stable")[::-1]
    boxes = boxes[order]
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    top_left = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:4], boxes[None, :, 2:4])
    shared = np.clip(bottom_right - top_left + 1, 0, None).prod(axis=2)
    clash = shared / np.minimum(area[:, None], area[None, :]) > limit
    kept: list[int] = []
    for i in range(len(boxes)):  # a handful of boxes reach the last stage
        if not clash[i, kept].any():
            kept.append(i)
    return order[np.array(kept, dtype=np.intp)]
