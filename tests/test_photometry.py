import itertools
import math

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import BalrogError
from data_prep.photometry import (
    asinh_mag_error,
    asinh_mag_to_flux,
    convert,
    deredden,
    extinction_of,
    flux_at_zero_point,
    flux_to_asinh_mag,
    flux_to_mag,
    mag_error,
    mag_to_flux,
    redden,
)
from data_prep.schema import PHOTOMETRIC_UNITS

FLUX = np.concatenate([-np.geomspace(1e4, 1e-3, 50), [0.0], np.geomspace(1e-3, 1e8, 100)])
# Rounding of a float32 magnitude in [16, 32), as a share of the flux.
FLOAT32 = 2.0**-20 * 0.4 * math.log(10)


def test_known_values():
    np.testing.assert_allclose(mag_to_flux([30.0, 22.5], 30.0), [1.0, 1000.0], rtol=1e-12)
    # 1 nJy is AB 31.4; 3631 Jy is AB 0 to 0.0001 mag.
    np.testing.assert_allclose(flux_to_mag([3631e9], 31.4), [0.0], atol=1e-4)


def test_inverse():
    mag = np.linspace(10, 35, 101)
    np.testing.assert_allclose(flux_to_mag(mag_to_flux(mag, 22.5), 22.5), mag, atol=1e-12)


def test_no_magnitude_without_positive_flux():
    with np.errstate(all="raise"):
        found = flux_to_mag([0.0, -3.0, np.nan], 30.0)
        error = mag_error([0.0, -3.0, np.nan], 1.0)
    assert np.isnan(found).all()
    assert np.isnan(error).all()


def test_nanojansky_are_astropys():
    mag = np.linspace(10, 35, 26)
    expected = (mag * u.ABmag).to_value(u.nJy)
    np.testing.assert_allclose(
        convert(mag, "mag", "nJy", zero_point=0, to_zero_point=0), expected, rtol=1e-4
    )


def test_asinh_magnitudes_are_sdss():
    # Table 21 of the SDSS EDR paper (Stoughton et al. 2002, doi:10.1086/324741): softening in
    # maggies, magnitude of zero flux, magnitude at which flux / b = 10.
    for softening, at_zero, at_ten in (
        (1.4e-10, 24.63, 22.12), (0.9e-10, 25.11, 22.60), (1.2e-10, 24.80, 22.29),
        (1.8e-10, 24.36, 21.85), (7.4e-10, 22.83, 20.32),
    ):  # fmt: skip
        found = flux_to_asinh_mag([0.0, 10 * softening], 0.0, softening)
        np.testing.assert_allclose(found, [at_zero, at_ten], atol=0.01)


@pytest.mark.parametrize("softening", [0.5, 40.0, 3000.0])
def test_asinh_magnitudes_fall_with_flux_and_end_as_magnitudes(softening):
    mag = flux_to_asinh_mag(FLUX, 30.0, softening)
    assert (np.diff(mag) < 0).all()
    bright = 1000 * softening < FLUX
    np.testing.assert_allclose(mag[bright], flux_to_mag(FLUX[bright], 30.0), atol=2e-6)


def test_asinh_magnitude_gives_the_flux_back():
    back = asinh_mag_to_flux(flux_to_asinh_mag(FLUX, 30.0, 40.0), 30.0, 40.0)
    assert (np.abs(back - FLUX) < 1e-13 * np.hypot(FLUX, 80.0)).all()


def test_accuracy_of_a_float32_asinh_magnitude():
    flux = np.random.default_rng(0).uniform(-5000, 100_000, 200_000)
    mag = flux_to_asinh_mag(flux, 30.0, 40.0).astype(np.float32)
    assert mag.min() > 16
    assert mag.max() < 32
    share = np.abs(asinh_mag_to_flux(mag, 30.0, 40.0) - flux) / np.hypot(flux, 80.0)
    assert 0.9 * FLOAT32 < share.max() < 1.001 * FLOAT32
    assert 8.7e-7 < FLOAT32 < 8.8e-7


@pytest.mark.parametrize("flux", [-300.0, -1.0, 0.0, 7.0, 1e5])
def test_errors_are_the_slopes(flux):
    step = 1e-3

    def slope(magnitude):
        return -(magnitude(flux + step) - magnitude(flux - step)) / (2 * step)

    expected = slope(lambda f: flux_to_asinh_mag(f, 30.0, 40.0))
    np.testing.assert_allclose(asinh_mag_error(flux, 2.0, 40.0), 2 * expected, rtol=1e-6)
    if flux > 0:
        expected = slope(lambda f: flux_to_mag(f, 30.0))
        np.testing.assert_allclose(mag_error(flux, 2.0), 2 * expected, rtol=1e-6)
        np.testing.assert_allclose(mag_error(flux, 0.01 * flux), 0.010857, rtol=1e-4)


@pytest.mark.parametrize(("unit", "to_unit"), itertools.product(PHOTOMETRIC_UNITS, repeat=2))
def test_every_conversion_is_undone_by_its_inverse(unit, to_unit):
    flux = FLUX[FLUX > 0] if "mag" in (unit, to_unit) else FLUX
    zero_point = {"nJy": 31.4}.get(unit, 30.0)
    to_zero_point = {"nJy": 31.4}.get(to_unit, 22.5)
    # One flux, in the units of the asinh magnitude's own zero point.
    at = to_zero_point if to_unit == "asinh mag" else zero_point
    softening = float(flux_at_zero_point(40.0, 30.0, at))
    values = convert(flux, "flux", unit, zero_point=30.0, to_zero_point=zero_point, softening=40.0)
    if unit == "asinh mag":
        softening = 40.0
    there = convert(
        values, unit, to_unit,
        zero_point=zero_point, to_zero_point=to_zero_point, softening=softening,
    )  # fmt: skip
    back = convert(
        there, to_unit, unit,
        zero_point=to_zero_point, to_zero_point=zero_point, softening=softening,
    )  # fmt: skip
    scale = np.abs(values) if unit not in ("flux", "nJy") else np.hypot(values, np.abs(flux).min())
    assert (np.abs(back - values) <= 1e-11 * scale + 1e-9).all()
    if to_unit == "mag":
        np.testing.assert_allclose(there, 30 - 2.5 * np.log10(flux), atol=1e-9)


@given(st.floats(-1e6, 1e6), st.floats(20, 35), st.floats(20, 35), st.floats(0.1, 1e4))
def test_asinh_magnitudes_do_not_change_with_the_zero_point(flux, zero_point, other, softening):
    same = flux_at_zero_point([flux, softening], zero_point, other)
    found = flux_to_asinh_mag(same[0], other, same[1])
    np.testing.assert_allclose(found, flux_to_asinh_mag(flux, zero_point, softening), atol=1e-9)


def test_conversion_between_zero_points():
    found = convert([1000.0], "flux", "flux", zero_point=30.0, to_zero_point=22.5)
    np.testing.assert_allclose(found, [1.0], rtol=1e-12)
    negative = convert([-5.0, 5.0], "nJy", "mag", zero_point=0, to_zero_point=0)
    np.testing.assert_allclose(negative, [np.nan, 31.4 - 2.5 * np.log10(5)], rtol=1e-12)


def test_what_cannot_be_converted():
    zero_points = {"zero_point": 30.0, "to_zero_point": 30.0}
    with pytest.raises(BalrogError, match="found arcsec"):
        convert([1.0], "arcsec", "mag", **zero_points)
    with pytest.raises(BalrogError, match="needs the softening"):
        convert([1.0], "flux", "asinh mag", **zero_points)
    with pytest.raises(BalrogError, match="found asinh mag"):
        redden([1.0], [0.1], "asinh mag")


def test_extinction_is_the_same_in_magnitudes_and_fluxes():
    extinction = extinction_of([0.0, 0.05, 0.5], 3.186)
    np.testing.assert_allclose(extinction, [0, 0.1593, 1.593], rtol=1e-12)
    mag = np.array([20.0, 22.0, 24.0])
    reddened = redden(mag, extinction, "mag")
    assert (np.diff(reddened - mag) > 0).all()
    flux = redden(mag_to_flux(mag, 30.0), extinction, "flux")
    np.testing.assert_allclose(flux_to_mag(flux, 30.0), reddened, rtol=1e-12)
    for unit in ("mag", "flux", "nJy"):
        back = deredden(redden(mag, extinction, unit), extinction, unit)
        np.testing.assert_allclose(back, mag, rtol=1e-12)
