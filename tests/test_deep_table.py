import numpy as np
import pytest
from memory_catalog import MemoryCatalog
from small_survey import make_injections, make_preset

from data_prep.errors import BalrogError
from data_prep.preparation.deep_table import DeepTable, join_deep
from data_prep.preparation.injections import read_rows
from data_prep.preparation.table_specs import deep_spec, table_spec


def make_parents():
    """Magnitudes of parents 1-59, some bad, in an order of their own."""
    ids = np.random.default_rng(2).permutation(np.arange(1, 60))
    mag = {
        band: (15 + 0.1 * ids + shift).astype(np.float32) for band, shift in (("r", 0), ("i", 1))
    }
    mag["r"][ids == 7] = 99
    mag["i"][ids == 8] = np.nan
    mag["i"][ids == 9] = 5
    keep = ids != 10
    return {"ID": ids[keep], "t_r": mag["r"][keep], "t_i": mag["i"][keep]}


def join(tmp_path, parents, without=("t_r", "t_i"), unit=None, **changes):
    """Injections joined to their parents: what they were, rows, reasons."""
    columns = make_injections()
    columns["found"][:] = 1
    for band in "ri":
        columns[f"m_{band}"] = columns[f"t_{band}"]
    preset = make_preset(tmp_path, deep={"id": "ID"}, **changes)
    spec = deep_spec(MemoryCatalog(parents, "deep.fits"), preset)
    deep = DeepTable(spec, preset, unit)
    catalog = MemoryCatalog({k: v for k, v in columns.items() if k not in without})
    table = table_spec("matched", catalog, preset, spec, None)
    rows, bad = read_rows(next(catalog.batches(table.needed, 600)), 0, table, preset, unit, 0)
    join_deep(rows, bad, table, deep)
    return columns, dict(zip(table.values, rows["values"].T, strict=True)), rows, bad


def expected_drops(columns):
    count = np.bincount(columns["parent"], minlength=60)
    return {
        "no row in deep.fits": count[10],
        "true_r is the sentinel 99": count[7],
        "true_i is not finite": count[8],
        "true_i is out of range [10, 35]": count[9],
    }


def test_every_injection_has_its_parents_values(tmp_path):
    columns, values, rows, bad = join(tmp_path, make_parents())
    assert bad.dropped == expected_drops(columns)
    np.testing.assert_array_equal(rows["bad"], bad.reason)
    good = bad.keep
    parents = columns["parent"][good]
    np.testing.assert_allclose(values["true_r"][good], 15 + 0.1 * parents, atol=1e-5)
    np.testing.assert_allclose(values["true_i"][good], 16 + 0.1 * parents, atol=1e-5)
    np.testing.assert_array_equal(values["meas_i"], columns["m_i"])


def test_a_missing_parent_is_no_bad_value(tmp_path):
    columns, _, _, bad = join(tmp_path, make_parents())
    expected = expected_drops(columns)
    assert bad.bad_values == sum(expected.values()) - expected["no row in deep.fits"]


def test_only_what_the_catalogue_lacks_comes_from_the_parents(tmp_path):
    columns, values, _, bad = join(tmp_path, make_parents(), without=("t_i",))
    np.testing.assert_array_equal(values["true_r"], columns["t_r"])
    np.testing.assert_allclose(values["true_i"][bad.keep], 16 + 0.1 * columns["parent"][bad.keep],
                               atol=1e-5)  # fmt: skip


def test_units_of_the_parents(tmp_path):
    parents = make_parents()
    for band in "ri":
        parents[f"t_{band}"] = 10 ** (0.4 * (30 - parents[f"t_{band}"].astype(float)))
    parents["t_r"][:2] = -3
    columns, values, _, bad = join(tmp_path, parents, truth={"source_unit": "flux"})
    good = bad.keep
    np.testing.assert_allclose(
        values["true_r"][good], 15 + 0.1 * columns["parent"][good], atol=1e-4
    )
    negative = np.isin(columns["parent"], parents["ID"][:2]).sum()
    assert bad.dropped["true_r has a flux that is not positive"] == negative


def test_the_same_file_under_another_preset_is_read_anew(tmp_path):
    parents = make_parents()
    _, first, _, _ = join(tmp_path, parents)
    _, second, _, bad = join(tmp_path, parents, truth={"maximum": 18.0})
    assert bad.dropped["true_r is out of range [10, 18]"] > 0
    np.testing.assert_array_equal(first["true_r"], second["true_r"])


def test_repeated_parents_are_named(tmp_path):
    parents = make_parents()
    parents["ID"][:2] = 44
    with pytest.raises(BalrogError, match=r"deep.fits: ids must be unique; 44 is"):
        join(tmp_path, parents)


def test_deep_table_is_read_once(tmp_path):
    preset = make_preset(tmp_path, deep={"id": "ID"})
    catalog = MemoryCatalog(make_parents(), "deep.fits")
    spec = deep_spec(catalog, preset)
    deep = DeepTable(spec, preset, None)
    injections = MemoryCatalog({k: v for k, v in make_injections().items() if k[:2] != "t_"})
    table = table_spec("matched", injections, preset, spec, None)
    for batch in injections.batches(table.needed, 100):
        rows, bad = read_rows(batch, 0, table, preset, None, 0)
        join_deep(rows, bad, table, deep)
    assert len(catalog.read) == 1
