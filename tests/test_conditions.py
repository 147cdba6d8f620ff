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


def test_row_numbers_continue():
    np.testing.assert_array_equal(row_ids_of(None, 3, first=5), [5, 6, 7])
    assert row_ids_of(np.array([1, 2], "uint8"), 2).dtype == np.int64
