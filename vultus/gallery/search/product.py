"""The product of two matrices of small integers, which NumPy has no fast one for."""

from __future__ import annotations

import functools

from vultus.runtime import Session

__all__ = ["integer_product"]

_UINT8, _INT8, _INT32 = 2, 3, 6  # TensorProto.DataType


@functools.cache
def integer_product() -> Session:
    """ONNX's MatMulInteger as a network: a (q, d) uint8 times b (d, n) int8 is (q, n) int32.

    ONNX Runtime is here for the face networks anyway. The network is one node, written out field
    by field after onnx.proto3 (ONNX 1.11: IR version 7, operators 13).
    """
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"y") + _field(4, b"MatMulInteger")
    graph = b"".join(
        (
            _field(1, node),
            _field(2, b"product"),
            _field(11, _matrix(b"a", _UINT8)),
            _field(11, _matrix(b"b", _INT8)),
            _field(12, _matrix(b"y", _INT32)),
        )
    )
    model = _field(1, 7) + _field(7, graph) + _field(8, _field(2, 13))
    return Session(model, "the integer product")


def _matrix(name: bytes, kind: int) -> bytes:
    """The name and type of a matrix of any shape: two dimensions that say nothing."""
    tensor = _field(1, kind) + _field(2, _field(1, b"") * 2)
    return _field(1, name) + _field(2, _field(1, tensor))


def _field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer: a number below 128, or bytes behind their length."""
    if isinstance(value, int):
        return bytes((number << 3, value))
    return bytes((number << 3 | 2,)) + _length(len(value)) + value


def _length(value: int) -> bytes:
    """A whole number, seven bits to a byte, the lowest first."""
    head = b""
    while value > 127:
        head += bytes((value & 127 | 128,))
        value >>= 7
    return head + bytes((value,))
