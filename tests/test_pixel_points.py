import healpy
import numpy as np
import pytest
from sky_maps import make_sky, write_sky

from balrog_keras.pixel_points import PixelPoints, covered_pixels
from data_prep.errors import BalrogError
from data_prep.survey_maps import SurveyMaps


def covered_by(sky, nest, nside):
    """Pixels with a value somewhere inside, by positions."""
    map_nside = healpy.npix2nside(sky.size)
    fine = np.arange(12 * max(map_nside, nside) ** 2)
    where = healpy.pix2ang(max(map_nside, nside), fine, nest=True, lonlat=True)
    good = sky[healpy.ang2pix(map_nside, *where, nest=nest, lonlat=True)] > -1.6e30
    return np.unique(healpy.ang2pix(nside, *np.array(where)[:, good], nest=True, lonlat=True))


@pytest.mark.parametrize("nside", [8, 64])
def test_covered_pixels_of_maps_of_any_layout(tmp_path, nside):
    skies = [make_sky(32, seed=1), make_sky(32, seed=2), make_sky(16, seed=3)]
    skies[0][:9_000] = healpy.UNSEEN
    skies[1][10_500:] = healpy.UNSEEN
    layouts = ("full", False), ("partial", True), ("healsparse", True)
    files = {
        str(k): write_sky(tmp_path / str(k), sky, *layout)
        for k, (sky, layout) in enumerate(zip(skies, layouts, strict=True))
    }
    expected = covered_by(skies[0], False, nside)
    for sky in skies[1:]:
        expected = np.intersect1d(expected, covered_by(sky, True, nside))
    found = covered_pixels(SurveyMaps(files), nside)
    assert found.size > 10
    np.testing.assert_array_equal(found, expected)


def test_maps_that_do_not_overlap_and_odd_resolutions(tmp_path):
    sky = make_sky(16)
    north, south = sky.copy(), sky.copy()
    north[:1_536], south[1_536:] = healpy.UNSEEN, healpy.UNSEEN
    files = {name: write_sky(tmp_path / name, each, "full", False)
             for name, each in (("north", north), ("south", south))}  # fmt: skip
    with pytest.raises(BalrogError, match="overlap"):
        covered_pixels(SurveyMaps(files), 16)
    with pytest.raises(BalrogError, match="power of 2, found 12"):
        covered_pixels(SurveyMaps(files), 12)


def test_points_are_spread_evenly_inside_of_their_pixel():
    points = PixelPoints(nside=4, map_nside=32, draws=128, seed=1)
    pixels = np.array([3, 77, 190])
    ra, dec = points.positions(pixels)
    assert ra.shape == dec.shape == (3, 128)
    inside = healpy.ang2pix(4, ra, dec, nest=True, lonlat=True)
    np.testing.assert_array_equal(inside, np.repeat(pixels[:, None], 128, axis=1))
    fine = healpy.ang2pix(32, ra, dec, nest=True, lonlat=True)
    for row in fine:
        np.testing.assert_array_equal(np.unique(row, return_counts=True)[1], 2)


def test_galaxies_cover_the_sample_and_meet_every_part_of_the_pixel():
    points = PixelPoints(nside=4, map_nside=32, draws=64, seed=1)
    galaxies = points.galaxies(np.array([3, 77]), 640)
    assert (np.diff(galaxies, axis=1) == 10).all()
    assert galaxies.min() >= 0
    assert galaxies.max() < 640
    assert galaxies[0, 0] != galaxies[1, 0]
    ra, _ = points.positions(np.array([3]))
    assert abs(np.corrcoef(galaxies[0], ra[0])[0, 1]) < 0.4


def test_everything_is_a_function_of_seed_and_pixel():
    pixels = np.array([5, 9, 40])
    one, other = (PixelPoints(nside=4, map_nside=16, draws=50, seed=seed) for seed in (1, -2))
    for method in (one.positions, lambda chosen: one.galaxies(chosen, 99), one.row_ids):
        np.testing.assert_array_equal(
            np.asarray(method(pixels))[..., 1:, :], np.asarray(method(pixels[1:]))
        )
    assert (one.positions(pixels)[0] != other.positions(pixels)[0]).any()
    assert np.unique(one.row_ids(pixels)).size == 150


def test_maps_coarser_than_the_pixels():
    points = PixelPoints(nside=16, map_nside=4, draws=30, seed=1)
    ra, dec = points.positions(np.array([100]))
    assert (healpy.ang2pix(16, ra, dec, nest=True, lonlat=True) == 100).all()
