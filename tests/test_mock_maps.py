import numpy as np
import pytest

from data_prep.mini_balrog.images import IMAGE_BANDS
from data_prep.mini_balrog.mock_maps import (
    ELECTRONS_PER_COUNT,
    SKY_ELECTRONS,
    PropertyMaps,
    _on_ccd,
    gain_of,
    mock_maps,
)
from data_prep.mini_balrog.tile_layout import contiguous_regions

# shared/survey-formats' typical DES Y3 ranges: FWHM (arcsec), sky noise (counts).
FWHM_RANGE = {"r": (0.8, 1.2), "i": (0.775, 1.05), "z": (0.7, 1.1)}
NOISE_RANGE = {"r": (3.0, 7.0), "i": (4.5, 12.0), "z": (9.0, 22.0)}


@pytest.fixture(scope="module")
def survey():
    regions = contiguous_regions(60, 30.0, -38.0)
    pixels = np.sort((regions[:, None] * 4096 + np.arange(4096)).ravel())
    return mock_maps(pixels, np.random.default_rng(0)), pixels


def test_types_and_shapes(survey):
    maps, pixels = survey
    assert np.isin(maps.pixels, pixels).all()
    assert len(maps.pixels) > 0.99 * len(pixels)
    assert (np.diff(maps.pixels) > 0).all()
    for plane in (maps.fwhm, maps.sky_noise):
        assert plane.shape == (len(maps.pixels), 3)
        assert plane.dtype == np.float32
        assert np.isfinite(plane).all()


def test_values_lie_in_des_y3s_ranges(survey):
    maps, _ = survey
    for plane, ranges in ((maps.fwhm, FWHM_RANGE), (maps.sky_noise, NOISE_RANGE)):
        for column, band in enumerate(IMAGE_BANDS):
            low, high = ranges[band]
            inside = (plane[:, column] > 0.95 * low) & (plane[:, column] < 1.05 * high)
            assert inside.mean() > 0.9
            assert low < np.median(plane[:, column]) < high
            spread = np.ptp(np.percentile(plane[:, column], [2.5, 97.5]))
            assert spread > 0.3 * (high - low)


def test_bands_go_together_but_not_in_lockstep(survey):
    maps, _ = survey
    for plane in (maps.fwhm, maps.sky_noise):
        correlation = np.corrcoef(plane.T)[np.triu_indices(3, 1)]
        assert ((correlation > 0.2) & (correlation < 0.9)).all()


def test_maps_have_edges_on_smooth_ground(survey):
    """Neighbouring pixels mostly differ by little, and at CCD and pointing edges by a lot."""
    maps, _ = survey
    neighbours = np.diff(maps.pixels) == 1
    step = np.abs(np.diff(np.log(maps.sky_noise[:, 0])))[neighbours]
    assert np.median(step) < 0.01
    assert np.mean(step > 0.05) > 0.05


def test_same_seed_same_sky(survey):
    maps, pixels = survey
    again = mock_maps(pixels, np.random.default_rng(0))
    np.testing.assert_array_equal(again.fwhm, maps.fwhm)
    other = mock_maps(pixels, np.random.default_rng(1))
    assert not np.array_equal(other.fwhm[:100], maps.fwhm[:100])


def test_mosaic_has_62_ccds():
    x, y = np.random.default_rng(0).uniform(-1.2, 1.2, (2, 400_000))
    area = _on_ccd(x, y).mean() * 2.4**2
    assert area == pytest.approx(62 * 0.2992 * 0.1496, rel=0.02)


def test_gain_is_that_of_the_mean_of_exposures():
    exposures = 4
    for row, band in enumerate(IMAGE_BANDS):
        noise = np.sqrt(SKY_ELECTRONS[band] / exposures) / ELECTRONS_PER_COUNT[band]
        gain = gain_of(np.full((3, 2), noise))
        assert gain[row] == pytest.approx(exposures * ELECTRONS_PER_COUNT[band])


def test_take_picks_rows():
    maps = PropertyMaps(np.arange(4), np.ones((4, 3)), np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(maps.take(np.array([2])).sky_noise, [[6.0, 7.0, 8.0]])
