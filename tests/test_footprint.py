import healpy
import numpy as np
import pytest

from data_prep.inspection.footprint import Bounds, Footprint


def footprint_of(ra, dec, nside=1024):
    footprint = Footprint(nside)
    lost = footprint.add_positions(np.asarray(ra), np.asarray(dec))
    return footprint, lost


@pytest.mark.parametrize(
    ("center", "text"),
    [(50.0, "ra 48."), (0.0, "ra 357."), (359.0, "ra 356.")],
)
def test_bounds_hold_every_object_and_little_more(center, text):
    rng = np.random.default_rng(1)
    ra = (center + rng.uniform(-2, 2, 20_000)) % 360
    dec = rng.uniform(-61, -58, ra.size)
    bounds = footprint_of(ra, dec)[0].bounds()
    offset = (ra - bounds.ra_start) % 360
    assert 0 <= offset.min() < 0.2
    assert 0 <= bounds.ra_width - offset.max() < 0.2
    assert 0 <= dec.min() - bounds.dec_min < 0.1
    assert 0 <= bounds.dec_max - dec.max() < 0.1
    assert str(bounds).startswith(text[:4])
    assert ("across 0" in str(bounds)) == (center != 50)


def test_bounds_of_the_whole_sky_and_of_nothing():
    pixels = np.arange(12 * 32**2)
    footprint = Footprint(32)
    assert footprint.bounds() is None
    footprint.add_pixels(pixels, 32)
    bounds = footprint.bounds()
    assert (bounds.ra_start, bounds.ra_width) == (0, 360)
    assert bounds.dec_min < -88
    assert bounds.dec_max > 88
    assert footprint.area_deg2 == pytest.approx(41252.96, rel=1e-6)


def test_bounds_text():
    assert str(Bounds(350.0, 20.0, -5.0, 5.5)) == "ra 350.00 to 10.00 (across 0), dec -5.00 to 5.50"
    assert str(Bounds(10.0, 20.0, -5.0, 5.5)) == "ra 10.00 to 30.00, dec -5.00 to 5.50"


def test_what_is_not_on_the_sky_is_counted():
    ra, dec = [10, np.nan, -10, 370, 5, np.inf], [0, 0, 0, 0, 91, 0]
    footprint, lost = footprint_of(ra, dec)
    assert lost == 4
    assert footprint.counts.sum() == 2
    at = footprint.density_at(np.array([350.0, 10.0, 200.0]), np.zeros(3))
    np.testing.assert_array_equal(np.isnan(at), [False, False, True])


@pytest.mark.parametrize("rows", [300, 30_000, 800_000])
def test_coarse_pixels_hold_tens_of_objects(rows):
    rng = np.random.default_rng(2)
    footprint, _ = footprint_of(rng.uniform(-3, 3, rows) % 360, rng.uniform(-3, 3, rows))
    coarse = footprint.coarse(20)
    median = np.median(coarse.counts[coarse.counts > 0])
    assert coarse.counts.sum() == rows
    assert coarse.nside == 16 or 20 <= median < 120
    ra, dec = healpy.pix2ang(coarse.nside, np.flatnonzero(coarse.counts), nest=True, lonlat=True)
    area = healpy.nside2pixarea(coarse.nside, degrees=True)
    assert np.sum(coarse.density_at(ra, dec)) * area == pytest.approx(rows)


def test_fine_pixels_are_counted_in_coarser_ones():
    footprint = Footprint(4096)
    assert footprint.nside == 1024
    footprint.add_pixels(np.array([0, 15, 16, 33]), 4096)
    np.testing.assert_array_equal(footprint.counts[:4], [2, 1, 1, 0])
