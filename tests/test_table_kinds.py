import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.units import Unit
from astropy.utils.masked import Masked

from balrog_keras.table_kinds import columns_of, same_kind
from data_prep.errors import BalrogError

VALUES = np.array([20.0, np.nan, 22.0], "float32")
UNITS = {"size": "arcsec", "mag": "mag"}


def _tables():
    ids = np.array([3, 1, 2])
    return {
        "pandas": pd.DataFrame({"size": VALUES, "id": ids}),
        "pandas nullable": pd.DataFrame(
            {"size": pd.array([20, None, 22], "Int64"), "id": pd.array(ids, "int64[pyarrow]")}
        ),
        "arrow": pa.table({"size": pa.array(VALUES, from_pandas=True), "id": ids}),
        "astropy": Table({"size": VALUES, "id": ids}),
        "astropy masked": Table(
            {"size": MaskedColumn([20, -1, 22], mask=[False, True, False]), "id": ids}
        ),
        "astropy quantity": QTable({"size": VALUES * u.arcsec, "id": ids}),
        "dict": {"size": list(VALUES), "id": ids},
    }


@pytest.mark.parametrize("kind", _tables())
def test_every_kind_gives_the_same_arrays(kind):
    columns = columns_of(_tables()[kind], UNITS)
    assert list(columns) == ["size", "id"]
    np.testing.assert_array_equal(columns["size"].astype("float32"), VALUES)
    np.testing.assert_array_equal(columns["id"], [3, 1, 2])
    assert columns["id"].dtype.kind == "i"


@pytest.mark.parametrize("kind", _tables())
def test_what_comes_back_is_of_the_same_kind(kind):
    table = _tables()[kind]
    source = np.array([0, 0, 2])
    back = same_kind(table, {"mag": VALUES, "n": source}, source, UNITS)
    assert isinstance(back, Table if "astropy" in kind else type(table))
    np.testing.assert_array_equal(columns_of(back, {})["mag"].astype("float32"), VALUES)
    if "pandas" in kind:
        assert back.index.tolist() == [0, 0, 2]
    elif kind == "arrow":
        assert back["mag"].null_count == 1
        assert back.schema.field("mag").metadata == {b"unit": b"mag"}
    elif "astropy" in kind:
        assert back["mag"].unit == u.mag
        assert back["mag"].mask.tolist() == [False, True, False]
        assert back["n"].unit is None


def test_units_of_an_astropy_table_are_converted():
    table = QTable({"size": np.array([0.5, 1.0]) * u.arcmin, "flux": [1.0, 2.0] * u.nJy})
    columns = columns_of(table, {"size": "arcsec", "flux": "no known unit"})
    np.testing.assert_allclose(columns["size"], [30, 60])
    np.testing.assert_array_equal(columns["flux"], [1, 2])
    with pytest.raises(BalrogError, match="'flux' must be in arcsec, .*; found nJy"):
        columns_of(table, {"flux": "arcsec"})["flux"]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("mag", 20), ("mag(AB)", 20), ("AB mag", 20), ("mmag", 0.02), ("mag(nJy)", 51.4),
     ("nJy", 31.4 - 2.5 * np.log10(20))],
)  # fmt: skip
@pytest.mark.parametrize("kind", [Table, QTable])
def test_magnitudes_are_of_the_ab_system(kind, unit, expected):
    table = kind({"mag": Column([20.0, 21.0], unit=unit)})
    assert columns_of(table, UNITS)["mag"][0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [("arcsecs", "arcsec"), ("mags", "mag"), ("counts", "count"), ("ADU", "count"),
     ("nJy", "flux"), ("mag", "asinh mag")],
)  # fmt: skip
def test_unit_that_is_not_known_is_said_and_taken_as_the_documented_one(unit, wanted, caplog):
    table = Table({"x": Column([20.0, 21.0], unit=Unit(unit, parse_strict="silent"))})
    np.testing.assert_array_equal(columns_of(table, {"x": wanted})["x"], [20, 21])
    (record,) = caplog.records
    assert f"'x' has the unit {unit}, which astropy cannot convert to {wanted}" in caplog.text
    assert record.levelname == "WARNING"


def test_own_output_is_read_without_a_warning(caplog):
    units = {"a": "flux", "b": "asinh mag", "c": "mag", "d": "1"}
    back = same_kind(Table(), dict.fromkeys(units, VALUES), np.arange(3), units)
    for name in units:
        np.testing.assert_array_equal(columns_of(back, units)[name].astype("float32"), VALUES)
    assert not caplog.records


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [("mag(ST)", "mag"), ("mag(ct/s)", "mag"), ("mag", "arcsec"), ("adu", "count"), ("", "arcsec")],
)
def test_unit_that_is_known_but_no_such_quantity_names_the_column(unit, wanted):
    table = Table({"x": Column([20.0, 21.0], unit=unit)})
    with pytest.raises(BalrogError, match=f"'x' must be in {wanted}, .*; found .*Convert"):
        columns_of(table, {"x": wanted})["x"]


@pytest.mark.parametrize(
    "values",
    [np.ma.array([20, -1, 22], mask=[0, 1, 0]), Masked([20, -1, 22] * u.arcsec, mask=[0, 1, 0]),
     MaskedColumn(np.float32([20, -1, 22]), mask=[0, 1, 0])],
)  # fmt: skip
def test_masked_values_of_a_dict_are_nan(values):
    columns = columns_of({"size": values, "whole": np.ma.array([1, 2, 3])}, UNITS)
    np.testing.assert_array_equal(columns["size"], [20, np.nan, 22])
    assert columns["whole"].dtype.kind == "i"


def test_quantities_of_a_dict_are_converted():
    found = columns_of({"size": [0.5, 1.0] * u.arcmin, "mag": pd.Series([1])}, UNITS)
    np.testing.assert_allclose(found["size"], [30, 60])
    np.testing.assert_array_equal(found["mag"], [1])


@pytest.mark.parametrize(
    "table",
    [pd.DataFrame([[1, 2, 3]], columns=["x", "y", "x"]),
     pa.Table.from_arrays([pa.array([k]) for k in (1, 2, 3)], ["x", "y", "x"])],
)  # fmt: skip
def test_only_a_column_that_is_needed_must_be_there_once(table):
    columns = columns_of(table, UNITS)
    assert columns["y"] == [2]
    with pytest.raises(BalrogError, match="one column 'x', found 2; rename"):
        columns["x"]


def test_other_things_are_no_tables():
    with pytest.raises(BalrogError, match="must be a pandas data frame, .*; found list"):
        columns_of([1, 2], {})
