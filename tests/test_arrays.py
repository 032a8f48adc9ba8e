from __future__ import annotations

import numpy as np
import pytest

from vultus._arrays import check_finite, check_image, check_shape, float32_copy
from vultus.errors import DtypeError, RangeError, ShapeError


class TestCheckShape:
    def test_fits(self):
        check_shape(np.zeros((5, 2)), (5, 2), "landmarks")
        check_shape(np.zeros((7, 4)), (None, 4), "boxes")
        check_shape(np.zeros(()), (), "a number")

    @pytest.mark.parametrize("shape", [(68, 2), (5,), (5, 2, 1), (0, 2), ()])
    def test_says_what_must_hold_and_what_came(self, shape):
        with pytest.raises(ShapeError) as caught:
            check_shape(np.zeros(shape), (5, 2), "landmarks")
        assert caught.value.message == f"landmarks must have shape (5, 2), got {shape}"
        assert caught.value.fields == {"expected": "(5, 2)", "actual": shape}

    def test_any_length_is_written_n(self):
        with pytest.raises(ShapeError, match=r"boxes must have shape \(n, 4\), got \(3, 5\)"):
            check_shape(np.zeros((3, 5)), (None, 4), "boxes")


class TestCheckFinite:
    def test_finite(self):
        check_finite(np.array([0.0, -1e30]), "x")
        check_finite(np.zeros(0), "nothing")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, value):
        with pytest.raises(RangeError, match="points must be finite, got NaN or infinity"):
            check_finite(np.array([1.0, value]), "points")


class TestFloat32Copy:
    def test_numbers_of_any_kind(self):
        for values in ([1, 2], (1.0, 2.0), np.array([1, 2], np.uint8), np.array([1, 2], ">f8")):
            copy = float32_copy(values, "x")
            assert copy.dtype == np.float32
            assert copy.tolist() == [1.0, 2.0]

    def test_is_a_copy(self):
        values = np.array([1.0], np.float32)
        float32_copy(values, "x")[0] = 9
        assert values[0] == 1.0

    def test_beyond_float32_is_infinite_without_a_warning(self):
        assert np.isinf(float32_copy([1e300], "x")).all()

    @pytest.mark.parametrize("values", [["a"], [1j], [True], [None], None, [object()]])
    def test_no_numbers(self, values):
        with pytest.raises(DtypeError, match="points must be real numbers, got"):
            float32_copy(values, "points")

    def test_ragged(self):
        with pytest.raises(DtypeError, match="points must be a regular array of numbers"):
            float32_copy([[1, 2], [3]], "points")


class TestCheckImage:
    def test_hands_back_the_very_array(self):
        image = np.zeros((1, 1, 3), np.uint8)
        assert check_image(image) is image

    def test_no_array(self):
        with pytest.raises(DtypeError) as caught:
            check_image([[1, 2, 3]])
        assert caught.value.message == "an image must be a NumPy array, got list"
        assert "load_image" in caught.value.remedy

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_, np.uint16, object])
    def test_wrong_dtype(self, dtype):
        with pytest.raises(DtypeError, match=r"must be uint8 in 0\.\.255, got"):
            check_image(np.zeros((2, 2, 3), dtype))

    @pytest.mark.parametrize(
        "shape", [(2, 2), (2, 2, 1), (2, 2, 4), (3, 2, 2), (0, 2, 3), (2, 0, 3)]
    )
    def test_wrong_shape(self, shape):
        with pytest.raises(ShapeError) as caught:
            check_image(np.zeros(shape, np.uint8))
        assert caught.value.message.endswith(f"got {shape}")
        assert caught.value.fields["actual"] == shape
