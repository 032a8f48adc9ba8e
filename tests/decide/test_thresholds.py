from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.decide import DEFAULT_POLICY, decide, threshold_for
from vultus.errors import CardError, RangeError
from vultus.models import ModelCard, Registry, parse_card, space_of
from vultus.types import EmbeddingSpace, Threshold

CARD = """
name = "some-net"
kind = "embedder"
title = "A net"
summary = "For tests."
[origin]
project = "Somebody"
url = "https://example.org/net"
[licence]
spdx = "MIT"
commercial = true
training_data = "none"
[input]
size_wh = [112, 112]
layout = "NCHW"
channels = "RGB"
[embedding]
dimension = 4
alignment = "arcface-112"
[[weights]]
file = "net.onnx"
sha256 = "{digest}"
[[thresholds]]
policy = "fmr=1e-3"
value = 0.5
fmr = 0.001
fnmr = 0.02
source = "a list of pairs"
preprocessing = "arcface-112"
[[thresholds]]
policy = "fmr=1e-4"
value = 0.75
source = "another list"
preprocessing = "arcface-112"
[[thresholds]]
policy = "fmr=1e-3"
value = 0.25
source = "a list of pairs, mirrored"
preprocessing = "arcface-112+mirror"
""".format(digest="ab" * 32)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return parse_card(CARD, "some-net.toml")


@pytest.fixture(scope="module")
def space(card: ModelCard) -> EmbeddingSpace:
    return space_of(card, mirror=False)


def _threshold(value: float) -> Threshold:
    return Threshold(value, "user", "me", None, None, "x")


class TestThresholdFor:
    def test_measured(self, card, space):
        found = threshold_for(card, space, "fmr=1e-3")
        assert found == Threshold(0.5, "fmr=1e-3", "a list of pairs", 0.001, 0.02, space.id)

    def test_rates_may_be_unknown(self, card, space):
        found = threshold_for(card, space, "fmr=1e-4")
        assert (found.value, found.fmr, found.fnmr) == (0.75, None, None)

    def test_preprocessing_has_thresholds_of_its_own(self, card):
        mirrored = space_of(card, mirror=True)
        found = threshold_for(card, mirrored, "fmr=1e-3")
        assert (found.value, found.source) == (0.25, "a list of pairs, mirrored")
        assert found.space == mirrored.id

    def test_none_is_borrowed_from_another_preprocessing(self, card):
        with pytest.raises(CardError) as caught:
            threshold_for(card, space_of(card, mirror=True), "fmr=1e-4")
        assert caught.value.message == (
            "no threshold 'fmr=1e-4' was measured for some-net with arcface-112+mirror "
            "(measured: fmr=1e-3)"
        )

    @pytest.mark.parametrize("policy", ["fmr=1e-9", "", "0.9", "FMR=1E-3", True, None])
    def test_unknown_policy(self, card, space, policy):
        with pytest.raises(CardError) as caught:
            threshold_for(card, space, policy)
        assert "(measured: fmr=1e-3, fmr=1e-4)" in caught.value.message
        assert caught.value.remedy.startswith("give a number: threshold=0.9, or --threshold 0.9;")
        assert caught.value.fields["actual"] == ["fmr=1e-3", "fmr=1e-4"]

    def test_nothing_measured(self):
        sface = Registry().get("sface")
        with pytest.raises(CardError, match=r"\(measured: none\)"):
            threshold_for(sface, space_of(sface, mirror=True))

    @pytest.mark.parametrize("number", [-1, 0, 1, 0.9, -0.5])
    def test_a_number_of_ones_own(self, card, space, number):
        found = threshold_for(card, space, number)
        assert found == Threshold(
            float(number), "user", "given by the caller", None, None, space.id
        )

    @pytest.mark.parametrize("number", [1.5, -2, math.nan, math.inf, -math.inf])
    def test_a_number_that_is_no_cosine(self, card, space, number):
        with pytest.raises(RangeError, match=rf"in \[-1, 1\], got {number}"):
            threshold_for(card, space, number)

    def test_the_default_model_has_the_default_policy(self):
        card = Registry().get("dlib-resnet-v1")
        space = space_of(card, mirror=True)
        assert threshold_for(card, space) == threshold_for(card, space, DEFAULT_POLICY)

    def test_the_default_model_s_thresholds_are_in_order(self):
        card = Registry().get("dlib-resnet-v1")
        space = space_of(card, mirror=True)
        own = [t for t in card.thresholds if t.policy.startswith("fmr=")]
        found = [threshold_for(card, space, t.policy) for t in own]
        assert len(found) >= 3
        for threshold in found:
            assert threshold.fmr == pytest.approx(float(threshold.policy[4:]), rel=0.05)
            assert "LFW View 1" in threshold.source
        found.sort(key=lambda threshold: threshold.value)
        rates = [(t.fmr, t.fnmr) for t in found]
        assert [a for a, _ in rates] == sorted((a for a, _ in rates), reverse=True)
        assert [b for _, b in rates] == sorted(b for _, b in rates)
        assert 0.88 < found[0].value < found[-1].value < 0.97

    def test_the_command_line_has_the_same_default(self):
        from vultus.cli._options import DEFAULT_POLICY as WRITTEN_OUT

        assert WRITTEN_OUT == DEFAULT_POLICY


class TestDecide:
    def test_reaching_the_threshold_is_the_same_person(self):
        assert decide(0.5, _threshold(0.5)).same is True
        assert decide(math.nextafter(0.5, 0), _threshold(0.5)).same is False
        assert decide(1.0, _threshold(1.0)).same is True
        assert decide(-1.0, _threshold(-1.0)).same is True

    def test_keeps_what_led_to_it(self):
        threshold = _threshold(0.5)
        decision = decide(0.25, threshold)
        assert (decision.similarity, decision.same) == (0.25, False)
        assert decision.threshold is threshold

    @pytest.mark.parametrize("similarity", [math.nan, math.inf, 1.0001, -1.0001])
    def test_no_cosine(self, similarity):
        with pytest.raises(RangeError, match=r"a similarity is a cosine in \[-1, 1\], got"):
            decide(similarity, _threshold(0.5))

    @given(st.floats(-1, 1), st.floats(-1, 1))
    def test_any(self, similarity: float, limit: float):
        assert decide(similarity, _threshold(limit)).same == (similarity >= limit)
