import numpy as np
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras.conditions import conditions_of, open_maps, row_ids_of
from data_prep.errors import BalrogError
from data_prep.survey_maps import pixels_at, write_partial_map

INFO = {"name": "toy", "schema": toy_schema().to_dict(), "map_patterns": {}}


def _columns(rows=20):
    names = toy_schema().condition_names
    return dict(zip(names, toy_conditions(rows, 1).T, strict=True))


def test_columns_in_any_order_become_the_schemas():
    columns = _columns()
    shuffled = dict(reversed(columns.items()))
    np.testing.assert_array_equal(conditions_of(shuffled, INFO), toy_conditions(20, 1))


def test_input_is_not_changed():
    columns = {name: values.astype("float64") for name, values in _columns().items()}
    columns["true_mag_r"][3] = np.nan
    before = {name: values.copy() for name, values in columns.items()}
    assert np.isnan(conditions_of(columns, INFO)[3]).all()
    for name, values in before.items():
        np.testing.assert_array_equal(columns[name], values)


@pytest.mark.parametrize(("value", "usable"), [(36.0, True), (36.1, False), (9.9, False)])
def test_schemas_range_counts(value, usable):
    columns = {name: values.copy() for name, values in _columns().items()}
    columns["true_mag_z"][0] = value
    assert np.isfinite(conditions_of(columns, INFO)[0]).all() == usable


def test_emulator_without_maps_says_so(tmp_path):
    with pytest.raises(BalrogError, match="came as columns"):
        open_maps(tmp_path, INFO)


def test_property_without_a_map_is_named(tmp_path):
    info = INFO | {"map_patterns": {"fwhm_r": ["r_fwhm"]}}
    columns = _columns()
    del columns["fwhm_r"], columns["sky_noise_z"]
    with pytest.raises(BalrogError, match="give sky_noise_z as columns"):
        conditions_of(columns | {"ra": np.zeros(20), "dec": np.zeros(20)}, info, tmp_path)


@pytest.mark.parametrize(
    "source",
    [["r_*_fwhm"], {"maps": {"value": ["r_*_fwhm"]}, "expression": "", "zero_is_missing": False}],
    ids=["patterns", "map source"],
)
def test_old_and_new_patterns_open_the_maps_that_are_needed(source, tmp_path):
    pixels = np.arange(12 * 64)
    write_partial_map(tmp_path / "r_a_fwhm.fits", pixels, pixels, nside=8, unit="arcsec")
    info = INFO | {"map_patterns": {"fwhm_r": source, "fwhm_i": ["none"], "ebv": ["none"]}}
    maps = open_maps(tmp_path, info, ["fwhm_r"])
    found = maps.values_at([10.0], [20.0])
    assert found["fwhm_r"] == pixels_at([10.0], [20.0], nside=8, nest=True)
    assert list(found) == ["fwhm_r"]


@pytest.mark.parametrize("value", [1e-60, 1e60])
def test_value_that_float32_cannot_hold_is_unusable(value):
    columns = {name: values.astype("float64") for name, values in _columns().items()}
    columns["sky_noise_r"][7] = value
    assert np.isnan(conditions_of(columns, INFO)).any(axis=1).nonzero()[0].tolist() == [7]


@pytest.mark.parametrize("rows", [1, 0, 19])
def test_columns_of_unequal_length_are_named(rows):
    columns = _columns() | {"fwhm_r": np.ones(rows), "sky_noise_i": np.ones(rows)}
    message = f"each of 20 rows; 'fwhm_r' has {rows}, 'sky_noise_i' has {rows}: repeat"
    with pytest.raises(BalrogError, match=message):
        conditions_of(columns, INFO)


def test_positions_of_another_length_are_named(tmp_path):
    write_partial_map(tmp_path / "r_fwhm.fits", [1, 2], [1.0, 2.0], nside=8, unit="arcsec")
    columns = _columns() | {"ra": np.zeros(20), "dec": np.zeros(1)}
    del columns["fwhm_r"]
    with pytest.raises(BalrogError, match="'dec' has 1"):
        conditions_of(columns, INFO | {"map_patterns": {"fwhm_r": ["r_fwhm"]}}, tmp_path)


@pytest.mark.parametrize(
    "values",
    [np.full(20, "20.5"), np.full(20, b"20.5"), np.full(20, "20.5", object), np.full(20, 20 + 1j)],
)
def test_what_only_looks_like_numbers_is_refused(values):
    with pytest.raises(BalrogError, match="'true_mag_r' must be numbers.*found .*convert it"):
        conditions_of(_columns() | {"true_mag_r": values}, INFO)


def test_numbers_of_any_other_kind_will_do():
    for values in (np.full(20, 20, object), np.full(20, 20, ">i2"), [20.0] * 20):
        assert (conditions_of(_columns() | {"true_mag_r": values}, INFO)[:, 0] == 20).all()


def test_a_misspelt_condition_is_suggested_but_no_other_condition():
    columns = _columns()
    columns["FWHM_R"], columns["True_Mag_z"] = columns.pop("fwhm_r"), columns["true_mag_z"]
    with pytest.raises(BalrogError, match=r"properties fwhm_r \(did you mean FWHM_R\?\); add"):
        conditions_of(columns, INFO)
    del columns["true_mag_z"]
    with pytest.raises(BalrogError, match=r"'true_mag_z' .*\(did you mean True_Mag_z\?\)$"):
        conditions_of(columns, INFO)


def test_row_numbers_continue():
    np.testing.assert_array_equal(row_ids_of(None, 3, first=5), [5, 6, 7])
    assert row_ids_of(np.array([1, 2], "uint8"), 2).dtype == np.int64


def test_row_id_past_int64_is_named_by_its_row_of_the_catalogue():
    with pytest.raises(BalrogError, match="found 9223372036854775809 in row 1,001"):
        row_ids_of(np.array([1, 2**63 + 1], "uint64"), 2, first=1_000)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_rows_without_a_position_are_unusable(wrong, tmp_path):
    pixels = np.arange(12 * 64)
    write_partial_map(tmp_path / "r_fwhm.fits", pixels, np.ones(768), nside=8, unit="arcsec")
    columns = _columns() | {"ra": np.full(20, 10.0), "dec": np.zeros(20)}
    del columns["fwhm_r"]
    columns["ra"][4] = columns["dec"][9] = wrong
    info = INFO | {"map_patterns": {"fwhm_r": ["r_fwhm"]}}
    found = np.isnan(conditions_of(columns, info, tmp_path)).all(axis=1)
    assert np.flatnonzero(found).tolist() == [4, 9]
    columns["ra"][5] = 400.0
    with pytest.raises(BalrogError, match="row 5 has ra 400"):
        conditions_of(columns, info, tmp_path)
