from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn
from astropy.utils.masked import Masked

from balrog_keras.condition_values import condition_array, floats
from balrog_keras.endpoints import Endpoints
from balrog_keras.onnx_emulator import OnnxEmulator
from data_prep.errors import BalrogError

HIDDEN = [False, True, False]
# The number under the mask is one that an emulator would draw for.
COLUMNS = {
    "array": np.array([20, np.nan, 22]),
    "numpy masked": np.ma.array([20.0, 21.0, 22.0], mask=HIDDEN),
    "numpy masked whole": np.ma.array([20, 21, 22], mask=HIDDEN),
    "astropy column": MaskedColumn([20.0, 21.0, 22.0], mask=HIDDEN),
    "astropy masked": Masked(np.array([20.0, 21.0, 22.0]), mask=HIDDEN),
    "pandas": pd.Series([20.0, None, 22.0]),
    "pandas nullable": pd.Series([20, None, 22], dtype="Int64"),
    "pandas of objects": pd.Series([20, pd.NA, 22], dtype=object),
    "arrow": pa.array([20, None, 22]),
    "list": [20, None, 22],
}
PAIR = np.ma.array([[20, 0.9], [21, 0.8]], mask=[[False, False], [False, True]], dtype="float32")


@pytest.mark.parametrize("kind", COLUMNS)
def test_what_is_masked_or_null_is_no_number(kind):
    np.testing.assert_array_equal(floats(COLUMNS[kind], "x"), [20, np.nan, 22])


def test_float32_stays_itself():
    values = np.float32([1, 2])
    assert floats(values, "x") is values
    assert floats(np.ma.array(values, mask=[True, False]), "x").dtype == np.float32
    assert floats(np.array([1, 2], ">i2"), "x").dtype == np.float64


@pytest.mark.parametrize(
    "values", [["20"], [b"20"], np.array(["20"], object), [20 + 1j], [pd.NA], [{}],
               np.array(["2020-01-01"], "M8[D]")],
)  # fmt: skip
def test_what_is_no_number_is_named(values):
    with pytest.raises(BalrogError, match=r"column 'x' must be numbers; found .*\(1,\); convert"):
        floats(values, "column 'x'")


def test_rows_of_different_lengths_are_no_array():
    with pytest.raises(BalrogError, match="condition must be an array of numbers; found none"):
        condition_array([[20, 0.9], [21]], ("true_mag_r", "fwhm_r"))


def test_conditions_of_any_kind():
    names = ("true_mag_r", "fwhm_r")
    expected = np.float32([[20, 0.9], [21, np.nan]])
    table = pd.DataFrame({"true_mag_r": pd.array([20, 21], "Int64"),
                          "fwhm_r": pd.array([0.9, None], "Float32")})  # fmt: skip
    for condition in (expected, PAIR, table, [[20, 0.9], [21, None]], expected.astype(">f8")):
        found = condition_array(condition, names)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float32
    with pytest.raises(
        BalrogError, match=r"\(N, 2\) with columns true_mag_r, fwhm_r; found .*2,\)"
    ):
        condition_array(expected[0], names)


def test_no_client_draws_for_the_number_under_a_mask():
    """Emulator and OnnxEmulator, with a graph that gives its input back."""
    given = []

    class Session:
        def run(self, outputs, inputs):
            given.append(inputs["fwhm_r"])
            return [inputs["fwhm_r"]]

    names = ("true_mag_r", "fwhm_r")
    info = {"conditions": names, "measured": ["meas"], "latent_dim": 1, "name": "x", "label": "x"}
    onnx = OnnxEmulator(info, [Session()], None)
    found = onnx.draw(PAIR, np.arange(2), 1)
    np.testing.assert_array_equal(found[:, 0], np.float32([0.9, np.nan]))
    np.testing.assert_array_equal(given[0], np.float32([0.9, np.nan]))

    pytest.importorskip("tensorflow")
    graph = SimpleNamespace(signatures={"e": lambda true_mag_r, fwhm_r: {"meas": fwhm_r}})
    found = Endpoints(graph, names)("e", PAIR, ["meas"], lambda rows: {})
    np.testing.assert_array_equal(found[:, 0], np.float32([0.9, np.nan]))
