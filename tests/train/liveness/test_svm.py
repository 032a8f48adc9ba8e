from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError, ShapeError

pytest.importorskip("sklearn", reason="install scikit-learn: pip install 'vultus[train]'")

from vultus.train.liveness.svm import COSTS, GAMMAS, SvmOptions, fit_svm


def rings(count: int = 60, people: int = 4, seed: int = 0):
    """Living faces in a disc, attacks on a ring around it: no line parts them."""
    random = np.random.default_rng(seed)
    live = np.arange(count) % 2 == 0
    angle = random.uniform(0, 2 * np.pi, count)
    radius = np.where(live, random.uniform(0, 1, count), random.uniform(2, 3, count))
    features = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return features, live, [f"p{i // 2 % people}" for i in range(count)]


def test_what_no_line_parts():
    features, live, groups = rings()
    found = fit_svm(features, live, groups, "rings", "toy/1")
    assert ((found.margins(features) > 0) == live).all()
    fresh, truth, _ = rings(seed=5)
    assert ((found.probability(fresh) >= 0.5) == truth).mean() >= 0.95
    assert found.report["C"] in COSTS
    assert found.report["gamma"] in GAMMAS
    assert found.report["held_out"]["accuracy"] >= 0.95
    assert found.report["presentations"] == {"live": 30, "attack": 30}
    assert (found.name, found.features, found.offset) == ("rings", "toy/1", 0.0)


def test_the_grid_is_the_one_promised():
    assert (min(COSTS), max(COSTS), min(GAMMAS), max(GAMMAS)) == (2**-8, 2**6, 0.001, 0.15)


def test_our_arrays_give_what_the_library_gives():
    from sklearn.svm import SVC

    features, live, groups = rings()
    options = SvmOptions(costs=(2.0,), gammas=(0.02,), weights="fixed")
    found = fit_svm(features, live, groups, "a", "b", options)
    scaled = (features - found.mean) / found.scale
    assert (scaled**2).sum(1).mean() == pytest.approx(100)
    theirs = SVC(C=2.0, gamma=0.02, class_weight={True: 0.4, False: 0.6}).fit(scaled, live)
    assert found.margins(features) == pytest.approx(theirs.decision_function(scaled), abs=1e-4)


def test_the_unsure_are_not_answered():
    random = np.random.default_rng(1)
    live = np.arange(200) % 2 == 0
    features = random.normal(size=(200, 2)) + np.where(live, 0.6, -0.6)[:, None]
    groups = [f"p{i // 2 % 5}" for i in range(200)]
    found = fit_svm(features, live, groups, "a", "b", SvmOptions(costs=(1.0,), gammas=(0.001,)))
    held = found.report["held_out"]
    assert 0.5 < found.reject_below < 1.0
    assert held["wrong_among_answered"] <= 0.05
    assert held["answered"] < 0.9
    always = SvmOptions(costs=(1.0,), gammas=(0.001,), wrong_rate=None)
    assert fit_svm(features, live, groups, "a", "b", always).reject_below == 0.5


def test_refused():
    features, live, groups = rings()
    with pytest.raises(InsufficientDataError, match="two people or more"):
        fit_svm(features, live, ["one"] * 60, "a", "b")
    with pytest.raises(InsufficientDataError, match="two people or more"):
        fit_svm(features, live, ["x" if one else "y" for one in live], "a", "b")
    with pytest.raises(ShapeError, match="truth and group per row"):
        fit_svm(features, live[:-1], groups, "a", "b")
    with pytest.raises(RangeError):
        fit_svm(features * np.nan, live, groups, "a", "b")
    for wrong in ({"folds": 1}, {"wrong_rate": 0.0}, {"costs": ()}, {"gammas": (-1.0,)}):
        with pytest.raises(RangeError):
            SvmOptions(**wrong)
