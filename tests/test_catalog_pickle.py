import logging
import os
import pickle

import numpy as np
import pandas as pd
import pytest

from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError


def test_pickles_must_be_allowed(tmp_path, caplog):
    path = tmp_path / "deep_ugriz.pkl"
    pd.DataFrame({"ID": [1, 2], "BDF_T": [0.5, np.nan]}).to_pickle(path)
    with pytest.raises(BalrogError, match="opening a pickle runs any code.*--allow-pickle"):
        open_catalog(path)
    with caplog.at_level(logging.WARNING):
        catalog = open_catalog(path, allow_pickle=True)
    assert "is a pickle: opening it runs any code that is in it" in caplog.text
    (batch,) = catalog.batches(["ID", "BDF_T"], 10)
    np.testing.assert_array_equal(batch["BDF_T"], [0.5, np.nan])
    assert batch["ID"].dtype == np.int64


def test_no_code_runs_unless_allowed(tmp_path):
    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "witness"),)

    path = tmp_path / "t.pkl"
    path.write_bytes(pickle.dumps(Touch()))
    with pytest.raises(BalrogError, match="--allow-pickle"):
        open_catalog(path)
    assert not (tmp_path / "witness").exists()


def test_nullable_and_big_endian_columns(tmp_path):
    frame = pd.DataFrame(
        {"a": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}
    )
    frame["c"] = np.array([1.5, 2.5], ">f4")
    frame["d"] = pd.array([1.5, None], "float[pyarrow]")
    frame["s"] = ["x", "y"]
    frame.to_pickle(tmp_path / "t.pkl")
    catalog = open_catalog(tmp_path / "t.pkl", allow_pickle=True)
    assert catalog.widths == {"a": 1, "b": 1, "c": 1, "d": 1, "s": 0}
    (batch,) = catalog.batches(list("abcd"), 10)
    np.testing.assert_array_equal(batch["a"], [1, np.nan])
    np.testing.assert_array_equal(batch["b"], [1, np.nan])
    np.testing.assert_array_equal(batch["c"], [1.5, 2.5])
    np.testing.assert_array_equal(batch["d"], [1.5, np.nan])
    assert batch["c"].dtype.isnative


def test_pickles_that_are_no_table(tmp_path):
    path = tmp_path / "t.pkl"
    path.write_bytes(pickle.dumps({"a": [1]}))
    with pytest.raises(BalrogError, match="must be a pickled pandas table; found dict"):
        open_catalog(path, allow_pickle=True)
    for content in (b"not a pickle", b"\x80\x04cno.module\nname\n.", b"\x80\x04)R."):
        path.write_bytes(content)
        with pytest.raises(BalrogError, match="truncated or damaged.*another version of pandas"):
            open_catalog(path, allow_pickle=True)
