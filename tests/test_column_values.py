import numpy as np
import pytest
from small_survey import ASINH, make_preset

from data_prep.errors import BalrogError
from data_prep.preparation.column_values import (
    catalog_unit,
    column_values,
    require_plausible_column,
)
from data_prep.selection import Selection


def values_of(preset, name, inputs, unit=None):
    """Values of a column, and the rows dropped."""
    arrays = {alias: np.asarray(values, np.float32) for alias, values in inputs.items()}
    bad = Selection(len(next(iter(arrays.values()))))
    labelled = {alias: (values, f"c_{alias}") for alias, values in arrays.items()}
    return column_values(labelled, name, preset, unit, bad, "cat.fits"), bad.dropped


def test_magnitudes_pass_through_and_bad_ones_are_counted(tmp_path):
    values = [22, np.nan, 99, 41, 4]
    found, dropped = values_of(make_preset(tmp_path), "meas_r", {"value": values})
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32(values))
    assert dropped == {
        "meas_r is not finite": 1,
        "meas_r is the sentinel 99": 1,
        "meas_r is out of range [5, 40]": 2,
    }


def test_fluxes_become_magnitudes_by_the_preset_or_by_the_option(tmp_path):
    flux = [1000, -5, 0, -9999]
    said = make_preset(tmp_path, measured={"source_unit": "flux"})
    for preset, unit in ((said, None), (make_preset(tmp_path), "flux")):
        found, dropped = values_of(preset, "meas_i", {"value": flux}, unit)
        assert found[0] == np.float32(22.5)
        assert dropped == {
            "meas_i is the sentinel -9999": 1,
            "meas_i has a flux that is not positive": 2,
        }


def test_asinh_magnitudes_keep_negative_fluxes(tmp_path):
    preset = make_preset(tmp_path, measured=ASINH | {"softening": 50.0})
    flux = np.array([1e5, 30, 0, -40, -9999])
    found, dropped = values_of(preset, "meas_r", {"value": flux})
    scaled = (30 - found[:4].astype(float)) * np.log(10) / 2.5 - np.log(50)
    np.testing.assert_allclose(100 * np.sinh(scaled), flux[:4], rtol=1e-6, atol=1e-4)
    assert dropped == {"meas_r is the sentinel -9999": 1}


def test_asinh_magnitudes_of_a_catalogue_become_magnitudes(tmp_path):
    measured = {"source_unit": "asinh mag", "softening": 2.0}
    preset = make_preset(tmp_path, measured=measured)
    flux = np.array([5.0, 1e4, -3.0])
    luptitude = 30 - 2.5 / np.log(10) * (np.arcsinh(flux / 4) + np.log(2))
    found, dropped = values_of(preset, "meas_r", {"value": luptitude})
    np.testing.assert_allclose(found[:2], 30 - 2.5 * np.log10(flux[:2]), atol=1e-5)
    assert dropped == {"meas_r has a flux that is not positive": 1}


def test_expression_over_several_columns(tmp_path):
    measured = {
        "source": None,
        "inputs": {"a": ["a_{band}"], "b": ["b_{band}"]},
        "expression": "a + 2 * b",
    }
    preset = make_preset(tmp_path, measured=measured)
    inputs = {"a": [20, np.nan, 20, 99], "b": [1, 1, 99, 1]}
    found, dropped = values_of(preset, "meas_r", inputs)
    assert found[0] == 22
    assert dropped == {
        "meas_r (a) is not finite": 1,
        "meas_r (a) is the sentinel 99": 1,
        "meas_r (b) is the sentinel 99": 1,
    }


def test_extinction_is_added_before_the_range_is_judged(tmp_path):
    preset = make_preset(tmp_path, truth={"extinction": {"column": ["a_{band}"]}})
    inputs = {"value": [20, 34.9, 20, 20], "extinction": [0.25, 0.25, np.nan, 99]}
    found, dropped = values_of(preset, "true_r", inputs)
    assert found[0] == 20.25
    assert dropped == {
        "true_r is out of range [10, 35]": 1,
        "true_r (extinction) is not finite": 1,
        "true_r (extinction) is the sentinel 99": 1,
    }


def test_the_option_concerns_brightness_alone(tmp_path):
    sizes = {"unit": "arcsec", "source_unit": "arcsec", "minimum": 0}
    preset = make_preset(tmp_path, measured=sizes)
    assert catalog_unit("meas_r", preset, "nJy") == "arcsec"
    assert catalog_unit("true_r", preset, "nJy") == "nJy"
    assert catalog_unit("true_r", preset, None) == "mag"


def test_no_such_conversion_names_the_catalogue_column(tmp_path):
    preset = make_preset(tmp_path, measured={"source_unit": "arcsec"})
    with pytest.raises(BalrogError, match=r"cat.fits: column c_value: meas_r must be in mag"):
        values_of(preset, "meas_r", {"value": [1.0]})


@pytest.mark.parametrize(
    ("source_unit", "values", "message"),
    [
        ("mag", np.geomspace(10, 1e5, 50), "look like fluxes; give --unit flux"),
        ("flux", np.linspace(19, 25, 50), "look like magnitudes; give --unit mag"),
    ],
)
def test_sample_in_another_unit(tmp_path, source_unit, values, message):
    preset = make_preset(tmp_path, measured={"source_unit": source_unit})
    with pytest.raises(BalrogError, match=f"cat.fits: column m_r is said.*{message}"):
        require_plausible_column({"value": (values, "m_r")}, "meas_r", preset, None, "cat.fits")


def test_what_cannot_be_judged_is_not(tmp_path):
    large = np.geomspace(10, 1e5, 50)
    preset = make_preset(tmp_path, truth={"extinction": {"column": ["a_{band}"]}})
    inputs = {"value": (np.linspace(19, 25, 50), "t_r"), "extinction": (large, "a_r")}
    require_plausible_column(inputs, "true_r", preset, None, "cat.fits")
    measured = {"source": None, "inputs": {"a": ["a"]}, "expression": "2.5 * log10(a)"}
    preset = make_preset(tmp_path, measured=measured)
    require_plausible_column({"a": (large, "a")}, "meas_r", preset, None, "cat.fits")
