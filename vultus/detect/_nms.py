"""Non-maximum suppression: of boxes that overlap too much, one is kept or made."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["nms_iou", "nms_min_area", "nms_weighted"]

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


def nms_weighted(values: Floats, scores: Floats, limit: float) -> tuple[Floats, Floats]:
    """Blend what overlaps, instead of dropping the weaker (BlazeFace, Bazarevsky et al. 2019).

    The best box and all not yet used that overlap it by more than `limit` give one detection:
    the mean of their coordinates weighted by score, with the best one's score. As MediaPipe's
    ``NonMaxSuppressionCalculator`` with the algorithm WEIGHTED.

    Args:
        values: (n, k) float; the first four columns are the box, xyxy, the others (landmarks)
            are blended alike.
        scores: (n,), above 0.
        limit: Intersection over union from which boxes count as one face.

    Returns:
        (m, k) blended values and (m,) scores, by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    values, weights = values[order], scores[order].astype(np.float64)
    blended, firsts = [], []
    left = np.arange(len(values))
    while len(left):  # once per face, not per box
        same = _iou(values[left[0], :4], values[left, :4]) > limit
        same[0] = True  # a box without area overlaps nothing, not even itself
        group = left[same]
        blended.append(np.average(values[group], axis=0, weights=weights[group]))
        firsts.append(left[0])
        left = left[~same]
    merged = np.array(blended, dtype=values.dtype).reshape(-1, values.shape[1])
    return merged, scores[order][np.array(firsts, dtype=np.intp)]


def _iou(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box with (n, 4) others."""
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    overlap = np.clip(shared, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(overlap / np.maximum(areas - overlap, 1e-12))
