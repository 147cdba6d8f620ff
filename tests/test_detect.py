import numpy as np
import pytest

from data_prep.mini_balrog.detect import detect, measure
from data_prep.mini_balrog.images import PsfSet, draw_sources, fluxes
from data_prep.mini_balrog.population import Sources

pytest.importorskip("galsim")
pytest.importorskip("sep")

SIZE = 256
SKY = np.array([3.7, 7.0, 12.7])
SKY_NOISE = np.ones((3, SIZE, SIZE), np.float32) * SKY[:, None, None].astype(np.float32)
GAIN = np.full_like(SKY_NOISE, 10.0)
NO_MASK = np.zeros((SIZE, SIZE), bool)


def sources(i_mags, radius=0.5, g1=0.0, g2=0.0):
    mag = np.array(i_mags, dtype=float)[:, None] + [1.0, 0.4, 0.0, -0.2]
    one = np.ones(len(mag))
    return Sources(mag, radius * one, 0.3 * one, g1 * one, g2 * one)


def light(galaxies, x, y):
    psfs = PsfSet(np.array([[0.95, 0.88, 0.86]]))
    index = np.zeros(len(galaxies), int)
    return draw_sources(galaxies, np.array(x), np.array(y), index, psfs, SKY, SIZE)


def observe(image, seed=0):
    noise = np.random.default_rng(seed).standard_normal(image.shape, dtype=np.float32)
    return image + noise * np.sqrt(SKY_NOISE**2 + np.maximum(image, 0) / GAIN)


def find(image, mask=NO_MASK):
    return detect(image, SKY_NOISE, mask)


def nearest(found, x, y):
    distance = np.hypot(found.x - x, found.y - y)
    assert distance.min() < 1.9
    return np.array([int(np.argmin(distance))])


def test_blank_sky_holds_next_to_nothing():
    found = find(observe(np.zeros((3, SIZE, SIZE), np.float32)))
    assert len(found.x) <= 2


def test_background_is_subtracted_whatever_its_level_and_slope():
    image = observe(light(sources([20.0]), [128.0], [128.0]))
    slope = 500 + 0.3 * np.arange(SIZE, dtype=np.float32)
    plain, raised = find(image), find(image + slope)
    for other in (plain, raised):
        assert abs(np.median(other.images[1])) < 0.5
    kept = [
        measure(f, nearest(f, 128, 128), SKY_NOISE, GAIN, NO_MASK).flux[1, 0]
        for f in (plain, raised)
    ]
    assert kept[1] == pytest.approx(kept[0], rel=0.03)


def test_bright_isolated_galaxy_keeps_its_flux_and_position():
    galaxy = sources([19.0])
    found = find(observe(light(galaxy, [120.3], [131.7])))
    rows = nearest(found, 120.3, 131.7)
    assert np.hypot(found.x[rows] - 120.3, found.y[rows] - 131.7)[0] < 0.1
    lost = -2.5 * np.log10(
        measure(found, rows, SKY_NOISE, GAIN, NO_MASK).flux[:, 0] / fluxes(galaxy)[:, 0]
    )
    # A Kron aperture of 2.5 radii holds about 94 % (Kron 1980); bulges lose more.
    assert ((lost > 0.0) & (lost < 0.15)).all()


def test_flux_errors_are_those_of_repeated_observations():
    image = light(sources([21.0]), [128.0], [128.0])
    flux, error = [], []
    for seed in range(60):
        found = find(observe(image, seed))
        photometry = measure(found, nearest(found, 128, 128), SKY_NOISE, GAIN, NO_MASK)
        flux.append(photometry.flux[:, 0])
        error.append(photometry.flux_error[:, 0])
    ratio = np.std(flux, axis=0) / np.mean(error, axis=0)
    # The aperture follows the noise too, which the errors do not know.
    assert ((ratio > 0.75) & (ratio < 1.6)).all()


def test_neighbour_is_masked_but_felt():
    alone = observe(light(sources([20.0]), [128.0], [128.0]))
    crowded = observe(light(sources([20.0, 19.0]), [128.0, 142.0], [128.0, 128.0]))
    flux = []
    for image in (alone, crowded):
        found = find(image)
        flux.append(measure(found, nearest(found, 128, 128), SKY_NOISE, GAIN, NO_MASK).flux[1, 0])
    # Unmasked, a neighbour 2.5 times as bright 3.7 arcsec away would more than double it.
    assert flux[1] != flux[0]
    assert flux[1] == pytest.approx(flux[0], rel=0.5)


def test_same_aperture_in_all_bands():
    galaxy = sources([19.5])
    image = light(galaxy, [128.0], [128.0])
    same = np.repeat(image[1:2], 3, axis=0)
    found = detect(same + 0, SKY_NOISE, NO_MASK)
    flux = measure(found, nearest(found, 128, 128), SKY_NOISE, GAIN, NO_MASK).flux[:, 0]
    np.testing.assert_allclose(flux, flux[0], rtol=1e-5)


def test_fainter_means_smaller_signal_to_noise_and_larger_means_larger():
    image = observe(light(sources([20.0, 22.0]), [70.0, 190.0], [128.0, 128.0]))
    found = find(image)
    rows = np.concatenate([nearest(found, 70, 128), nearest(found, 190, 128)])
    photometry = measure(found, rows, SKY_NOISE, GAIN, NO_MASK)
    s2n = photometry.flux / photometry.flux_error
    assert (s2n[:, 0] > 2 * s2n[:, 1]).all()
    big = find(observe(light(sources([20.0], radius=1.5), [128.0], [128.0])))
    wide = measure(big, nearest(big, 128, 128), SKY_NOISE, GAIN, NO_MASK)
    assert wide.half_light_radius[0] > 1.4 * photometry.half_light_radius[0]


def test_nothing_is_found_where_there_is_no_data():
    mask = NO_MASK.copy()
    mask[:, 100:160] = True
    found = find(observe(light(sources([19.0]), [128.0], [128.0])), mask)
    assert not ((found.x > 102) & (found.x < 157)).any()


def test_object_at_the_edge_is_flagged_truncated():
    found = find(observe(light(sources([19.0]), [3.0], [128.0])))
    assert measure(found, nearest(found, 3, 128), SKY_NOISE, GAIN, NO_MASK).truncated[0]


def test_measuring_nothing_gives_nothing():
    found = find(observe(light(sources([19.0]), [128.0], [128.0])))
    photometry = measure(found, np.empty(0, np.int64), SKY_NOISE, GAIN, NO_MASK)
    assert photometry.flux.shape == (3, 0)
