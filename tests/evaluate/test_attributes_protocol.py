from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.draw import write_image
from vultus.errors import DataFileError, InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.protocols.attributes import (
    BANDS,
    age_error,
    evaluate_attributes,
    read_utkface,
    share_with_interval,
)
from vultus.types import Attributes, Box, Face, Frame, Reading


class Finds:
    """Finds a small and a large face in every picture that is not black."""

    name = "finds"

    def detect(self, frame: Frame) -> list[Face]:
        if frame.image.max() == 0:
            return []
        return [Face(Box(0, 0, s, s), 0.9, None, frame) for s in (2, 8)]


class Reads:
    """Takes everybody for forty and for a man; knows no age when told so."""

    name = "reads"

    def __init__(self, *, ages: bool = True) -> None:
        self.ages = ages
        self.sizes: list[float] = []

    def read(self, faces: Sequence[Face]) -> list[Attributes]:
        self.sizes += [face.box.width_px for face in faces]
        age = Reading(40.0, None, "none", self.name) if self.ages else None
        return [Attributes(age=age, sex=Reading("male", 0.7, "none", self.name))] * len(faces)


def _add(folder: Path, name: str, value: int = 99) -> None:
    write_image(np.full((10, 10, 3), value, np.uint8), folder / name)


class TestReadUtkface:
    def test_names(self, tmp_path: Path):
        for name in (
            "25_1_0_20170116171048641.jpg",
            "3_0_4_20170109190310320.jpg.chip.jpg",
            "39_1_20170116174525125.jpg.chip.jpg",  # published without the race
            "300_0_0_20170116171048641.jpg",
            "25_2_0_20170116171048641.jpg",
            "holiday.jpg",
        ):
            _add(tmp_path, name)
        (tmp_path / "notes.txt").write_text("x")
        labelled, unlabelled = read_utkface(tmp_path)
        assert [(face.age, face.sex) for face in labelled] == [
            (25, "female"),
            (39, "female"),
            (3, "male"),
        ]
        assert labelled[0].picture == tmp_path / "25_1_0_20170116171048641.jpg"
        assert unlabelled == [
            "25_2_0_20170116171048641.jpg",
            "300_0_0_20170116171048641.jpg",
            "holiday.jpg",
        ]

    def test_an_empty_folder(self, tmp_path: Path):
        with pytest.raises(DataFileError, match="must hold pictures named age_sex_race_date"):
            read_utkface(tmp_path)

    def test_no_folder(self, tmp_path: Path):
        with pytest.raises(DataFileError, match="cannot be read: No such file"):
            read_utkface(tmp_path / "absent")


class TestAgeError:
    def test_by_hand(self):
        found = age_error([20, 35, 50, 10], [25, 30, 44, 10])
        assert found.mean_years == pytest.approx((5 + 5 + 6 + 0) / 4)
        assert found.bias_years == pytest.approx((-5 + 5 + 6 + 0) / 4)
        assert found.within_five.value == 0.75
        assert found.faces == 4

    def test_nothing(self):
        with pytest.raises(InsufficientDataError, match="at least one face, got none"):
            age_error([], [])

    def test_lists_of_unequal_length(self):
        with pytest.raises(ShapeError, match="estimated ages must have shape"):
            age_error([1, 2], [1])

    def test_not_a_number(self):
        with pytest.raises(RangeError, match="estimated ages must be finite"):
            age_error([np.nan], [1])


class TestShareWithInterval:
    def test_by_hand(self):
        # Wilson: 8 of 10 at 95 %: centre (0.8 + 0.19207) / 1.38415, half 0.22653
        rate = share_with_interval(8, 10)
        assert (rate.value, rate.confidence) == (0.8, 0.95)
        assert rate.low == pytest.approx(0.4902, abs=1e-4)
        assert rate.high == pytest.approx(0.9433, abs=1e-4)

    def test_none_and_all(self):
        none, every = share_with_interval(0, 10), share_with_interval(10, 10)
        assert (none.value, none.low, every.value, every.high) == (0.0, 0.0, 1.0, 1.0)
        assert none.high == pytest.approx(0.2775, abs=1e-4)
        assert every.low == pytest.approx(0.7225, abs=1e-4)

    @given(st.integers(1, 5000), st.floats(0, 1), st.floats(0.5, 0.999))
    def test_holds_the_share(self, trials, part, confidence):
        rate = share_with_interval(round(part * trials), trials, confidence=confidence)
        assert 0 <= rate.low <= rate.value <= rate.high <= 1

    @pytest.mark.parametrize(("hits", "trials"), [(-1, 5), (6, 5)])
    def test_more_hits_than_trials(self, hits, trials):
        with pytest.raises(RangeError, match=r"hits must lie in 0\.\.5"):
            share_with_interval(hits, trials)

    def test_no_trials(self):
        with pytest.raises(InsufficientDataError):
            share_with_interval(0, 0)

    def test_a_confidence_of_one(self):
        with pytest.raises(RangeError, match="confidence must lie in"):
            share_with_interval(1, 2, confidence=1.0)


class TestEvaluate:
    def test_by_hand(self, tmp_path: Path):
        _add(tmp_path, "38_0_0_20170116171048641.jpg")
        _add(tmp_path, "52_1_0_20170116171048641.jpg")
        _add(tmp_path, "5_0_0_20170116171048641.jpg")
        _add(tmp_path, "70_0_0_20170116171048641.jpg", value=0)
        (tmp_path / "8_0_0_20170116171048641.jpg").write_bytes(b"no picture")
        _add(tmp_path, "other.jpg")
        reader, steps = Reads(), []
        result = evaluate_attributes(tmp_path, reader, Finds(), lambda *at: steps.append(at))
        assert reader.sizes == [8.0, 8.0, 8.0]  # the larger face of each
        assert steps == [(i, 5) for i in range(1, 6)]
        assert (result.model, result.detector, result.pictures) == ("reads", "finds", 5)
        assert result.unlabelled == ("other.jpg",)
        assert [name for name, _ in result.missing] == [
            "70_0_0_20170116171048641.jpg",
            "8_0_0_20170116171048641.jpg",
        ]
        assert result.missing[0][1] == "the detector found no face"
        assert result.all_ages.faces == 3
        assert result.all_ages.age.mean_years == pytest.approx((2 + 12 + 35) / 3)
        assert result.all_ages.sex.value == pytest.approx(2 / 3)
        assert [(band.first_age, band.faces) for band in result.bands] == [(0, 1), (31, 1), (51, 1)]
        assert [band.sex.value for band in result.bands] == [1.0, 1.0, 0.0]
        assert result.to_dict()["bands"][1]["age"]["mean_years"] == 2.0

    def test_a_model_that_reads_no_age(self, tmp_path: Path):
        _add(tmp_path, "38_0_0_20170116171048641.jpg")
        result = evaluate_attributes(tmp_path, Reads(ages=False), Finds())
        assert result.all_ages.age is None
        assert result.all_ages.sex.value == 1.0

    def test_no_face_at_all(self, tmp_path: Path):
        _add(tmp_path, "38_0_0_20170116171048641.jpg", value=0)
        with pytest.raises(InsufficientDataError, match="in no picture"):
            evaluate_attributes(tmp_path, Reads(), Finds())


def test_every_age_belongs_to_one_group():
    assert sorted(age for first, last in BANDS for age in range(first, last + 1)) == [*range(117)]


def test_the_pictures_that_the_figures_come_from(shared_data: Path):
    labelled, unlabelled = read_utkface(shared_data / "utkface")
    assert (len(labelled), unlabelled) == (400, [])
    assert sum(face.sex == "female" for face in labelled) == 214
    assert sum(face.age < 16 for face in labelled) == 155
