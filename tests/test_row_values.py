import numpy as np
import pytest

from data_prep.catalogs import Element
from data_prep.errors import BalrogError
from data_prep.preparation.row_values import detected_flags, whole_numbers
from data_prep.sources import Input, Source

ROWS = np.arange(100, 103)


def test_whole_numbers_of_any_dtype():
    for dtype in (np.int16, np.uint64, np.float32, np.float64):
        found = whole_numbers(np.array([3, 0, 7], dtype), ROWS, "here")
        assert found.dtype == np.int64
        assert found.tolist() == [3, 0, 7]


def test_a_float_that_is_too_large_says_so():
    values = np.array([1.0, 2.0**53, 2.0**53 + 2])
    with pytest.raises(BalrogError, match=r"2\^53 = 9,007,199,254,740,992 .*row 102 has 90071992"):
        whole_numbers(values, ROWS, "a.fits: column id")


def test_detected_by_an_element_or_an_expression():
    batch = {"flags": np.array([[0, 1], [0, 0], [1, 1]]), "d": np.array([0.1, np.nan, 0.3])}
    element, distance = {"value": Element("flags", 1)}, {"d": Element("d")}
    plain = Source(maps={}, inputs={"value": Input(("flags[1]",), "")})
    assert detected_flags(batch, element, plain, ROWS, "here").tolist() == [True, False, True]
    near = Source(maps={}, inputs={"d": Input(("d",), "")}, expression="d < 0.2")
    assert detected_flags(batch, distance, near, ROWS, "here").tolist() == [True, False, False]
    number = Source(maps={}, inputs={"d": Input(("d",), "")}, expression="d * 10")
    with pytest.raises(BalrogError, match=r"expression d \* 10 .* row 101 has nan"):
        detected_flags(batch, distance, number, ROWS, "here")
