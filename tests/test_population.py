import numpy as np
import pytest

from data_prep.mini_balrog.population import (
    BANDS,
    Sources,
    detectability,
    draw_field,
    draw_galaxies,
    galaxy_density,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_shapes_and_ranges():
    galaxies = draw_galaxies(500, rng(), weighted=True)
    assert len(galaxies) == 500
    assert galaxies.mag.shape == (500, len(BANDS))
    assert np.isfinite(galaxies.mag).all()
    assert galaxies.half_light_radius.min() >= 0.05
    assert ((galaxies.bulge_fraction >= 0) & (galaxies.bulge_fraction <= 1)).all()
    assert np.hypot(galaxies.g1, galaxies.g2).max() < 0.76


def test_same_seed_same_galaxies_other_seed_others():
    first, again, other = (draw_galaxies(50, rng(seed), weighted=False) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mag, again.mag)
    assert not np.array_equal(first.mag, other.mag)


def test_field_has_the_published_number_of_galaxies():
    field = draw_field(300.0, rng())
    galaxies = field.half_light_radius > 0
    i_mag = field.mag[galaxies, 2]
    # COSMOS: about 21 galaxies per square arcminute with i < 24; Poisson error 0.26.
    assert np.count_nonzero(i_mag < 24) / 300 == pytest.approx(21.0, abs=1.3)
    assert galaxies.sum() / 300 == pytest.approx(galaxy_density(), rel=0.03)
    assert np.count_nonzero(~galaxies) / 300 == pytest.approx(1.6, abs=0.4)


def test_counts_rise_with_the_faint_slope():
    i_mag = draw_galaxies(200_000, rng(), weighted=False).mag[:, 2]
    counts = np.histogram(i_mag, bins=[22.5, 23.5, 24.5])[0]
    assert np.log10(counts[1] / counts[0]) == pytest.approx(0.30, abs=0.02)


def test_parents_are_counts_thinned_by_detectability():
    edges = np.arange(22.0, 25.1, 0.5)
    everything = np.histogram(draw_galaxies(300_000, rng(1), weighted=False).mag[:, 2], edges)[0]
    parents = np.histogram(draw_galaxies(300_000, rng(2), weighted=True).mag[:, 2], edges)[0]
    thinned = parents / everything
    expected = detectability((edges[:-1] + edges[1:]) / 2)
    np.testing.assert_allclose(thinned / thinned[0], expected / expected[0], rtol=0.25, atol=0.02)


def test_detectability_falls_from_one_to_zero():
    weight = detectability(np.array([18.0, 22.0, 24.0, 25.0, 26.0]))
    assert weight[0] > 0.99
    assert (np.diff(weight) < 0).all()
    assert weight[-1] == 0.0


def test_faint_galaxies_are_smaller_and_bluer_than_bright_ones():
    galaxies = draw_galaxies(20_000, rng(), weighted=False)
    bright, faint = galaxies.mag[:, 2] < 21.5, galaxies.mag[:, 2] > 24
    assert np.median(galaxies.half_light_radius[bright]) > 1.5 * np.median(
        galaxies.half_light_radius[faint]
    )
    g_r = galaxies.mag[:, 0] - galaxies.mag[:, 1]
    assert np.mean(g_r[bright]) > np.mean(g_r[faint]) + 0.1


def test_red_galaxies_have_more_bulge():
    galaxies = draw_galaxies(20_000, rng(), weighted=False)
    g_r = galaxies.mag[:, 0] - galaxies.mag[:, 1]
    assert np.mean(galaxies.bulge_fraction[g_r > 1.3]) > 0.2 + np.mean(
        galaxies.bulge_fraction[g_r < 0.8]
    )


def test_rotation_keeps_ellipticity_and_half_a_turn_keeps_everything():
    galaxies = draw_galaxies(20, rng(), weighted=True)
    turned = galaxies.rotated(np.full(20, np.pi / 2))
    np.testing.assert_allclose(turned.g1, -galaxies.g1, atol=1e-12)
    np.testing.assert_allclose(turned.g2, -galaxies.g2, atol=1e-12)
    np.testing.assert_allclose(galaxies.rotated(np.full(20, np.pi)).g1, galaxies.g1, atol=1e-12)


def test_take_and_concatenate_are_inverse():
    galaxies = draw_galaxies(10, rng(), weighted=True)
    joined = Sources.concatenate([galaxies.take(np.arange(4)), galaxies.take(np.arange(4, 10))])
    np.testing.assert_array_equal(joined.mag, galaxies.mag)
    np.testing.assert_array_equal(joined.g2, galaxies.g2)
