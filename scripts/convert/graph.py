"""ONNX graphs, built node by node, with their large weights stored in half precision.

Half-precision storage with float computation: a large weight lies in the file as float16 and a Cast
before its first use makes it float32 again. The runtime folds the Cast when it loads the graph, so
the file is half as large and inference costs the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["HALF_FROM_ELEMENTS", "OPSET", "Graph", "fold_affine", "fold_input_scaling"]

# Below this a tensor stays float32: together they weigh less than 0.1 MB, and the first
# convolutions, whose weights carry the 1/128 or 1/256 of the pixel scaling, come close to where
# half precision runs out of exponent (6e-5).
HALF_FROM_ELEMENTS = 8192

# Opset 17 and IR 8 (2022): old enough for every ONNX Runtime that vultus admits.
OPSET, _IR_VERSION = 17, 8

Shape = tuple[int | str, ...]


class Graph:
    """An ONNX graph under construction.

    Args:
        name: The graph's name in the file.
        half_from_elements: Weights with at least this many elements are stored as float16.
    """

    def __init__(self, name: str, half_from_elements: int = HALF_FROM_ELEMENTS) -> None:
        self._name = name
        self._half_from_elements = half_from_elements
        self._casts: list[onnx.NodeProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant and return its name; floats are rounded to float32 or float16 once."""
        if not np.issubdtype(values.dtype, np.floating):
            self._constants.append(_tensor(values, name))
        elif values.size < self._half_from_elements:
            self._constants.append(_tensor(values.astype(np.float32), name))
        else:
            stored = f"{name}.half"
            with np.errstate(over="ignore"):  # _tensor refuses what does not fit
                self._constants.append(_tensor(values.astype(np.float16), stored))
            cast = helper.make_node("Cast", [stored], [name], name=name, to=TensorProto.FLOAT)
            self._casts.append(cast)
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node called like its output, and return that name."""
        node = helper.make_node(operator, inputs, [output], name=output, **attributes)
        self._nodes.append(node)
        return output

    def to_bytes(self, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> bytes:
        """Check the graph and return the ONNX file; text in a shape names a free size."""
        graph = helper.make_graph(
            self._casts + self._nodes,
            self._name,
            [_float_value(name, shape) for name, shape in inputs.items()],
            [_float_value(name, shape) for name, shape in outputs.items()],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="vultus",
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def _tensor(values: NDArray[Any], name: str) -> onnx.TensorProto:
    if not np.isfinite(values).all():
        raise ValueError(f"constant {name} must be finite in {values.dtype}")
    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def _float_value(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def fold_input_scaling(
    weight: NDArray[np.floating[Any]],
    bias: NDArray[np.floating[Any]],
    mean: tuple[float, ...],
    scale: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make a convolution of `(x - mean) * scale` one of `x`; exact only without padding.

    Convention:
        weight: (out, channels, kh, kw); bias: (out,).
        mean: one value per input channel.
        returns: weight and bias in float64. Sums are exact (`fsum`), hence the same everywhere.
    """
    scaled = weight.astype(np.float64) * scale
    subtracted = scaled * np.array(mean, np.float64)[None, :, None, None]
    shift = [math.fsum(kernel.ravel().tolist()) for kernel in subtracted]
    return scaled, bias.astype(np.float64) - np.array(shift)


def fold_affine(
    weight: NDArray[np.floating[Any]],
    bias: NDArray[np.floating[Any]],
    scale: NDArray[np.floating[Any]],
    offset: NDArray[np.floating[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make a convolution followed by `x * scale + offset` per channel one convolution.

    Convention:
        weight: (out, channels, kh, kw); bias, scale, offset: (out,).
        returns: weight and bias in float64.
    """
    factor = scale.astype(np.float64)
    folded = weight.astype(np.float64) * factor[:, None, None, None]
    return folded, bias.astype(np.float64) * factor + offset.astype(np.float64)
