from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="install PyTorch: pip install 'vultus[train]'")
pytest.importorskip("onnx", reason="install onnx: pip install 'vultus[train]'")
pytest.importorskip("sklearn", reason="install scikit-learn: pip install 'vultus[train]'")

import cv2
import torch

from vultus.assess.liveness import LivenessNet
from vultus.assess.liveness.own import load_own_liveness
from vultus.assess.liveness.svm import pixels_of
from vultus.errors import (
    CardError,
    InsufficientDataError,
    MissingExtraError,
    ModelMissingError,
    RangeError,
    WeightDamagedError,
)
from vultus.evaluate.protocols.liveness import Presentation
from vultus.models import Registry, Store
from vultus.train.liveness.data import CropSet
from vultus.train.liveness.export import to_onnx
from vultus.train.liveness.loop import LoopOptions, fit, run_net, split_groups
from vultus.train.liveness.recipe import confusion, train_liveness
from vultus.train.liveness.svm import SvmOptions
from vultus.types import Box, Face, Frame

SIDE = 67


def picture(live: bool, random: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Living faces are smooth, attacks have the lines of a screen."""
    small = random.integers(60, 190, (4, 4, 3)).astype(np.uint8)
    image = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC).astype(float)
    if not live:
        image[::3] += 35
    return np.clip(image, 0, 255).astype(np.uint8)


def crops(count: int = 64, people: int = 4) -> CropSet:
    random = np.random.default_rng(0)
    live = np.arange(count) % 2 == 0
    pixels = np.stack([picture(bool(one), random) for one in live])
    names = tuple(f"p{i // 2 % people}" for i in range(count))
    return CropSet(pixels, live, names, names)


class Whole:
    """Every picture is a face."""

    name = "whole"

    def detect(self, frame: Frame) -> list[Face]:
        box = Box(0.0, 0.0, float(frame.width_px), float(frame.height_px))
        return [Face(box, 0.9, None, frame)]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> list[Presentation]:
    folder, random, found = tmp_path_factory.mktemp("lists"), np.random.default_rng(1), []
    for i in range(48):
        live, person = i % 2 == 0, f"p{i // 2 % 4}"
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), picture(live, random)[:, :, ::-1])
        found.append(Presentation(path, person, None if live else "screen"))
    return found


OPTIONS = LoopOptions(net="small", epochs=4, batch=16, rate=3e-3, patience=4)


def test_what_is_learnt_holds_for_people_not_seen():
    told = []
    found = fit(crops(), OPTIONS, progress=lambda n, epoch: told.append((n, epoch)))
    assert [n for n, _ in told] == list(range(len(found.history)))
    assert found.history[found.best].held_out_accuracy >= 0.9
    assert found.history[found.best].held_out_loss == min(e.held_out_loss for e in found.history)
    assert len(found.held_out_groups) == 1
    assert found.cpu_s > 0
    logits, features = run_net(found.net, crops())
    assert (logits.shape, features.shape) == ((64, 2), (64, 128))
    again = fit(crops(), OPTIONS)
    assert [e.loss for e in again.history] == pytest.approx([e.loss for e in found.history])


def test_early_stopping_keeps_the_best():
    found = fit(crops(32), LoopOptions("small", 12, 16, "momentum", rate=1e-9, patience=1))
    assert len(found.history) <= 12
    assert found.best <= len(found.history) - 1


def test_refused():
    with pytest.raises(InsufficientDataError, match="two people or sessions at least"):
        fit(crops(8, people=1), OPTIONS)
    one = crops(8)
    apart = CropSet(one.pixels, one.live, one.people, tuple("ab"[int(x)] for x in one.live))
    with pytest.raises(InsufficientDataError, match="must have living faces and attacks"):
        fit(apart, OPTIONS)
    with pytest.raises(RangeError, match="no longer finite"):
        fit(crops(32), LoopOptions("alexnet-v2", 2, 16, "momentum", rate=1e12))
    for wrong in ({"net": "vgg"}, {"epochs": 0}, {"rate": 0.0}, {"decay": 2.0}, {"held_out": 1.0}):
        with pytest.raises(RangeError):
            LoopOptions(**wrong)
    assert split_groups(["a", "b", "a"], 0.01, 0).sum() in {1, 2}


def test_from_pictures_to_a_model_on_disk(lists: list[Presentation], tmp_path: Path):
    svm = SvmOptions(costs=(1.0, 16.0), gammas=(0.001, 0.01))
    made = train_liveness(
        "small", lists[:32], Whole(), tmp_path, name="own-small", data="made up", side_px=SIDE,
        loop=OPTIONS, svm=svm,
    )  # fmt: skip
    assert {p.name for p in tmp_path.iterdir()} == {
        "own-small.npz", "own-small.onnx", "own-small.toml",
    }  # fmt: skip
    assert made.report["net"]["best_epoch"] <= 3
    assert made.report["svm"]["presentations"] == {"live": 16, "attack": 16}
    found = confusion(made.model, lists[32:], Whole())
    assert found.accuracy >= 0.9
    assert sum(found.counts["live"].values()) == sum(found.counts["attack"].values()) == 8
    assert found.missing == 0

    # The network alone is a card like any other.
    store = Store(tmp_path / "store")
    registry = Registry(home=tmp_path / "store")
    card_file = tmp_path / "own-small.toml"
    store.add(tmp_path / "own-small.onnx", card_file, registry=registry)
    card = Registry(home=tmp_path / "store").get("own-small")
    face = Whole().detect(Frame(cv2.imread(str(lists[33].picture))[:, :, ::-1].copy()))[0]
    (score,) = LivenessNet.from_card(card, store).scores([face])
    assert 0 <= score < 0.5  # an attack

    # A batch goes through the exported network, and agrees with one by one.
    from vultus.runtime import Session

    session = Session((tmp_path / "own-small.onnx").read_bytes(), "own-small")
    one = pixels_of(face, card)
    (single,) = session.run({"input": one}, ("features",))
    (both,) = session.run({"input": np.concatenate([one, one])}, ("features",))
    assert both.shape == (2, 128)
    np.testing.assert_allclose(both[1], single[0], rtol=1e-4, atol=1e-5)

    # Files that do not belong together are refused.
    (tmp_path / "own-small.onnx").write_bytes(b"other")
    with pytest.raises(WeightDamagedError):
        load_own_liveness(made.model)
    (tmp_path / "own-small.onnx").unlink()
    with pytest.raises(ModelMissingError, match="keep the files"):
        load_own_liveness(made.model)
    card_file.unlink()
    with pytest.raises(CardError):
        load_own_liveness(made.model)


def test_texture_takes_no_network(lists: list[Presentation], tmp_path: Path):
    svm = SvmOptions(costs=(1.0, 16.0), gammas=(0.001, 0.01))
    made = train_liveness(
        "texture", lists[:32], Whole(), tmp_path, name="t", data="made up", svm=svm
    )
    assert [p.name for p in tmp_path.iterdir()] == ["t.npz"]
    assert confusion(made.model, lists[32:], Whole()).accuracy >= 0.9
    with pytest.raises(RangeError, match="must be one of texture"):
        train_liveness("vgg", lists, Whole(), tmp_path, name="t", data="x")  # type: ignore[arg-type]


def test_what_is_missing_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="absent: torch, onnx") as told:
        train_liveness("small", [], Whole(), tmp_path, name="a", data="b")
    assert "vultus[train]" in str(told.value)
    with pytest.raises(MissingExtraError, match="written with onnx"):
        to_onnx(torch.nn.Identity(), 32)
