from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vultus import load
from vultus.assess.liveness import (
    DEFAULT_POLICY,
    LivenessCalibration,
    PassiveLiveness,
    installed_liveness,
)
from vultus.cli import liveness as command
from vultus.cli.evaluate import liveness as evaluation
from vultus.errors import CalibrationError, ModelMissingError, RangeError
from vultus.evaluate.protocols.liveness import evaluate_liveness, read_nuaa
from vultus.models import Registry, Store
from vultus.sources import load_frame
from vultus.types import Box, Face, Frame


class Net:
    """Gives a score by the face's place in the list."""

    def __init__(self, name: str, *scores: float) -> None:
        self.name, self._scores = name, scores

    def scores(self, faces: Sequence[Face]) -> np.ndarray:
        return np.array(self._scores[: len(faces)])


def judge(*nets: Net, threshold: str | float = DEFAULT_POLICY) -> PassiveLiveness:
    measured = LivenessCalibration(
        "a", "made up", "2026-01-02", np.linspace(0.6, 1.0, 101), {"print": np.linspace(0, 0.3, 50)}
    )
    return PassiveLiveness(nets, threshold, measured)  # type: ignore[arg-type]


def face(x1: float = 100, y1: float = 100, side: float = 200, picture: int = 480) -> Face:
    frame = Frame(np.zeros((picture, picture, 3), np.uint8))
    return Face(Box(x1, y1, x1 + side, y1 + side), 0.9, None, frame)


def test_verdicts():
    found = judge(Net("a", 0.9, 0.1, 0.4), Net("b", 0.7, 0.1, 0.5)).read([face()] * 3)
    assert [(one.score, one.verdict) for one in found] == [
        (pytest.approx(0.8), "live"),
        (pytest.approx(0.1), "attack"),
        (pytest.approx(0.45), "undecided"),  # above every attack, below the threshold
    ]
    assert found[0].threshold == pytest.approx(0.604)
    assert (found[0].policy, found[0].source, found[0].model) == ("bpcer=1e-2", "made up", "a+b")
    assert judge(Net("a")).read([]) == []


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (face(side=90, picture=240), "face-small"),
        (face(side=150, picture=600), "face-share"),
        (face(x1=-50, side=200), "face-cut"),
    ],
)
def test_faces_that_cannot_be_judged_are_never_called_live(seen: Face, code: str):
    (live,) = judge(Net("a", 0.99)).read([seen])
    assert live.verdict == "undecided"
    assert [reason.code for reason in live.reasons] == [code]
    (attack,) = judge(Net("a", 0.01)).read([seen])
    assert attack.verdict == "attack"  # what looks like an attack stays one


def test_a_threshold_of_ones_own():
    found = judge(Net("a", 0.49, 0.5), threshold=0.5).read([face(), face()])
    assert [one.verdict for one in found] == ["attack", "live"]
    assert found[0].policy == "user"
    with pytest.raises(RangeError, match=r"in \[0, 1\]"):
        judge(Net("a"), threshold=1.5)


def test_nothing_is_claimed_of_what_was_not_measured():
    with pytest.raises(CalibrationError, match="nothing was measured of x"):
        PassiveLiveness([Net("x")])  # type: ignore[list-item]


def test_without_a_model_nothing_is_guessed(tmp_path: Path):
    with pytest.raises(ModelMissingError, match="no liveness model is installed"):
        installed_liveness(Registry(), Store(tmp_path))


def test_commands_know_the_policy():
    assert command.DEFAULT_POLICY == evaluation.DEFAULT_POLICY == DEFAULT_POLICY


@pytest.fixture(scope="module")
def installed(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> PassiveLiveness:
    store = Store(tmp_path_factory.mktemp("store"))
    for name in ("minifasnet_v2.onnx", "minifasnet_v1se.onnx"):
        store.add(shared_models / name, registry=Registry())
    return installed_liveness(Registry(), store)


def test_a_portrait_looks_alive(installed: PassiveLiveness, samples: Path):
    v = load(threads=1)
    faces = v.detect(load_frame(samples / "photos" / "obama2.jpg"), largest=True)
    (found,) = installed.read(faces)
    assert (found.verdict, found.model) == ("live", "minifasnet-v2-alt+minifasnet-v1se-alt")
    assert found.score == pytest.approx(0.986, abs=0.01)


@pytest.mark.slow
def test_printed_photos_on_the_test_list(installed: PassiveLiveness, shared_data: Path):
    """The promise of the shipped threshold, on NUAA's test people (every third picture)."""
    listed = read_nuaa(shared_data / "nuaa", "test")[::3]
    found = evaluate_liveness(
        listed, load(threads=1).detector, installed, installed.threshold
    ).report
    assert found.n_real + found.n_attack == len(listed)
    assert found.auc >= 0.99
    assert found.apcer.value <= 0.03
    assert found.bpcer.value <= 0.05
