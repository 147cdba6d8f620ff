from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy.table import Column, MaskedColumn
from toy import toy_conditions

from balrog_keras.draw_keys import checked_keys, member_input, row_ids, whole_number
from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError

CONDITION = toy_conditions(5, 1)
BAD_KEYS = [
    ({"row_id": np.arange(4)}, r"5 whole numbers .*one for each row; found shape \(4,\)"),
    ({"row_id": np.arange(6)}, r"found shape \(6,\)"),
    ({"row_id": 3}, r"found shape \(\)"),
    ({"row_id": np.arange(5) + 0.6}, "dtype float64. Give a column of integers"),
    ({"row_id": np.arange(5).astype(str)}, "dtype <U"),
    ({"row_id": np.uint64([1, 2, 2**63, 3, 4])}, "below 2.*found 9223372036854775808 in row 2"),
    ({"row_id": np.ma.array(np.arange(5), mask=[0, 0, 1, 0, 1])}, "2 are masked, the first in row"),
    ({"seed": 2**63}, "seed must be a 64-bit whole number"),
    ({"seed": 1.9}, "seed must be .*found 1.9"),
    ({"seed": "1"}, "seed must be .*found '1'"),
    ({"draw": -1}, "draw must be .*at least 0, found -1"),
    ({"draw": 2**63}, "draw must be"),
    ({"member": 0.5}, "member of .* must be a 64-bit whole number"),
]


@pytest.fixture(scope="module")
def emulator(untrained_bundle):
    return Emulator.load(untrained_bundle)


@pytest.mark.parametrize(("change", "message"), BAD_KEYS)
@pytest.mark.parametrize("method", ["draw", "draw_detected"])
def test_an_emulator_draws_by_no_other_key_than_the_given(emulator, method, change, message):
    given = {"condition": CONDITION, "row_id": np.arange(5), "seed": 1} | change
    with pytest.raises(BalrogError, match=message):
        getattr(emulator, method)(**given)


def test_more_ids_than_rows_are_refused_past_one_chunk_too(emulator, monkeypatch):
    monkeypatch.setattr("balrog_keras.endpoints.CHUNK_ROWS", 2)
    with pytest.raises(BalrogError, match=r"found shape \(4101,\)"):
        emulator.draw(CONDITION, np.arange(4101), 1)


@pytest.mark.parametrize(
    "ids",
    [[3, 1], (3, 1), np.uint64([3, 1]), np.array([3, 1], ">i4"), pd.Series([3, 1], dtype="Int64"),
     MaskedColumn([3, 1])],
)  # fmt: skip
def test_whole_numbers_of_any_kind_are_ids(ids):
    found = row_ids(ids, 2)
    assert found.dtype == np.int64
    assert found.tolist() == [3, 1]


def test_ids_of_no_rows_have_any_type():
    assert row_ids([], 0).dtype == row_ids(np.empty(0)).dtype == np.int64


@pytest.mark.parametrize("kind", [pd.Series, Column])
def test_a_column_is_named(kind):
    with pytest.raises(BalrogError, match=r"row_id \(column 'object_id'\) must be"):
        row_ids(kind([0.5], name="object_id"))


def test_numbers_of_numpy_are_whole_numbers():
    assert whole_number("seed", np.uint8(3)) == 3
    assert checked_keys([1], -(2**63), np.int32(1))[1:] == (-(2**63), 1)
    assert member_input("pair", 2, np.int64(1)) == {"member": 1}


@pytest.mark.parametrize(("change", "message"), BAD_KEYS)
def test_onnx_refuses_the_same(change, message):
    """Before a network is asked."""
    from balrog_keras.onnx_emulator import OnnxEmulator

    info = {"name": "pair", "conditions": [], "measured": [], "label": "", "latent_dim": 3}
    emulator = OnnxEmulator(info, [SimpleNamespace()] * 2, SimpleNamespace())
    given = {"condition": CONDITION, "row_id": np.arange(5), "seed": 1} | change
    with pytest.raises(BalrogError, match=message):
        emulator.draw(**given)
    if "member" not in change:
        with pytest.raises(BalrogError, match=message):
            emulator.draw_detected(**given)
