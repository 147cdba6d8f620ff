import numpy as np
import pytest
from mixed_world import mixed_conditions, mixed_measured, mixed_schema
from toy import toy_conditions, toy_schema

from balrog_keras.residuals import (
    binned_spread,
    colours,
    magnitude_families,
    residuals,
    standardized,
)
from data_prep.schema import Column, Schema

SCHEMA = mixed_schema()
CONDITION = mixed_conditions(50, 0)
MEASURED = mixed_measured(CONDITION, 0)


def test_residuals_are_of_transformed_columns():
    found = dict(zip(SCHEMA.measured_names, residuals(SCHEMA, CONDITION, MEASURED).T, strict=True))
    measured = dict(zip(SCHEMA.measured_names, MEASURED.T.astype("float64"), strict=True))
    np.testing.assert_allclose(found["meas_r"], measured["meas_r"] - CONDITION[:, 0], rtol=1e-6)
    dex = np.log10(measured["meas_size"] / CONDITION[:, 2])
    np.testing.assert_allclose(found["meas_size"], dex, atol=1e-6)
    np.testing.assert_allclose(found["meas_snr"], np.arcsinh(measured["meas_snr"]), rtol=1e-5)
    np.testing.assert_array_equal(found["meas_flux"], measured["meas_flux"])
    np.testing.assert_array_equal(found["meas_ellipticity"], measured["meas_ellipticity"])


def test_standardized_is_in_the_space_of_location_and_scale():
    location, scale = np.zeros_like(MEASURED), np.full_like(MEASURED, 2)
    draws = np.stack([MEASURED, 10 * np.abs(MEASURED)])
    found = standardized(SCHEMA, draws, location, scale)
    size = SCHEMA.measured_names.index("meas_size")
    np.testing.assert_allclose(found[1, :, size] - found[0, :, size], 0.5, rtol=1e-5)
    np.testing.assert_array_equal(found[0, :, 0], MEASURED[:, 0] / 2)


def test_spread_is_that_of_rows_with_a_similar_reference():
    rng = np.random.default_rng(0)
    condition = toy_conditions(20_000, 3)
    sigma = np.where(condition[:, :3] > np.median(condition[:, :3], axis=0), 0.4, 0.1)
    measured = condition[:, :3] + 0.3 + sigma * rng.normal(size=sigma.shape)
    spread = binned_spread(toy_schema(), condition, measured)
    np.testing.assert_allclose(spread, sigma, rtol=0.08)
    constant = binned_spread(toy_schema(), condition, condition[:, :3])
    np.testing.assert_array_equal(constant, 1.0)


def test_colours_are_of_magnitudes_in_neighbouring_bands():
    names, values = colours(SCHEMA, MEASURED)
    assert names == ["meas_r - meas_i"]
    np.testing.assert_allclose(values[:, 0], MEASURED[:, 0] - MEASURED[:, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("bands", "names", "expected"),
    [
        ("griz", "mag_g mag_r mag_i mag_z", [{"g": 0, "r": 1, "i": 2, "z": 3}]),
        ("gr", "psf_r mag_r mag_g psf_g", [{"r": 0, "g": 3}, {"g": 2, "r": 1}]),
        ("riz", "z_mag r_mag size", [{"r": 1, "z": 0}]),
        ("ri", "mag_r psf_i", []),
    ],
)
def test_families_differ_in_the_band_alone(bands, names, expected):
    columns = [Column("true_mag", "mag", "truth")]
    for name in names.split():
        unit, reference = ("arcsec", "") if name == "size" else ("mag", "true_mag")
        columns.append(Column(name, unit, "measured", reference))
    found = magnitude_families(Schema("some", tuple(bands), tuple(columns)))
    assert found == expected
    assert [list(family) for family in found] == [
        [band for band in bands if band in family] for family in expected
    ]
