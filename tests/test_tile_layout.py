import healpy
import numpy as np
import pytest
from astropy.wcs import WCS

from data_prep.errors import BalrogError
from data_prep.mini_balrog.tile_layout import Tile, contiguous_regions, injection_grid, place_tiles
from data_prep.splits import region_of

NSIDE = 4096
SCALE = 0.263


def whole(regions):
    return np.sort((np.asarray(regions)[:, None] * 4096 + np.arange(4096)).ravel())


def place(count, covered, pixels=512, seed=0):
    return place_tiles(count, pixels, SCALE, covered, NSIDE, np.random.default_rng(seed))


@pytest.mark.parametrize("centre", [(30.0, -38.0), (0.01, -55.0), (359.99, 5.0), (120.0, 88.0)])
def test_sky_positions_agree_with_astropys_tangent_projection(centre):
    tile = Tile(0, 0, *centre, 512, SCALE)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = centre
    wcs.wcs.crpix = [256.5 + 0.3, 256.5 - 0.2]
    wcs.wcs.cdelt = [-SCALE / 3600, SCALE / 3600]
    x, y = np.random.default_rng(0).uniform(0, 511, (2, 50))
    ra, dec = tile.to_sky(x, y, (0.3, -0.2))
    expected_ra, expected_dec = wcs.wcs_pix2world(x, y, 0)
    assert ((ra >= 0) & (ra < 360)).all()
    offset = (ra - expected_ra + 180) % 360 - 180
    np.testing.assert_allclose(offset * np.cos(np.radians(dec)), 0, atol=1e-9)
    np.testing.assert_allclose(dec, expected_dec, atol=1e-9)


def test_dither_moves_the_grid_and_not_the_sky():
    tile = Tile(0, 0, 30.0, -38.0, 512, SCALE)
    x, y = np.array([10.0, 400.0]), np.array([20.0, 300.0])
    np.testing.assert_allclose(tile.to_sky(x, y), tile.to_sky(x + 0.4, y - 0.1, (0.4, -0.1)))


def test_name_is_the_centre():
    assert Tile(0, 0, 15.0 * (1 + 2 / 60 + 3 / 3600 + 1e-6), -4.5, 8, 1.0).name == "MB010203-043000"


def test_each_tile_lies_within_a_region_of_its_own():
    covered = whole(contiguous_regions(12, 30.0, -38.0))
    tiles = place(12, covered)
    assert len({tile.region for tile in tiles}) == 12
    assert [tile.index for tile in tiles] == list(range(12))
    edge = np.array([-0.5, 511.5])
    for tile in tiles:
        corners = tile.to_sky(*(axis.ravel() for axis in np.meshgrid(edge, edge)))
        assert (region_of(*corners) == tile.region).all()


def test_tiles_share_a_region_without_overlap_when_there_are_few():
    tiles = place(30, whole(contiguous_regions(3, 30.0, -38.0)))
    counts = np.unique([tile.region for tile in tiles], return_counts=True)[1]
    np.testing.assert_array_equal(counts, 10)
    centres = healpy.ang2vec(*np.transpose([(t.ra_deg, t.dec_deg) for t in tiles]), lonlat=True)
    angle = np.degrees(np.arccos(np.clip(centres @ centres.T, -1, 1))) * 3600 / SCALE
    assert angle[~np.eye(30, dtype=bool)].min() > 512


def test_tiles_avoid_sky_without_maps():
    covered = whole(contiguous_regions(3, 30.0, -38.0))
    ra, _ = healpy.pix2ang(NSIDE, covered, nest=True, lonlat=True)
    halves = covered[ra > np.median(ra)]
    for tile in place(6, halves):
        inside = tile.to_sky(*np.random.default_rng(1).uniform(0, 511, (2, 20)))
        pixels = healpy.ang2pix(NSIDE, *inside, nest=True, lonlat=True)
        assert np.isin(pixels, halves).mean() > 0.9


def test_too_many_tiles_say_how_many_fit():
    with pytest.raises(BalrogError, match=r"give --tiles \d+"):
        place(5000, whole(contiguous_regions(3, 30.0, -38.0)))


def test_places_depend_on_the_seed_alone():
    covered = whole(contiguous_regions(4, 30.0, -38.0))
    assert place(4, covered) == place(4, covered)
    assert place(4, covered) != place(4, covered, seed=1)


def test_regions_are_those_nearest_to_the_centre():
    regions = contiguous_regions(7, 30.0, -38.0)
    assert region_of([30.0], [-38.0])[0] in regions
    centres = healpy.pix2vec(64, np.arange(12 * 64**2), nest=True)
    distance = -np.tensordot(healpy.ang2vec(30.0, -38.0, lonlat=True), centres, 1)
    assert distance[regions].max() < np.delete(distance, regions).min()


def test_injections_are_20_arcsec_apart_up_to_the_jitter():
    tile = Tile(0, 0, 30.0, -38.0, 1024, SCALE)
    x, y = injection_grid(tile, 24, np.random.default_rng(0))
    assert min(x.min(), y.min()) >= 24
    assert max(x.max(), y.max()) <= 1023 - 24
    distance = np.hypot(x[:, None] - x, y[:, None] - y) * SCALE
    nearest = np.where(distance == 0, np.inf, distance).min(axis=1)
    assert nearest.min() > 20 - 2 * 2.5 * np.sqrt(2)
    assert 15 < np.median(nearest) < 20
    # A hexagonal lattice holds one point per 20^2 sqrt(3)/2 square arcsec.
    area = ((1024 - 48) * SCALE) ** 2
    assert len(x) == pytest.approx(area / (400 * np.sqrt(0.75)), rel=0.1)
