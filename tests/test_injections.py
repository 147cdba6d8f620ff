from dataclasses import replace

import numpy as np
import pytest
from survey_files import LABEL, make_catalog, matched_of, write_table

from data_prep.errors import BalrogError
from data_prep.injections import match_rows, read_injections
from data_prep.preset import load_preset

PRESET = load_preset("des-y3-sof")
ALL_CUTS = PRESET.cuts


@pytest.fixture(params=[".fits", ".parquet"])
def suffix(request):
    return request.param


def read(tmp_path, columns, table, suffix=".fits", batch_rows=250_000):
    path = write_table(tmp_path / f"{table}{suffix}", columns)
    return read_injections(path, PRESET, table, batch_rows)


@pytest.mark.parametrize("batch_rows", [7, 10_000])
def test_matched_catalogue(tmp_path, suffix, batch_rows):
    columns = matched_of(make_catalog(400))
    found = read(tmp_path, columns, "matched", suffix, batch_rows)
    np.testing.assert_array_equal(found.row_id, columns["bal_id"])
    np.testing.assert_array_equal(found.parent_id, columns["true_id"])
    np.testing.assert_array_equal(found.ra, columns["true_ra"])
    np.testing.assert_array_equal(found.dec, columns["true_dec"])
    for index, band in enumerate("riz", start=1):
        truth, measured = columns["true_bdf_mag_deredden"], columns["meas_cm_mag_deredden"]
        np.testing.assert_array_equal(found.columns[f"true_mag_{band}"], truth[:, index])
        np.testing.assert_array_equal(found.columns[f"meas_mag_{band}"], measured[:, index])
    assert found.label == LABEL
    assert found.detected is None
    assert found.used["meas_mag_r"] == "meas_cm_mag_deredden[1]"


def test_the_next_alternative_is_used_and_said(tmp_path):
    columns = matched_of(make_catalog(50))
    del columns["meas_cm_mag_deredden"]
    found = read(tmp_path, columns, "matched")
    assert found.used["meas_mag_z"] == "meas_cm_mag[3]"
    np.testing.assert_array_equal(found.columns["meas_mag_z"], columns["meas_cm_mag"][:, 3])


def test_detection_catalogue(tmp_path, suffix):
    columns = make_catalog(300)
    found = read(tmp_path, columns, "detection", suffix)
    np.testing.assert_array_equal(found.detected, columns["detected"])
    assert found.detected.dtype == np.int64
    assert "meas_mag_r" not in found.columns


def test_cuts_are_joined_by_id_and_counted(tmp_path):
    columns = make_catalog(300)
    columns["flags_foreground"][:50] = 1
    columns["match_flag_1.5_asec"][40:90] = 2
    columns["match_flag"] = columns.pop("match_flag_1.5_asec")
    matched = read(tmp_path, matched_of(columns), "matched")
    detection = read(tmp_path, columns, "detection")
    assert matched.apply_cuts(ALL_CUTS, detection, "give --detection") == []
    detected = columns["detected"] == 1
    assert matched.selection.dropped == {
        "cut flags_foreground == 0": detected[:50].sum(),
        "cut match_flag_1.5_asec < 2": detected[50:90].sum(),
    }
    kept = set(matched.row_id[matched.selection.keep].tolist())
    assert kept == set(columns["bal_id"][90:][detected[90:]].tolist())
    assert matched.selection.bad_values == 0


def test_rows_that_the_detection_catalogue_lacks_are_dropped(tmp_path):
    columns = make_catalog(300)
    matched = read(tmp_path, matched_of(columns), "matched")
    rest = {name: values[100:] for name, values in columns.items()}
    matched.apply_cuts(ALL_CUTS, read(tmp_path, rest, "detection"), "give --detection")
    expected = int(columns["detected"][:100].sum())
    assert matched.selection.dropped == {"no row in detection.fits": expected}


def test_missing_cut_column(tmp_path):
    matched = read(tmp_path, matched_of(make_catalog(50)), "matched")
    with pytest.raises(BalrogError, match=r"flags_foreground.*detection.*; give --detection, or"):
        matched.apply_cuts(ALL_CUTS, None, "give --detection")
    optional = [replace(cut, optional=True) for cut in ALL_CUTS]
    assert matched.apply_cuts(optional, None, "") == [str(cut) for cut in ALL_CUTS]
    assert matched.selection.keep.all()


def test_cut_columns_in_the_matched_catalogue_do_without_a_detection_catalogue(tmp_path):
    columns = make_catalog(100)
    columns["flags_badregions"][:30] = 3
    matched = matched_of(columns)
    order = match_rows(matched["bal_id"], columns["bal_id"], "")
    for cut in ALL_CUTS:
        matched[cut.columns[0]] = columns[cut.columns[0]][order]
    found = read(tmp_path, matched, "matched")
    found.apply_cuts(ALL_CUTS, None, "")
    assert found.selection.dropped == {
        "cut flags_badregions < 2": int(columns["detected"][:30].sum())
    }


def test_clean_converts_fluxes_and_counts_bad_values(tmp_path):
    columns = matched_of(make_catalog(2000))
    for name in ("true_bdf_mag_deredden", "meas_cm_mag_deredden"):
        columns[name] = (10 ** (0.4 * (30 - columns[name].astype(float)))).astype(np.float32)
    columns["meas_cm_mag_deredden"][:3, 2] = [0.001, -4.0, np.nan]
    found = read(tmp_path, columns, "matched")
    found.clean(PRESET, "flux")
    expected = 30 - 2.5 * np.log10(columns["true_bdf_mag_deredden"][:, 3].astype(float))
    np.testing.assert_allclose(found.columns["true_mag_z"], expected, atol=1e-5)
    assert found.selection.dropped == {
        "meas_mag_i is the sentinel 0.001": 1,
        "meas_mag_i has a flux that is not positive": 1,
        "meas_mag_i is not finite": 1,
    }
    with pytest.raises(BalrogError, match=r"true_bdf_mag_deredden\[1\].*fluxes; give --unit flux"):
        read(tmp_path, columns, "matched").clean(PRESET)


@pytest.mark.parametrize("name", ["bal_id", "true_id", "true_ra", "true_bdf_mag_deredden"])
def test_missing_column_is_named(tmp_path, suffix, name):
    columns = matched_of(make_catalog(50))
    del columns[name]
    with pytest.raises(BalrogError, match=f"needs the column {name}, which is missing"):
        read(tmp_path, columns, "matched", suffix)


def test_repeated_ids_are_named(tmp_path):
    columns = matched_of(make_catalog(50))
    columns["bal_id"][[7, 20]] = 5
    with pytest.raises(BalrogError, match=r"unique; 5 is in rows 7 and 20 \(1 repeats\)"):
        read(tmp_path, columns, "matched")


@pytest.mark.parametrize("value", [np.nan, 1.5, 1e17])
def test_ids_that_are_no_whole_numbers(tmp_path, value):
    columns = matched_of(make_catalog(50))
    columns["bal_id"] = np.arange(len(columns["bal_id"]), dtype=np.float64)
    read(tmp_path, columns, "matched")
    columns["bal_id"][11] = value
    with pytest.raises(BalrogError, match="bal_id must hold whole numbers; row 11 has"):
        read(tmp_path, columns, "matched", batch_rows=4)


def test_match_rows_against_a_dictionary():
    rng = np.random.default_rng(0)
    ids = rng.permutation(10**6)[:5000] - 500_000
    wanted = rng.integers(-500_000, 500_000, 20_000)
    rows = {value: row for row, value in enumerate(ids.tolist())}
    expected = [rows.get(value, -1) for value in wanted.tolist()]
    np.testing.assert_array_equal(match_rows(wanted, ids, "here"), expected)
    np.testing.assert_array_equal(match_rows(wanted, ids[:0], "here"), -1)
