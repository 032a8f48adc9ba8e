from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vultus.errors import InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.metrics.attacks import PadScores, attack_curve, attack_report, riapar
from vultus.evaluate.metrics.bootstrap import Resampling

HOW = Resampling(rounds=50)


def scores(live: list[float], attack: dict[str, list[float]]) -> PadScores:
    """Presentations of person 0, 1, 2 … in turn."""
    pooled = [value for values in attack.values() for value in values]
    return PadScores(
        np.array(live),
        np.array(pooled),
        tuple(f"p{i}" for i in range(len(live))),
        tuple(f"p{i}" for i in range(len(pooled))),
        tuple(name for name, values in attack.items() for _ in values),
    )


def test_hand_computed():
    given_ = scores([0.9, 0.8, 0.7, 0.2], {"print": [0.1, 0.1, 0.1, 0.75], "screen": [0.3, 0.95]})
    found = attack_report(given_, 0.5, HOW)
    assert found.per_species["print"].apcer.value == 0.25
    assert found.per_species["screen"].apcer.value == 0.5
    assert found.apcer.value == 0.5  # the worst species, not the mean of both
    assert found.bpcer.value == 0.25
    assert found.acer == 0.375
    assert (found.n_real, found.n_attack) == (4, 6)
    # 24 pairs: 0.9 beats 5 attacks, 0.8 beats 5, 0.7 beats 4, 0.2 beats 3.
    assert found.auc == pytest.approx(17 / 24)
    # At 0.7 a third of the attacks pass and a quarter is turned away, at 0.75 a third and a half.
    assert found.d_eer == pytest.approx(1 / 3)


def test_bpcer_at_an_aim_is_that_of_the_worst_species():
    attack = {"print": [i / 100 for i in range(20)], "screen": [0.5 + i / 100 for i in range(20)]}
    found = attack_report(scores([0.3, 0.55, 0.69, 0.9], attack), 0.5, HOW)
    # One of 20 may pass at 5 %: the threshold lies above 0.68, the second highest screen.
    assert found.bpcer_at_apcer[0.05] == 0.5
    assert found.bpcer_at_apcer[0.10] == 0.5
    assert found.bpcer_at_apcer[0.01] is None  # 20 attacks cannot show one in a hundred
    assert found.to_dict()["bpcer_at_apcer"] == {"0.01": None, "0.05": 0.5, "0.1": 0.5}


def test_perfect_and_useless():
    perfect = attack_report(scores([0.9, 0.8], {"a": [0.1, 0.2]}), 0.5, HOW)
    assert (perfect.d_eer, perfect.auc, perfect.acer) == (0.0, 1.0, 0.0)
    assert perfect.apcer.high > 0.5  # two attacks prove next to nothing
    useless = attack_report(scores([0.5, 0.5], {"a": [0.5, 0.5]}), 0.5, HOW)
    assert (useless.auc, useless.apcer.value, useless.bpcer.value) == (0.5, 1.0, 0.0)
    assert useless.d_eer == pytest.approx(0.5)


def test_people():
    pad = PadScores(np.array([0.9, 0.1]), np.array([0.8]), ("Ann", "Bob"), ("Ann",), ("print",))
    ann, bob = attack_report(pad, 0.5, HOW).people
    assert (ann.person, ann.live, ann.turned_away, ann.attack, ann.passed) == ("Ann", 1, 0, 1, 1)
    assert (bob.live, bob.turned_away, bob.attack, bob.passed) == (1, 1, 0, 0)


def test_attacks_of_one_person_tell_nothing_of_others():
    pad = PadScores(np.array([0.9, 0.8]), np.full(50, 0.1), ("a", "b"), ("x",) * 50, ("p",) * 50)
    found = attack_report(pad, 0.5, HOW)
    assert (found.apcer.value, found.apcer.low, found.apcer.high) == (0.0, 0.0, 1.0)


numbers = st.lists(st.integers(0, 20).map(lambda i: i / 20), min_size=2, max_size=40)


@given(numbers, numbers, st.integers(0, 20))
def test_agrees_with_counting_and_with_scikit_learn(live, attack, at):
    found = attack_report(scores(live, {"a": attack}), at / 20, Resampling(rounds=0))
    assert found.apcer.value == sum(s >= at / 20 for s in attack) / len(attack)
    assert found.bpcer.value == sum(s < at / 20 for s in live) / len(live)
    truth = [1] * len(live) + [0] * len(attack)
    assert found.auc == pytest.approx(roc_auc_score(truth, live + attack))
    assert 0.0 <= found.d_eer <= 1.0


def test_riapar():
    assert riapar(0.02, 0.05) == pytest.approx(0.07)
    with pytest.raises(RangeError, match="FRR"):
        riapar(0.0, 1.5)


def test_bad_input():
    with pytest.raises(InsufficientDataError, match="attacks, there are none"):
        scores([0.5], {})
    with pytest.raises(RangeError, match="finite"):
        scores([np.nan], {"a": [0.1]})
    with pytest.raises(ShapeError, match="takes a person"):
        PadScores(np.ones(2), np.ones(1), ("a",), ("b",), ("c",))
    with pytest.raises(RangeError, match="threshold must be finite"):
        attack_report(scores([0.5], {"a": [0.1]}), np.nan)


def test_curve_by_hand():
    found = attack_curve(np.array([0.9, 0.6]), np.array([0.1, 0.6, 0.7, 0.2]))
    assert found.threshold.tolist() == [0.1, 0.2, 0.6, 0.7, 0.9, np.inf]
    assert found.fmr.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]  # APCER
    assert found.fnmr.tolist() == [0.0, 0.0, 0.0, 0.5, 0.5, 1.0]  # BPCER
