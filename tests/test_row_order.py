from dataclasses import replace

import numpy as np
import pytest
from memory_catalog import MemoryCatalog
from small_survey import found_of, make_injections, make_preset

from data_prep.errors import BalrogError
from data_prep.preparation.row_order import RowOrderCatalog

MEASURED = ("m_r", "m_i", "flux", "flag", "meas_ra", "meas_dec")


class RaggedCatalog(MemoryCatalog):
    """Batches of a file whose pieces do not fit the size asked for."""

    def batches(self, columns, batch_rows, start=0, stop=None):
        end = self.rows if stop is None else stop
        while start < end:
            step = min(37, batch_rows, end - start)
            yield from super().batches(columns, step, start, start + step)
            start += step


def make_files(rows=500, kind=MemoryCatalog):
    """Every injection, and the detected ones in the same order with columns of their own."""
    everyone = make_injections(rows)
    rng = np.random.default_rng(4)
    everyone["flux"] = rng.normal(100, 300, (rows, 2)).astype(np.float32)
    everyone["meas_ra"] = everyone["ra"] + 1e-5
    everyone["meas_dec"] = everyone["dec"] - 1e-5
    injected = {name: values for name, values in everyone.items() if name not in MEASURED}
    matched = {name: values for name, values in found_of(everyone).items() if name in MEASURED}
    return everyone, kind(injected, "injected.hdf5"), kind(matched, "matched.hdf5")


@pytest.fixture
def preset(tmp_path):
    check = {"columns": ["meas_ra", "meas_dec"], "arcsec": 2}
    return make_preset(tmp_path, join="row_order", position_check=check)


def read(catalog, names, batch_rows, pieces=None):
    """Columns put together from batches of pieces."""
    parts = [
        batch
        for start, stop in pieces or [(0, catalog.rows)]
        for batch in catalog.batches(names, batch_rows, start, stop)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def test_rows_of_which_it_is_not_known_whether_they_were_detected(preset):
    _, injected, matched = make_files(kind=RaggedCatalog)
    injected.columns["found"] = injected.columns["found"].astype(np.float32)
    injected.columns["found"][321] = np.nan
    with pytest.raises(BalrogError, match=r"injected.hdf5: column found .* row 321 has nan"):
        RowOrderCatalog.join(injected, matched, preset)


@pytest.mark.parametrize("kind", [MemoryCatalog, RaggedCatalog])
@pytest.mark.parametrize("batch_rows", [1, 33, 10_000])
def test_rows_lie_side_by_side(preset, monkeypatch, kind, batch_rows):
    monkeypatch.setattr("data_prep.preparation.row_order._SCAN_ROWS", 100)
    everyone, injected, matched = make_files(kind=kind)
    catalog = RowOrderCatalog.join(injected, matched, preset)
    names = ["id", "ra", "found", "m_r", "flux", "flag"]
    pieces = [(0, 90), (90, 100), (100, 305), (305, 500)]
    detected = everyone["found"] == 1
    for found in (read(catalog, names, batch_rows), read(catalog, names, batch_rows, pieces)):
        for name in ("id", "ra", "found"):
            np.testing.assert_array_equal(found[name], everyone[name])
        for name in ("m_r", "flux", "flag"):
            np.testing.assert_array_equal(found[name][detected], everyone[name][detected])
            assert np.isnan(found[name][~detected]).all()
    assert catalog.rows == 500
    assert catalog.widths["flux"] == 2
    assert catalog.pieces(200) == injected.pieces(200)


def test_detected_by_an_expression(tmp_path):
    everyone, injected, matched = make_files()
    distance = np.where(everyone["found"] == 1, 0.1, np.nan)
    injected = MemoryCatalog(injected.columns | {"distance": distance})
    detected = {"inputs": {"d": ["distance"]}, "expression": "isfinite(d)"}
    preset = make_preset(tmp_path, join="row_order", detected=detected)
    found = read(RowOrderCatalog.join(injected, matched, preset), ["m_i"], 100)
    np.testing.assert_array_equal(np.isfinite(found["m_i"]), everyone["found"] == 1)


@pytest.mark.parametrize("rows", [-1, 0, 1])
def test_other_numbers_of_rows(preset, rows):
    _, injected, matched = make_files()
    columns = {name: values[1:] for name, values in matched.columns.items()}
    if rows == 1:
        columns = {name: np.append(v, v[-1:], axis=0) for name, v in matched.columns.items()}
    if rows == 0:
        injected.columns["found"][:] = 0
        columns = {name: values[:0] for name, values in columns.items()}
    with pytest.raises(BalrogError, match=r"matched.hdf5 must be the detected rows of injected"):
        RowOrderCatalog.join(injected, MemoryCatalog(columns, "matched.hdf5"), preset)


def test_other_order_is_caught_by_the_positions(preset):
    _, injected, matched = make_files()
    order = np.arange(matched.rows)
    order[[200, 201]] = order[[201, 200]]
    shuffled = {name: values[order] for name, values in matched.columns.items()}
    catalog = RowOrderCatalog.join(injected, MemoryCatalog(shuffled, "matched.hdf5"), preset)
    read(catalog, ["id", "ra"], 50)
    with pytest.raises(BalrogError, match=r"row 200 must be the detected.*not in the same order"):
        read(catalog, ["m_r"], 50)
    unchecked = RowOrderCatalog.join(injected, matched, replace(preset, position_check=None))
    assert np.isfinite(read(unchecked, ["m_r"], 50)["m_r"]).any()


def test_positions_are_compared_across_ra_0(preset):
    everyone, injected, matched = make_files()
    injected.columns["ra"] = np.where(np.arange(500) % 2 == 0, 1e-6, 359.999999)
    detected = everyone["found"] == 1
    matched.columns["meas_ra"] = 360 - injected.columns["ra"][detected]
    found = read(RowOrderCatalog.join(injected, matched, preset), ["m_r"], 100)
    np.testing.assert_array_equal(found["m_r"][detected], everyone["m_r"][detected])


def test_missing_columns_are_named(preset):
    _, injected, matched = make_files()
    lacking = {name: v for name, v in matched.columns.items() if name != "meas_dec"}
    with pytest.raises(BalrogError, match="position_check needs the column meas_dec"):
        RowOrderCatalog.join(injected, MemoryCatalog(lacking), preset)
    lacking = {name: v for name, v in injected.columns.items() if name != "found"}
    with pytest.raises(BalrogError, match="detected needs the column found"):
        RowOrderCatalog.join(MemoryCatalog(lacking), matched, preset)
