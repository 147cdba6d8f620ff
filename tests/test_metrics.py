import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, measure
from scipy import stats

from balrog_keras import metrics
from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.residuals import colours, residuals
from data_prep.schema import Column, Schema


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    return rng.standard_t(4, 3000), 0.1 + 1.2 * rng.standard_t(4, 3000)


def test_distances_agree_with_scipy(samples):
    wasserstein, ks = metrics.cdf_distances(*samples)
    assert wasserstein[0] == pytest.approx(stats.wasserstein_distance(*samples))
    assert ks[0] == pytest.approx(stats.ks_2samp(*samples).statistic)


def test_weighted_distances_agree_with_scipy(samples):
    weights = np.random.default_rng(1).integers(0, 3, (2, 3000)).astype(float)
    wasserstein, ks = metrics.cdf_distances(*samples, weights)
    for k, w in enumerate(weights):
        expected = stats.wasserstein_distance(*samples, w, w)
        assert wasserstein[k] == pytest.approx(expected)
        repeated = [np.repeat(sample, w.astype(int)) for sample in samples]
        assert ks[k] == pytest.approx(stats.ks_2samp(*repeated).statistic)


def test_ties_are_no_distance():
    first, second = np.array([1.0, 1.0, 2.0, 2.0]), np.array([2.0, 1.0, 2.0, 1.0])
    wasserstein, ks = metrics.cdf_distances(first, second)
    assert wasserstein[0] == 0
    assert ks[0] == 0


def test_rank_correlation_agrees_with_scipy(samples):
    values = np.column_stack([samples[0], samples[0] + samples[1], samples[1] ** 3])
    expected = stats.spearmanr(values).statistic
    np.testing.assert_allclose(metrics.rank_correlation(values)[0], expected, atol=1e-12)
    weights = np.full((2, 3000), 2.0)
    np.testing.assert_allclose(metrics.rank_correlation(values, weights)[1], expected, atol=1e-12)


def test_energy_score_of_a_gaussian():
    """ES of N(0, 1) at y is E|x - y| - 1 / sqrt(pi); E|x - y| is known in closed form."""
    y = np.array([0.0, 0.7, -2.0])
    draws = np.random.default_rng(0).normal(size=(40_000, 3, 1))
    distance = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y)
    expected = distance - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(metrics.energy_score(draws, y[:, None]), expected, atol=0.02)


@pytest.mark.parametrize("draws", [2, 3, 16, 17])
def test_energy_score_is_unbiased_for_any_number_of_draws(draws):
    """Mean score of a perfect forecast of a standard normal is 1 / sqrt(pi)."""
    rng = np.random.default_rng(draws)
    score = metrics.energy_score(rng.normal(size=(draws, 60_000, 1)), rng.normal(size=(60_000, 1)))
    assert score.shape == (60_000,)
    assert abs(score.mean() - 1 / np.sqrt(np.pi)) < 5 * score.std() / np.sqrt(60_000)


def test_energy_score_prefers_the_truth():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(20_000, 2))
    scores = [
        metrics.energy_score(stretch * rng.normal(size=(20, 20_000, 2)), y).mean()
        for stretch in (0.7, 1.0, 1.3)
    ]
    assert scores[1] == min(scores)


def test_residuals_and_colours():
    condition = conditions(5, 0)
    measured = measure(condition, [1])
    expected = measured.astype(np.float64) - condition[:, :3]
    np.testing.assert_array_equal(residuals(SCHEMA, condition, measured), expected)
    names, values = colours(SCHEMA, measured)
    assert names == ["meas_mag_r - meas_mag_i", "meas_mag_i - meas_mag_z"]
    np.testing.assert_allclose(values[:, 1], measured[:, 1] - measured[:, 2], rtol=1e-5)


def test_columns_without_reference_or_magnitude():
    columns = (Column("true_mag_r", "mag", "truth"), Column("meas_size", "arcsec", "measured"))
    schema = Schema("sizes", ("r",), columns)
    measured = np.array([[0.5], [0.7]])
    np.testing.assert_array_equal(residuals(schema, np.ones((2, 1)), measured), measured)
    names, values = colours(schema, measured)
    assert names == []
    assert values.shape == (2, 0)


def test_bias_and_spread_of_known_samples():
    real = np.random.default_rng(0).normal(size=(200_000, 2))
    emulated = 1.1 * real + 0.3
    np.testing.assert_allclose(metrics.spread(real), 0.994, atol=0.01)
    np.testing.assert_allclose(metrics.spread_ratio(real, emulated), 1.1)
    np.testing.assert_allclose(metrics.bias(real, emulated), 0.3, atol=0.002)


def test_bins_have_equal_counts_and_take_given_edges():
    values = np.random.default_rng(0).normal(size=1000)
    label, edges = metrics.quantile_bins(values, 10)
    assert (np.bincount(label) == 100).all()
    again, _ = metrics.quantile_bins(values + 0.0, edges)
    np.testing.assert_array_equal(again, label)
    outside, _ = metrics.quantile_bins(np.array([-99.0, 99.0]), edges)
    np.testing.assert_array_equal(outside, [0, 9])


def test_a_few_rows_below_a_common_value_are_no_bin_of_their_own():
    """Their scatter alone would be the worst of all bins, and of its null."""
    values = np.concatenate([[0.0], np.ones(500), np.linspace(2, 3, 499)])
    label, edges = metrics.quantile_bins(values, 4)
    assert np.bincount(label).tolist() == [750, 250]
    assert edges[[0, -1]].tolist() == [0, 3]
    label, _ = metrics.quantile_bins(np.array([1.0, 2.0]), 4)
    assert label.tolist() == [0, 1]


def test_bins_of_a_constant():
    label, edges = metrics.quantile_bins(np.full(10, 3.0), 4)
    assert (label == 0).all()
    np.testing.assert_array_equal(edges, [3.0, 3.0])


def test_binned_spread_finds_five_per_cent_in_one_seeing_quartile():
    condition = conditions(150_000, 5)
    fwhm = condition[:, 4]
    stretch = np.where(fwhm > np.quantile(fwhm, 0.75), 1.05, 1.0)
    real = residuals(SCHEMA, condition, measure(condition, [5, 1]))[:, 1]
    bootstrap = RegionBootstrap(np.arange(150_000) % 40)
    tables = []
    for factor in (1.0, stretch):
        emulated = residuals(SCHEMA, condition, measure(condition, [5, 2], factor))[:, 1]
        tables.append(metrics.binned_bias_spread(real, emulated, fwhm, 4, bootstrap))
    exact, stretched = tables
    low, high = exact["spread_ratio_interval"].T
    assert ((low < 1) & (high > 1)).sum() >= 3
    assert stretched["spread_ratio_interval"][3, 0] > 1.0
    assert stretched["spread_ratio"][3] == pytest.approx(1.05, abs=0.025)
    np.testing.assert_allclose(stretched["spread_ratio"][:3], 1.0, atol=0.025)
    assert (stretched["rows"] == 37_500).all()


def test_binned_medians_agree_with_numpy(samples):
    by = np.random.default_rng(2).uniform(size=3000)
    table = metrics.binned_bias_spread(*samples, by, np.array([0.0, 0.5, 1.0]))
    upper = by > 0.5
    assert table["median_real"][1] == pytest.approx(np.median(samples[0][upper]))
    expected = metrics.spread_ratio(samples[0][upper], samples[1][upper])
    assert table["spread_ratio"][1] == pytest.approx(expected)


def test_empty_bins_are_nan():
    values = np.arange(4.0)
    table = metrics.binned_bias_spread(values, values, values, np.array([0.0, 1.5, 9.0, 10.0]))
    np.testing.assert_array_equal(table["rows"], [2, 2, 0])
    assert np.isnan(table["bias"][2])
    assert table["bias"][0] == 0
