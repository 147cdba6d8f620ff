from dataclasses import replace

import numpy as np
import pytest

from data_prep.mini_balrog.adaptive_moments import adaptive_ellipticity
from data_prep.mini_balrog.detect import detect
from data_prep.mini_balrog.images import PsfSet, draw_sources
from data_prep.mini_balrog.population import Sources

pytest.importorskip("galsim")
pytest.importorskip("sep")

SIZE = 160
SKY = np.array([3.7, 7.0, 12.7])
SKY_NOISE = np.ones((3, SIZE, SIZE), np.float32) * SKY[:, None, None].astype(np.float32)
NO_MASK = np.zeros((SIZE, SIZE), bool)


def observed(i_mags, x, y, g1=0.0, g2=0.0, radius=1.5, seed=0):
    mag = np.array(i_mags)[:, None] + [1.0, 0.4, 0.0, -0.2]
    one = np.ones(len(mag))
    galaxies = Sources(mag, radius * one, 0.3 * one, g1 * one, g2 * one)
    psfs = PsfSet(np.array([[0.95, 0.88, 0.86]]))
    light = draw_sources(galaxies, np.array(x), np.array(y), 0 * one.astype(int), psfs, SKY, SIZE)
    noise = np.random.default_rng(seed).standard_normal(light.shape, dtype=np.float32)
    return detect(light + noise * SKY_NOISE, SKY_NOISE, NO_MASK)


def nearest(found, x, y):
    return np.array([int(np.argmin(np.hypot(found.x - x, found.y - y)))])


def gaussian(g1, g2, sigma=3.0):
    """Image of a Gaussian with |g| = (a - b) / (a + b), by its covariance matrix alone."""
    g, angle = np.hypot(g1, g2), 0.5 * np.arctan2(g2, g1)
    axes = sigma * np.sqrt([(1 + g) / (1 - g), (1 - g) / (1 + g)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag(axes**2) @ turn.T)
    offset = np.stack(np.meshgrid(np.arange(SIZE) - 80.3, np.arange(SIZE) - 79.6), axis=-1)
    light = 30 * np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", offset, inverse, offset))
    return np.repeat(light[None], 3, axis=0).astype(np.float32) * SKY_NOISE


@pytest.mark.parametrize(("g1", "g2"), [(0.0, 0.0), (0.3, 0.0), (-0.2, 0.1), (0.1, -0.4)])
def test_gaussian_without_noise_has_its_own_shape(g1, g2):
    found = detect(gaussian(g1, g2), SKY_NOISE, NO_MASK)
    shape = adaptive_ellipticity(found, nearest(found, 80, 80), NO_MASK)
    # The background that is subtracted holds a trace of so large an object.
    np.testing.assert_allclose(shape[:, 0], [g1, g2], atol=3e-3)


@pytest.mark.parametrize(("g1", "g2"), [(0.4, 0.0), (-0.4, 0.0), (0.0, 0.4), (0.2, -0.3)])
def test_shape_has_the_direction_of_the_injected_shear(g1, g2):
    found = observed([18.5], [80.0], [80.0], g1, g2)
    measured = adaptive_ellipticity(found, nearest(found, 80, 80), NO_MASK)[:, 0]
    # The round PSF takes a part of it away.
    share = np.array([g1, g2]) @ measured / (g1**2 + g2**2)
    assert 0.5 < share < 1.05
    np.testing.assert_allclose(measured, share * np.array([g1, g2]), atol=0.03)


def test_shape_does_not_depend_on_the_threshold(monkeypatch):
    isophotal, shapes = [], []
    for threshold in (1.2, 3.0):
        monkeypatch.setattr("data_prep.mini_balrog.detect._DETECT_THRESH", threshold)
        found = observed([22.0], [80.0], [80.0], g1=0.4, radius=0.8)
        row = nearest(found, 80, 80)
        isophotal.append((found.b / found.a)[row[0]])
        shapes.append(adaptive_ellipticity(found, row, NO_MASK)[:, 0])
    np.testing.assert_allclose(shapes[1], shapes[0], atol=1e-3)
    assert abs(isophotal[1] - isophotal[0]) > 0.01


def test_pixels_of_a_neighbour_and_without_data_are_left_out():
    alone = observed([20.0], [70.0], [80.0])
    pair = observed([20.0, 19.0], [70.0, 88.0], [80.0, 80.0])
    shapes = [
        adaptive_ellipticity(found, nearest(found, 70, 80), NO_MASK)[:, 0]
        for found in (alone, pair, replace(pair, segments=np.zeros_like(pair.segments)))
    ]
    masked, unmasked = (np.abs(shape - shapes[0]).max() for shape in shapes[1:])
    assert masked < 0.05 < unmasked
    mask = NO_MASK.copy()
    mask[:, 95:] = True
    spoiled = alone.combined.copy()
    spoiled[:, 95:] = 1e4
    spoiled = replace(alone, combined=spoiled)
    shape = adaptive_ellipticity(spoiled, nearest(alone, 70, 80), mask)[:, 0]
    np.testing.assert_allclose(shape, shapes[0], atol=0.02)


def test_where_the_fit_fails_the_isophotal_moments_stand():
    found = observed([19.0], [80.0], [80.0], g1=0.3)
    row = nearest(found, 80, 80)
    nothing = replace(found, combined=np.zeros_like(found.combined))
    a, b, theta = (getattr(found, name)[row[0]] for name in ("a", "b", "theta"))
    expected = (a - b) / (a + b) * np.array([np.cos(2 * theta), np.sin(2 * theta)])
    for image, mask in ((nothing, NO_MASK), (found, ~NO_MASK)):
        np.testing.assert_allclose(adaptive_ellipticity(image, row, mask)[:, 0], expected)
    assert np.hypot(*expected) > 0.1


def test_an_object_in_the_corner_and_no_object_at_all():
    found = observed([19.0], [3.0], [156.0])
    assert np.isfinite(adaptive_ellipticity(found, nearest(found, 3, 156), NO_MASK)).all()
    assert adaptive_ellipticity(found, np.empty(0, np.int64), NO_MASK).shape == (2, 0)
