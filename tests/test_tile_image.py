import healpy
import numpy as np
import pytest

from data_prep.mini_balrog.mock_maps import PropertyMaps
from data_prep.mini_balrog.population import draw_galaxies
from data_prep.mini_balrog.tile_image import TileImage, TileJob, generator
from data_prep.mini_balrog.tile_layout import Tile

pytest.importorskip("galsim")
pytest.importorskip("sep")

PARENTS = draw_galaxies(40, np.random.default_rng(0), weighted=True)


def make_job(draw=0, pixels=300, holes=False, seed=0, realizations=2):
    """Tile in the middle of a patch whose maps differ from pixel to pixel."""
    tile = Tile(3, 0, 30.0, -38.0, pixels, 0.263)
    disc = healpy.query_disc(
        4096, healpy.ang2vec(30.0, -38.0, lonlat=True), np.radians(0.05), nest=True, inclusive=True
    )
    around = np.sort(disc)
    middle = healpy.ang2pix(4096, 30.0, -38.0, nest=True, lonlat=True)
    if holes:
        around = around[around != middle]
    rng = np.random.default_rng(1)
    fwhm = rng.uniform(0.8, 1.1, (len(around), 3)).astype(np.float32)
    noise = (rng.uniform(0.8, 1.4, (len(around), 3)) * [3.7, 7.0, 12.7]).astype(np.float32)
    survey = PropertyMaps(around, fwhm, noise)
    return TileJob(seed, draw, tile, realizations, np.arange(len(PARENTS)), survey)


@pytest.fixture(scope="module")
def image():
    return TileImage(make_job())


def test_shapes(image):
    for plane in (image.sky_noise, image.gain, image.field):
        assert plane.shape == (3, 300, 300)
        assert plane.dtype == np.float32
    assert image.mask.shape == (300, 300)
    assert image.real_position.shape == (len(image.real_flux), 2)


@pytest.mark.parametrize("pixels", [257, 260, 264])
def test_any_number_of_pixels_is_filled(pixels):
    assert TileImage(make_job(pixels=pixels)).sky_noise.shape == (3, pixels, pixels)


def test_noise_of_each_pixel_is_the_maps_value_there(image):
    x, y = np.meshgrid(np.arange(300), np.arange(300))
    ra, dec = image.job.tile.to_sky(x.ravel(), y.ravel(), image.dither)
    pixel = healpy.ang2pix(4096, ra, dec, nest=True, lonlat=True)
    row = np.searchsorted(image.job.survey.pixels, pixel)
    expected = image.job.survey.sky_noise[row].T.reshape(3, 300, 300)
    # Looked up once per block of 8 pixels: wrong only within a block of a map pixel's edge.
    assert np.mean(image.sky_noise == expected) > 0.9
    assert len(np.unique(image.sky_noise[0])) > 4


def test_observed_sky_has_the_rms_of_the_map(image):
    blank = image.observe(np.zeros_like(image.field), 0)
    scaled = blank / image.sky_noise
    np.testing.assert_allclose(scaled.std(axis=(1, 2)), 1.0, rtol=0.01)
    np.testing.assert_allclose(scaled.mean(axis=(1, 2)), 0.0, atol=0.01)


def test_bright_light_adds_photon_noise(image):
    light = np.full_like(image.field, 1000.0)
    variance = (image.observe(light, 0) - light).var(axis=(1, 2))
    expected = (image.sky_noise**2 + light / image.gain).mean(axis=(1, 2))
    np.testing.assert_allclose(variance, expected, rtol=0.03)
    assert (expected > 1.3 * (image.sky_noise**2).mean(axis=(1, 2))).all()


def test_each_realization_has_noise_of_its_own(image):
    blank = np.zeros_like(image.field)
    first, again, other = (image.observe(blank, number) for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_replicate_has_another_field_noise_and_pixel_phase(image):
    replicate = TileImage(make_job(draw=1))
    assert replicate.dither != image.dither
    assert not np.allclose(replicate.field, image.field)
    blank = np.zeros_like(image.field)
    assert not np.allclose(replicate.observe(blank, 0), image.observe(blank, 0))


def test_real_objects_are_those_of_the_field(image):
    x, y = np.round(image.real_position).astype(int).T
    bright = image.real_flux > 500
    assert bright.sum() > 3
    assert (image.field[1, y[bright], x[bright]] > 5).all()


def test_pixels_off_the_maps_are_masked():
    holed = TileImage(make_job(holes=True))
    assert 0.02 < holed.mask.mean() < 0.6
    assert np.isfinite(holed.sky_noise).all()
    x, y = holed.real_position.T.round().astype(int)
    assert not holed.mask[y, x].any()


def test_streams_are_independent_and_repeatable():
    first, again = (generator(7, "noise", 1, 2).random(4) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    others = [generator(*key).random(4) for key in ((7, "field", 1, 2), (7, "noise", 2, 1),
                                                    (8, "noise", 1, 2))]  # fmt: skip
    assert not any(np.allclose(first, other) for other in others)
