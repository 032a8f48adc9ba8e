"""TensorFlow.js graphs: read, translated, and evaluated, on graphs small enough to do by hand."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from convert import tfjs_format  # noqa: E402

Array = NDArray[Any]
Run = Callable[..., list[Array]]


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def integers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


def node(name: str, operator: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": operator, "input": list(inputs), "attr": attributes}


def picture(*shape: int) -> dict[str, Any]:
    dims = [{"size": str(size)} for size in (-1, *shape)]
    return node("x", "Placeholder", shape={"shape": {"dim": dims}})


def document(
    nodes: Sequence[Mapping[str, Any]], weights: Mapping[str, Array], output: str = "y"
) -> tuple[bytes, dict[str, bytes]]:
    """A graph model as files: `model.json` and one shard."""
    constants = [node(name, "Const") for name in weights]
    manifest = [
        {"name": name, "shape": list(value.shape), "dtype": value.dtype.name}
        for name, value in weights.items()
    ]
    described = {
        "format": "graph-model",
        "generatedBy": "somebody",
        "convertedBy": "somebody else",
        "signature": {"outputs": {"out": {"name": f"{output}:0"}}},
        "modelTopology": {"node": [*constants, *nodes]},
        "weightsManifest": [{"paths": ["w.bin"], "weights": manifest}],
    }
    shard = b"".join(np.ascontiguousarray(value).tobytes() for value in weights.values())
    return json.dumps(described).encode(), {"w.bin": shard}


@pytest.fixture
def run() -> Run:
    """Translate a graph and run it; both the translation and the evaluation must agree."""
    pytest.importorskip("onnx", reason="needs onnx: pip install 'vultus[convert]'")
    import onnxruntime as ort
    from convert.tfjs import Output, convert_model

    def run(
        nodes: Sequence[Mapping[str, Any]],
        weights: Mapping[str, Array],
        value: Array,
        *,
        batch: int | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> list[Array]:
        model = tfjs_format.read_model(*document(nodes, weights))
        data = convert_model(model, "toy", {"out": Output(("out",), shape)}, batch=batch)
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"input": value.astype(np.float32)})
        return [found, _evaluated(model, value).reshape(found.shape)]

    def _evaluated(model: tfjs_format.TfjsModel, value: Array) -> Array:
        pytest.importorskip("torch", reason="needs torch: pip install 'vultus[convert]'")
        from convert.tfjs_reference import evaluate

        return evaluate(model, value, ["out"])[0]

    return run


def both(found: list[Array], expected: Any) -> None:
    for values in found:
        np.testing.assert_allclose(values, expected, atol=1e-5)


STRIDE_2 = {"strides": integers(1, 2, 2, 1), "padding": text("SAME")}
STRIDE_1 = {"strides": integers(1, 1, 1, 1), "padding": text("SAME")}


class TestReader:
    def test_what_a_model_says(self) -> None:
        weight = np.arange(6, dtype=np.float32).reshape(2, 3)
        nodes = [picture(3), node("y", "Add", "x", "w", "^x", T={"type": "DT_FLOAT"})]
        model = tfjs_format.read_model(*document(nodes, {"w": weight}))
        assert model.weights["w"].tolist() == weight.tolist()
        assert model.outputs == {"out": "y"}
        assert model.made_by == ("somebody", "somebody else")
        # `^x` is about order only.
        assert model.nodes["y"].inputs == ("x", "w")
        assert model.nodes["y"].attributes == {"T": "DT_FLOAT"}
        assert model.nodes["x"].attributes == {"shape": [-1, 3]}

    def test_attributes(self) -> None:
        several = {"list": {"s": [text("Relu")["s"], text("Prelu")["s"]]}}
        nodes = [picture(3), node("y", "Relu", "x", a={"f": 0.5}, b={"b": True}, c=several)]
        model = tfjs_format.read_model(*document(nodes, {}))
        assert model.nodes["y"].attributes == {"a": 0.5, "b": True, "c": ["Relu", "Prelu"]}

    @pytest.mark.parametrize(
        ("quantization", "stored", "expected"),
        [
            ({"dtype": "float16"}, np.array([0.5, -2], np.float16), [0.5, -2]),
            ({"dtype": "uint8", "scale": 0.5, "min": -1.0}, np.array([0, 7], np.uint8), [-1, 2.5]),
            ({"dtype": "uint16", "scale": 2, "min": 1}, np.array([3, 300], np.uint16), [7, 601]),
        ],
    )
    def test_small_weights_become_float32(
        self, quantization: dict[str, Any], stored: Array, expected: list[float]
    ) -> None:
        topology, shards = document([picture(2)], {"w": np.zeros(2, np.float32)}, output="x")
        described = json.loads(topology)
        described["weightsManifest"][0]["weights"][0]["quantization"] = quantization
        shards["w.bin"] = stored.tobytes()
        model = tfjs_format.read_model(json.dumps(described).encode(), shards)
        assert model.weights["w"].dtype == np.float32
        assert model.weights["w"].tolist() == expected

    def test_another_format_is_refused(self) -> None:
        with pytest.raises(tfjs_format.TfjsFormatError, match="must be graph-model, got 'layers'"):
            tfjs_format.read_model(b'{"format": "layers"}', {})

    def test_a_missing_shard_is_named(self) -> None:
        topology, _ = document([picture(2)], {"w": np.zeros(2, np.float32)}, output="x")
        with pytest.raises(tfjs_format.TfjsFormatError, match=r"the model needs w\.bin"):
            tfjs_format.read_model(topology, {})

    @pytest.mark.parametrize(
        ("shard", "message"), [(b"\0" * 7, "end within w"), (b"\0" * 9, "fill 8 bytes, got 9")]
    )
    def test_a_shard_of_another_length_is_refused(self, shard: bytes, message: str) -> None:
        topology, _ = document([picture(2)], {"w": np.zeros(2, np.float32)}, output="x")
        with pytest.raises(tfjs_format.TfjsFormatError, match=message):
            tfjs_format.read_model(topology, {"w.bin": shard})

    def test_a_second_output_is_refused(self) -> None:
        topology, shards = document([picture(2), node("y", "Relu", "x:1")], {})
        with pytest.raises(tfjs_format.TfjsFormatError, match="only the first output"):
            tfjs_format.read_model(topology, shards)


class TestProducts:
    def test_same_pads_the_odd_one_behind(self, run: Run) -> None:
        # Sums of 2 x 2 windows of every second pixel; 3 pixels need one more, at the end.
        nodes = [picture(3, 3, 1), node("y", "Conv2D", "x", "w", **STRIDE_2)]
        value = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
        found = run(nodes, {"w": np.ones((2, 2, 1, 1), np.float32)}, value)
        both(found, np.array([[0 + 1 + 3 + 4, 2 + 5], [6 + 7, 8]]).reshape(1, 2, 2, 1))

    def test_kernels_are_height_width_in_out(self, run: Run) -> None:
        weight = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
        nodes = [picture(1, 1, 3), node("y", "Conv2D", "x", "w", **STRIDE_1)]
        found = run(nodes, {"w": weight}, np.array([1, 10, 100]).reshape(1, 1, 1, 3))
        both(found, np.array([[[[0 + 40 + 800, 1 + 50 + 900, 2 + 60 + 1000, 3 + 70 + 1100]]]]))

    def test_depthwise_with_two_per_channel(self, run: Run) -> None:
        weight = np.array([[1, 2], [3, 4]], np.float32).reshape(1, 1, 2, 2)
        nodes = [picture(1, 1, 2), node("y", "DepthwiseConv2dNative", "x", "w", **STRIDE_1)]
        found = run(nodes, {"w": weight}, np.array([10, 100]).reshape(1, 1, 1, 2))
        both(found, np.array([[[[10, 20, 300, 400]]]]))

    def test_fused_bias_and_slope(self, run: Run) -> None:
        fused = {"list": {"s": [text("BiasAdd")["s"], text("Prelu")["s"]]}}
        nodes = [picture(1, 2, 1), node("y", "_FusedConv2D", "x", "w", "b", "a", fused_ops=fused,
                                        **STRIDE_1)]  # fmt: skip
        weights = {
            "w": np.float32([[[[1, -1]]]]),
            "b": np.float32([0.5, 0.25]),
            "a": np.float32([0.5, 0.1]),
        }
        found = run(nodes, weights, np.array([2, -3]).reshape(1, 1, 2, 1))
        both(found, np.array([[[[2.5, -0.175], [-1.25, 3.25]]]]))

    @pytest.mark.parametrize("slopes", [(-0.5, 0.25, 1.0), (-0.5, 0.25, 3.0)])
    @pytest.mark.parametrize("side", [3, 6])  # below and at what is worth taking apart
    def test_slopes_on_pictures(self, run: Run, slopes: tuple[float, ...], side: int) -> None:
        nodes = [picture(side, side, 3), node("c", "Conv2D", "x", "w", **STRIDE_1),
                 node("y", "Prelu", "c", "a")]  # fmt: skip
        weights = {"w": np.eye(3, dtype=np.float32)[None, None], "a": np.float32([[slopes]])}
        values = np.random.default_rng(side).normal(size=(1, side, side, 3)).astype(np.float32)
        found = run(nodes, weights, values)
        both(found, np.where(values > 0, values, values * np.float32(slopes)))

    def test_matrices_turned(self, run: Run) -> None:
        nodes = [picture(2), node("y", "MatMul", "x", "w", transpose_b={"b": True})]
        found = run(nodes, {"w": np.float32([[1, 2], [3, 4], [5, 6]])}, np.array([[1, 10]]))
        both(found, [[21, 43, 65]])

    def test_pooling_and_padding(self, run: Run) -> None:
        pool = {"ksize": integers(1, 2, 2, 1), "strides": integers(1, 2, 2, 1)}
        nodes = [
            picture(2, 2, 1),
            node("p", "MaxPool", "x", padding=text("VALID"), **pool),
            node("y", "Pad", "p", "amounts"),
        ]
        amounts = np.int32([[0, 0], [0, 0], [0, 0], [0, 2]])
        found = run(nodes, {"amounts": amounts}, np.array([1, 4, 3, 2]).reshape(1, 2, 2, 1))
        both(found, np.array([[[[4, 0, 0]]]]))

    def test_depth_to_space(self, run: Run) -> None:
        nodes = [picture(1, 1, 8), node("y", "DepthToSpace", "x", block_size={"i": "2"})]
        found = run(nodes, {}, np.arange(8).reshape(1, 1, 1, 8))
        both(found, np.arange(8).reshape(1, 2, 2, 2))


class TestShapes:
    def flatten(self) -> list[dict[str, Any]]:
        """What Keras writes for a flattening that keeps the batch."""
        return [
            picture(2, 3, 1),
            node("shape", "Shape", "x"),
            node("n", "StridedSlice", "shape", "zero", "one", "one",
                 shrink_axis_mask={"i": "1"}),
            node("wanted", "Pack", "n", "six", axis={"i": "0"}),
            node("y", "Reshape", "x", "wanted"),
        ]  # fmt: skip

    WEIGHTS = (("zero", [0]), ("one", [1]), ("six", 6))

    @pytest.mark.parametrize("batch", [None, 1])
    def test_the_arithmetic_of_shapes_is_done_beforehand(self, run: Run, batch: int | None) -> None:
        weights = {name: np.array(value, np.int32) for name, value in self.WEIGHTS}
        value = np.arange(6).reshape(1, 2, 3, 1)
        both(run(self.flatten(), weights, value, batch=batch), np.arange(6).reshape(1, 6))

    def test_any_number_of_pictures(self, run: Run) -> None:
        weights = {name: np.array(value, np.int32) for name, value in self.WEIGHTS}
        value = np.arange(18).reshape(3, 2, 3, 1)
        both(run(self.flatten(), weights, value), np.arange(18).reshape(3, 6))
        both(run(self.flatten(), weights, value, shape=(2, 3)), np.arange(18).reshape(3, 2, 3))

    def test_a_graph_frozen_for_one_picture_takes_several(self, run: Run) -> None:
        nodes = [picture(2, 2, 1), node("y", "Reshape", "x", "s")]
        value = np.arange(8).reshape(2, 2, 2, 1)
        model = tfjs_format.read_model(*document(nodes, {"s": np.int32([1, 4])}))
        import onnxruntime as ort
        from convert.tfjs import Output, convert_model

        data = convert_model(model, "toy", {"out": Output(("out",))})
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"input": value.astype(np.float32)})
        assert found.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]

    @pytest.mark.parametrize(
        ("masks", "begin", "end", "stride", "index"),
        [
            ({"begin_mask": 1, "end_mask": 1}, [0, 1], [0, 3], [1, 1], np.s_[:, 1:3]),
            ({"begin_mask": 1, "end_mask": 1, "shrink_axis_mask": 2}, [0, -1], [0, 0], [1, 1],
             np.s_[:, -1]),
            ({"ellipsis_mask": 1}, [0, 0], [0, 2], [1, 1], np.s_[..., 0:2]),
            ({"begin_mask": 3, "end_mask": 3}, [0, 0], [0, 0], [1, -1], np.s_[:, ::-1]),
        ],
    )  # fmt: skip
    def test_slices(
        self,
        run: Run,
        masks: dict[str, int],
        begin: list[int],
        end: list[int],
        stride: list[int],
        index: Any,
    ) -> None:
        attributes = {name: {"i": str(value)} for name, value in masks.items()}
        nodes = [picture(4, 3), node("y", "StridedSlice", "x", "b", "e", "s", **attributes)]
        weights = {"b": np.int32(begin), "e": np.int32(end), "s": np.int32(stride)}
        value = np.arange(12).reshape(1, 4, 3)
        both(run(nodes, weights, value, batch=1), value[index])

    def test_angles(self, run: Run) -> None:
        weights = {"x_side": np.float32([1, -1, -1, 1])}
        nodes = [picture(4), node("y", "Atan2", "x", "x_side")]
        found = run(nodes, weights, np.array([[1, 1, -1, -1]]))
        both(found, np.array([[1, 3, -3, -1]]) * np.pi / 4)


class TestOrderOfAxes:
    def test_constants_follow_the_picture(self, run: Run) -> None:
        # After a convolution the picture is held channels first; all three must follow.
        weights = {
            "w": np.eye(2, dtype=np.float32).reshape(1, 1, 2, 2),
            "channel": np.float32([10, 20]),
            "place": np.float32([1, 2, 3, 4, 5, 6]).reshape(3, 2, 1),
            "number": np.float32(0.5),
        }
        nodes = [
            picture(3, 2, 2),
            node("c", "Conv2D", "x", "w", **STRIDE_1),
            node("m", "Mul", "c", "channel"),
            node("a", "AddV2", "m", "place"),
            node("y", "Minimum", "a", "number"),
        ]
        value = np.linspace(-1, 1, 12).reshape(1, 3, 2, 2)
        expected = np.minimum(value * [10, 20] + weights["place"], 0.5)
        both(run(nodes, weights, value), expected)

    def test_joins_and_means(self, run: Run) -> None:
        weights = {
            "w": np.eye(2, dtype=np.float32).reshape(1, 1, 2, 2),
            "last": np.int32(3),
            "sides": np.int32([1, 2]),
        }
        nodes = [
            picture(2, 2, 2),
            node("c", "Conv2D", "x", "w", **STRIDE_1),
            node("j", "ConcatV2", "c", "c", "last"),
            node("y", "Mean", "j", "sides"),
        ]
        value = np.arange(8).reshape(1, 2, 2, 2)
        both(run(nodes, weights, value), [[3, 4, 3, 4]])


class TestRefusals:
    @pytest.fixture
    def convert(self) -> Callable[..., bytes]:
        pytest.importorskip("onnx", reason="needs onnx: pip install 'vultus[convert]'")
        from convert.tfjs import Output, convert_model

        def convert(nodes: Sequence[Mapping[str, Any]], output: str = "out") -> bytes:
            model = tfjs_format.read_model(*document(nodes, {}))
            return convert_model(model, "toy", {"out": Output((output,))})

        return convert

    def test_an_unknown_operator(self, convert: Callable[..., bytes]) -> None:
        with pytest.raises(Exception, match="operator Lstm \\(y\\) is not translated") as caught:
            convert([picture(2), node("y", "Lstm", "x")])
        assert type(caught.value).__name__ == "UnsupportedGraphError"

    def test_an_unknown_output(self, convert: Callable[..., bytes]) -> None:
        with pytest.raises(Exception, match="no output and no node is called nothing"):
            convert([picture(2), node("y", "Relu", "x")], "nothing")

    def test_computing_with_a_free_batch(self, convert: Callable[..., bytes]) -> None:
        nodes = [picture(2), node("s", "Shape", "x"), node("y", "Mul", "s", "s")]
        with pytest.raises(Exception, match="Mul of a free batch size; convert with batch=1"):
            convert(nodes)

    def test_a_weight_that_depends_on_the_input(self, convert: Callable[..., bytes]) -> None:
        nodes = [picture(2, 2, 1), node("y", "Conv2D", "x", "x", **STRIDE_1)]
        with pytest.raises(Exception, match="input must be a constant"):
            convert(nodes)


class TestDeterminism:
    def test_the_same_graph_gives_the_same_bytes(self) -> None:
        pytest.importorskip("onnx", reason="needs onnx: pip install 'vultus[convert]'")
        from convert.tfjs import Output, convert_model

        nodes = [picture(3, 3, 1), node("y", "Conv2D", "x", "w", **STRIDE_2)]
        files = document(nodes, {"w": np.ones((2, 2, 1, 400), np.float32)})
        first, second = (
            convert_model(tfjs_format.read_model(*files), "toy", {"out": Output(("out",))})
            for _ in range(2)
        )
        assert first == second
        # 1,600 weights in half precision, and little else.
        assert 3200 < len(first) < 3800
