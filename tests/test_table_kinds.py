import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn, QTable, Table

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


def test_other_things_are_no_tables():
    with pytest.raises(BalrogError, match="must be a pandas data frame, .*; found list"):
        columns_of([1, 2], {})
