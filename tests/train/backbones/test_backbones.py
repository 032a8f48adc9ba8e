# ruff: noqa: E402
"""Backbones against the tables of their papers, and through ONNX."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'vultus[train]'")

from vultus.errors import MissingExtraError, RangeError, UnknownModelError
from vultus.train.backbones import BACKBONES, create, describe, layer_costs, multiply_adds
from vultus.train.backbones import parameters as count_parameters
from vultus.train.backbones.facenet_paper import NN2_ROWS, nn4_rows
from vultus.train.backbones.iresnet import IResNet

# Parameters and FLOPS (multiply-adds with biases) per row of Schroff et al. 2015, tables 1 and 2.
NN1_TABLE = [
    ("conv1", 9e3, 115e6), ("conv2a", 4e3, 13e6), ("conv2", 111e3, 335e6),
    ("conv3a", 37e3, 29e6), ("conv3", 664e3, 521e6), ("conv4a", 148e3, 29e6),
    ("conv4", 885e3, 173e6), ("conv5a", 66e3, 13e6), ("conv5", 590e3, 116e6),
    ("conv6a", 66e3, 13e6), ("conv6", 590e3, 116e6), ("fc1", 103e6, 103e6),
    ("fc2", 34e6, 34e6), ("fc7128", 524e3, 0.5e6),
]  # fmt: skip
NN2_TABLE = {
    "3a": (164e3, 128e6), "3b": (228e3, 179e6), "3c": (398e3, 108e6), "4a": (545e3, 107e6),
    "4b": (595e3, 117e6), "4c": (654e3, 128e6), "4d": (722e3, 142e6), "4e": (717e3, 56e6),
    "5a": (1.6e6, 78e6), "5b": (1.6e6, 78e6),
}  # fmt: skip


def _meta(name: str, **options: object) -> torch.nn.Module:
    with torch.device("meta"):
        return create(name, **options)


def test_nn1_is_the_papers_row_by_row() -> None:
    costs = layer_costs(_meta("nn1"), (220, 220))
    assert len(costs) == len(NN1_TABLE)
    for cost, (row, weights, flops) in zip(costs, NN1_TABLE, strict=True):
        unit = 1e6 if weights >= 1e6 else 1e3
        assert abs(cost.parameters - weights) <= 0.5 * unit, row
        assert abs(cost.multiply_adds - flops) <= 0.5e6, row
    assert round(count_parameters(_meta("nn1")) / 1e6) == 140
    assert round(multiply_adds(_meta("nn1"), (220, 220)) / 1e9, 1) == 1.6


def test_nn2_is_the_papers_row_by_row() -> None:
    model = _meta("nn2")
    costs = layer_costs(model, (224, 224))
    for name, (weights, flops) in NN2_TABLE.items():
        own = [cost for cost in costs if f"inception.{name}." in cost.name]
        printed = 1e5 if weights > 1e6 else 1e3
        assert abs(sum(c.parameters for c in own) - weights) <= printed, name
        assert abs(sum(c.multiply_adds for c in own) - flops) <= 1e6, name
    assert (round(costs[0].parameters, -3), round(costs[0].multiply_adds, -6)) == (9e3, 119e6)
    stem = costs[1:3]
    assert sum(c.parameters for c in stem) == pytest.approx(115e3, abs=500)
    assert sum(c.multiply_adds for c in stem) == pytest.approx(360e6, abs=1e6)
    assert costs[-1].parameters == 1024 * 128 + 128  # 131K
    assert round(count_parameters(model) / 1e6, 1) == 7.5
    assert round(multiply_adds(model, (224, 224)) / 1e9, 1) == 1.6


def test_nn2_shapes_are_the_papers() -> None:
    sizes: dict[str, tuple[int, ...]] = {}
    model = _meta("nn2").eval()
    for name, module in model.inception.named_children():
        module.register_forward_hook(
            lambda _m, _i, out, name=name: sizes.update({name: tuple(out.shape[1:])})
        )
    model(torch.zeros(1, 3, 224, 224, device="meta"))
    assert sizes == {
        "3a": (256, 28, 28), "3b": (320, 28, 28), "3c": (640, 14, 14), "4a": (640, 14, 14),
        "4b": (640, 14, 14), "4c": (640, 14, 14), "4d": (640, 14, 14), "4e": (1024, 7, 7),
        "5a": (1024, 7, 7), "5b": (1024, 7, 7),
    }  # fmt: skip


def test_nn3_is_nn2_for_smaller_pictures() -> None:
    assert count_parameters(_meta("nn3")) == count_parameters(_meta("nn2")) == 7_456_304
    assert describe("nn3").input_hw == (160, 160)


def test_nn4_has_the_papers_flops() -> None:
    model = _meta("nn4")
    assert round(multiply_adds(model, (96, 96)) / 1e6) == 285
    assert round(count_parameters(model) / 1e6, 1) == 6.6
    assert [row.name for row in nn4_rows() if not row.five] == ["4e", "5a", "5b"]
    assert all(row.five for row in NN2_ROWS)


@pytest.mark.parametrize(
    ("name", "weights", "flops"), [("nns1", 26e6, 220e6), ("nns2", 4.3e6, 20e6)]
)
def test_small_ones_have_the_papers_totals(name: str, weights: float, flops: float) -> None:
    model = _meta(name)
    assert float(f"{count_parameters(model):.1e}") == weights
    assert float(f"{multiply_adds(model, describe(name).input_hw):.1e}") == flops


# IResNet: arcface_torch's networks. Inception-ResNet-v1: facenet-pytorch's without its classes.
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("iresnet18", 24_025_600),
        ("iresnet34", 34_139_328),
        ("iresnet50", 43_590_848),
        ("iresnet100", 65_156_160),
        ("inception-resnet-v1", 23_482_624),
    ],
)
def test_parameters(name: str, weights: int) -> None:
    assert count_parameters(_meta(name)) == weights


def test_inception_resnet_folds_to_facenets() -> None:
    """With its normalisations folded facenet's has 23.469 M numbers, says Open Model Zoo."""
    folded = 0
    for module in _meta("inception-resnet-v1").modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            out = module.weight.shape[0]
            folded += module.weight.numel() + out
    assert folded == pytest.approx(23.469e6, rel=1e-4)


def test_mobilefacenet_is_the_papers() -> None:
    model = _meta("mobilefacenet")
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    folded = count_parameters(model) - sum(len(m.weight) for m in norms)
    assert count_parameters(model) == 1_003_136
    assert round(folded / 1e6, 2) == 0.99  # the paper's number
    assert round(multiply_adds(model, (112, 112)) / 1e6) == 221


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_output_shapes(name: str) -> None:
    known = describe(name)
    model = _meta(name).eval()
    got = model(torch.zeros(3, 3, *known.input_hw, device="meta"))
    assert got.shape == (3, known.embedding_size)
    other = (150, 117)
    model = _meta(name, embedding_size=40, input_hw=other).eval()
    assert model(torch.zeros(2, 3, *other, device="meta")).shape == (2, 40)


@pytest.mark.parametrize(
    ("name", "hw", "options"),
    [
        ("mobilefacenet", (112, 112), {}),
        ("iresnet18", (48, 48), {"dropout": 0.4}),
        ("nn4", (96, 96), {}),
        ("nns2", (140, 116), {"batch_norm": True}),
        ("inception-resnet-v1", (80, 80), {"keep_probability": 0.8}),
    ],
)
def test_onnx_agrees(name: str, hw: tuple[int, int], options: dict[str, object]) -> None:
    ort = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = create(name, embedding_size=64, input_hw=hw, **options)
    pictures = torch.randn(2, 3, *hw)
    model.train()(pictures)  # running means that differ from zero
    model.eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is old
        torch.onnx.export(
            model, (pictures,), buffer, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )  # fmt: skip
    session = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    three = torch.randn(3, 3, *hw)
    got = session.run(None, {"x": three.numpy()})[0]
    with torch.no_grad():
        wanted = model(three).numpy()
    cosines = (got * wanted).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.min() >= 0.99999


@pytest.mark.parametrize("name", ["mobilefacenet", "nns2"])
def test_all_weights_learn(name: str) -> None:
    torch.manual_seed(0)
    model = create(name, input_hw=(32, 32))
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_all_black_pictures_give_finite_slopes() -> None:
    model = create("nn4", input_hw=(32, 32))
    model(torch.zeros(1, 3, 32, 32)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_counting_leaves_no_trace() -> None:
    model = create("nns2", input_hw=(32, 32)).train()
    layer_costs(model, (32, 32))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(RangeError, match=r"one of \(18, 34, 50, 100\), got 20"):
        IResNet(20)
    with pytest.raises(UnknownModelError, match="no backbone is called 'vgg'; choose one of mob"):
        create("vgg")
    with pytest.raises(RangeError, match="has no option 'dropout'; it takes: batch_norm"):
        create("nn4", dropout=0.5)
    with pytest.raises(RangeError, match="at least 75 pixels a side, got 74 by 100"):
        create("inception-resnet-v1", input_hw=(74, 100))
    with pytest.raises(RangeError, match="at least one number, got 0"):
        create("nn4", embedding_size=0)


def test_timm_by_name() -> None:
    try:
        import timm  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match="timm/resnet18 takes timm"):
            create("timm/resnet18")
        pytest.skip("timm is not installed: pip install timm")
    model = _meta("timm/resnet18", embedding_size=32).eval()
    assert model(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 32)
    with pytest.raises(UnknownModelError, match="timm has no network called 'resnet0'"):
        create("timm/resnet0")
    with pytest.raises(RangeError, match="leave out the option 'pretrained'"):
        create("timm/resnet18", pretrained=True)
