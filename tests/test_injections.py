from dataclasses import replace

import healpy
import numpy as np
import pytest
from memory_catalog import MemoryCatalog
from small_survey import make_injections, make_preset

from data_prep.errors import BalrogError
from data_prep.preparation.injections import NO_REGION, match_rows, read_rows
from data_prep.preparation.table_specs import table_spec
from data_prep.splits import keyed_hash

CUTS = [
    {"column": "flag", "operator": "==", "value": 0, "table": "detection", "rows": "all"},
    {
        "inputs": {"r": "m_r", "i": "m_i"},
        "expression": "r - i < 0.5",
        "table": "matched",
        "rows": "detected",
    },
]


def read(columns, preset, role="matched", batch_rows=10_000, unit=None, **changes):
    """Rows of a whole catalogue, and how many went for which reason."""
    catalog = MemoryCatalog(columns)
    spec = replace(table_spec(role, catalog, preset, None, None), **changes)
    parts, dropped, first = [], {}, 0
    for batch in catalog.batches(spec.needed, batch_rows):
        rows, bad = read_rows(batch, first, spec, preset, unit, 7)
        np.testing.assert_array_equal(rows["bad"], bad.reason)
        for reason, count in bad.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        parts.append(rows)
        first += len(batch[spec.needed[0]])
    return np.concatenate(parts), dropped


def found_injections(rows=400):
    columns = make_injections(rows)
    columns["found"][:] = 1
    for band in "ri":
        columns[f"m_{band}"] = columns[f"t_{band}"] + np.float32(0.25)
    return columns


@pytest.mark.parametrize("batch_rows", [7, 10_000])
def test_rows_are_those_of_the_catalogue(tmp_path, batch_rows):
    columns, preset = found_injections(), make_preset(tmp_path)
    rows, dropped = read(columns, preset, batch_rows=batch_rows)
    assert not dropped
    np.testing.assert_array_equal(rows["row_id"], columns["id"])
    np.testing.assert_array_equal(rows["parent_id"], columns["parent"])
    np.testing.assert_array_equal(rows["ra"], columns["ra"])
    np.testing.assert_array_equal(rows["dec"], columns["dec"])
    np.testing.assert_array_equal(rows["key"], keyed_hash(columns["id"], 7, "shuffle"))
    pixels = healpy.ang2pix(64, columns["ra"], columns["dec"], nest=True, lonlat=True)
    np.testing.assert_array_equal(rows["region"], pixels)
    for index, name in enumerate(("t_r", "t_i", "m_r", "m_i")):
        np.testing.assert_array_equal(rows["values"][:, index], columns[name])
    assert (rows["weight"] == 1).all()


def test_detection_rows_have_both_outcomes_and_no_measurement(tmp_path):
    columns, preset = make_injections(), make_preset(tmp_path)
    rows, dropped = read(columns, preset, "detection")
    assert not dropped
    np.testing.assert_array_equal(rows["detected"], columns["found"])
    assert rows["values"].shape == (600, 2)


def test_only_detected_rows_of_a_catalogue_of_every_injection(tmp_path):
    columns, preset = make_injections(), make_preset(tmp_path, join="none", id=None)
    rows, dropped = read(columns, preset, only_detected=True, batch_rows=50)
    found = np.flatnonzero(columns["found"])
    assert not dropped
    np.testing.assert_array_equal(rows["row_id"], found)
    np.testing.assert_array_equal(rows["values"][:, 3], columns["m_i"][found])
    np.testing.assert_array_equal(rows["detected"], 1)


def test_detected_by_an_expression(tmp_path):
    columns = make_injections()
    detected = {"inputs": {"m": ["m_r"]}, "expression": "isfinite(m)"}
    rows, _ = read(columns, make_preset(tmp_path, detected=detected), "detection")
    np.testing.assert_array_equal(rows["detected"], np.isfinite(columns["m_r"]))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float32])
def test_what_counts_as_detected(tmp_path, dtype):
    found = np.arange(10) % 3 == 0
    columns = make_injections(10) | {"found": found.astype(dtype)}
    rows, _ = read(columns, make_preset(tmp_path), "detection")
    np.testing.assert_array_equal(rows["detected"], found)


@pytest.mark.parametrize("flag", [np.nan, np.inf, -9999, -1, 0.5, 2])
@pytest.mark.parametrize("role", ["detection", "matched"])
def test_what_is_not_known_to_be_detected_is_no_non_detection(tmp_path, flag, role):
    columns, preset = make_injections(10), make_preset(tmp_path, join="none", id=None)
    columns["found"] = np.array([1.0, 0, 0, 1, 0, 1, flag, flag, 0, 1])
    with pytest.raises(BalrogError) as error:
        read(columns, preset, role, batch_rows=5, only_detected=role == "matched")
    assert "memory.fits: column found (`detected`) must be 0 or 1" in str(error.value)
    assert f"row 6 has {flag:.1f}, one of 2 such rows" in str(error.value)


def test_cuts_are_bits(tmp_path):
    columns, preset = found_injections(), make_preset(tmp_path, cuts=CUTS)
    columns["m_r"][:9] = np.nan
    rows, _ = read(columns, preset)
    assert ((rows["cuts"] & 1 == 1) == (columns["flag"] == 0)).all()
    passes = columns["m_r"] - columns["m_i"].astype(float) < 0.5
    np.testing.assert_array_equal(rows["cuts"] & 2 == 2, passes)
    assert (rows["cuts"] >> 2 == 2**30 - 1).all()
    without = {name: values for name, values in columns.items() if name != "flag"}
    rows, _ = read(without, preset)
    assert (rows["cuts"] & 1 == 1).all()


def test_bad_positions_are_counted_and_ra_is_wrapped(tmp_path):
    columns = found_injections(12)
    columns["ra"][:10] = [np.nan, np.inf, 361, -361, -10, 360, 0, -1e-17, 20, 20]
    columns["dec"][:10] = [0, 0, 0, 0, 0, 0, 0, 0, 90.1, np.nan]
    rows, dropped = read(columns, make_preset(tmp_path))
    assert dropped == {"position is not finite": 3, "position is out of range": 3}
    np.testing.assert_array_equal(rows["ra"][4:8], [350, 0, 0, 0])
    bad = [0, 1, 2, 3, 8, 9]
    np.testing.assert_array_equal(np.flatnonzero(rows["region"] == NO_REGION), bad)
    good = np.setdiff1d(np.arange(12), bad)
    expected = healpy.ang2pix(64, rows["ra"], rows["dec"], nest=True, lonlat=True)
    np.testing.assert_array_equal(rows["region"][good], expected[good])


def test_without_parents_each_injection_is_one_of_its_own(tmp_path):
    columns = found_injections()
    rows, _ = read(columns, make_preset(tmp_path, parent=None))
    np.testing.assert_array_equal(rows["parent_id"], columns["id"])


def test_weights(tmp_path):
    columns, preset = found_injections(), make_preset(tmp_path, weight="weight")
    columns["weight"][:4] = [0, -1, np.nan, np.inf]
    rows, dropped = read(columns, preset)
    np.testing.assert_array_equal(rows["weight"], columns["weight"])
    assert dropped == {"weight is not a number from 0": 3}


def test_a_row_counts_under_one_reason_whatever_the_batches(tmp_path):
    columns = found_injections()
    columns["ra"][3:6] = np.nan
    columns["m_r"][5:9] = 99
    columns["m_i"][8:20] = np.inf
    expected = {
        "position is not finite": 3,
        "meas_r is the sentinel 99": 3,
        "meas_i is not finite": 11,
    }
    for batch_rows in (1, 6, 1000):
        assert read(columns, make_preset(tmp_path), batch_rows=batch_rows)[1] == expected


@pytest.mark.parametrize("value", [np.nan, 1.5, 1e17])
@pytest.mark.parametrize(("column", "name"), [("id", "id"), ("parent", "parent")])
def test_ids_that_are_no_whole_numbers(tmp_path, value, column, name):
    columns, preset = found_injections(), make_preset(tmp_path)
    columns[column] = np.arange(400, dtype=np.float64)
    read(columns, preset)
    columns[column][11] = value
    message = rf"{name} must hold whole numbers, .* beyond 2\^53.*; row 11 has {value}"
    with pytest.raises(BalrogError, match=message.replace("+", r"\+")):
        read(columns, preset, batch_rows=4)


def test_large_ids_and_negative_ones_stay_what_they_are(tmp_path):
    columns = found_injections(4)
    columns["id"] = np.array([-1, 0, 2**62 + 1, 10**15], np.int64)
    rows, _ = read(columns, make_preset(tmp_path))
    assert rows["row_id"].tolist() == [-1, 0, 2**62 + 1, 10**15]


def test_ids_that_are_too_large_do_not_become_negative(tmp_path):
    columns = found_injections(4)
    columns["id"] = np.array([1, 2, 2**63 - 1, 3], np.uint64)
    rows, _ = read(columns, make_preset(tmp_path))
    assert rows["row_id"].tolist() == [1, 2, 2**63 - 1, 3]
    columns["id"][2] += 1
    with pytest.raises(BalrogError, match=r"whole numbers below 2\^63; row 2 has 92233720368547"):
        read(columns, make_preset(tmp_path))


def test_match_rows_against_a_dictionary():
    rng = np.random.default_rng(0)
    ids = rng.permutation(10**6)[:5000] - 500_000
    wanted = rng.integers(-500_000, 500_000, 20_000)
    rows = {value: row for row, value in enumerate(ids.tolist())}
    expected = [rows.get(value, -1) for value in wanted.tolist()]
    np.testing.assert_array_equal(match_rows(wanted, ids, "here"), expected)
    np.testing.assert_array_equal(match_rows(wanted, ids[:0], "here"), -1)


def test_repeated_ids_are_named():
    ids = np.array([5, 3, 5, 4, 3, 3])
    with pytest.raises(BalrogError, match=r"here: ids must be unique; 3 is .* \(3 repeats\)"):
        match_rows(ids[:0], ids, "here")
