import healpy
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.map_formats.map_values import Encoding


def test_every_kind_of_missing_value_is_nan_and_others_stay():
    numbers = np.array([0, -1, 1.5, healpy.UNSEEN, -1.7e30, np.nan, np.inf, -np.inf, -99, 1e300])
    expected = [0, -1, 1.5] + 7 * [np.nan]
    for dtype in ("<f4", ">f4", ">f8"):
        with np.errstate(over="ignore"):
            clean = Encoding(bad_value=-99.0).clean(numbers.astype(dtype))
        assert clean.dtype == np.float32
        np.testing.assert_array_equal(clean, expected)


def test_the_input_is_not_changed():
    numbers = np.full(3, healpy.UNSEEN, np.float32)
    Encoding().clean(numbers)
    assert (numbers == np.float32(healpy.UNSEEN)).all()


def test_whole_numbers_with_scale_zero_and_null():
    encoding = Encoding.of_column({"TSCAL2": 0.1, "TZERO2": 5, "TNULL2": -1, "BAD_DATA": 7.0}, 1)
    numbers = np.array([[0, 10], [-1, 20], [30, 40]], ">i2")
    np.testing.assert_array_equal(
        encoding.clean(numbers), np.array([5, 6, np.nan, np.nan, 8, 9], np.float32)
    )


def test_keyword_that_is_no_number():
    for key in ("TSCAL1", "TZERO1", "TNULL1", "BAD_DATA"):
        with pytest.raises(BalrogError, match="must be numbers"):
            Encoding.of_column({key: "abc"}, 0)
