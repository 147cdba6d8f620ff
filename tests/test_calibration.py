import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, measure
from scipy import stats

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.calibration import CalibrationBins, coverage, exchanged_pit, ks_uniform, pit
from balrog_keras.calibration_statistics import calibration_statistics


def known(rows, draws, stretch=1.0, seed=0):
    """PIT and exchanged PIT of an emulator that stretches the known distribution."""
    condition = conditions(rows, seed)
    values = np.stack([measure(condition, [seed, 50, d], stretch) for d in range(draws)])
    rng = np.random.default_rng([seed, 9])
    observed = measure(condition, [seed, 3])
    return (
        condition,
        pit(values, observed, rng.random(observed.shape)),
        exchanged_pit(values, rng.random(values.shape)),
    )


@pytest.mark.parametrize("draws", [1, 4, 200])
def test_pit_is_uniform_for_any_number_of_draws(draws):
    rng = np.random.default_rng(draws)
    values = pit(rng.normal(size=(draws, 20_000, 1)), rng.normal(size=(20_000, 1)),
                 rng.random((20_000, 1)))  # fmt: skip
    assert stats.kstest(values[:, 0], "uniform").pvalue > 0.001


def test_pit_is_uniform_with_ties():
    rng = np.random.default_rng(0)
    draws, observed = rng.integers(0, 3, (9, 20_000, 1)), rng.integers(0, 3, (20_000, 1))
    values = pit(draws, observed, rng.random((20_000, 1)))
    assert stats.kstest(values[:, 0], "uniform").pvalue > 0.001


def test_exchanged_pit_is_the_pit_of_a_draw_among_the_others():
    rng = np.random.default_rng(1)
    draws, uniform = rng.normal(size=(7, 5, 2)), rng.random((7, 5, 2))
    found = exchanged_pit(draws, uniform)
    for d in range(7):
        expected = pit(np.delete(draws, d, axis=0), draws[d], uniform[d])
        np.testing.assert_allclose(found[d], expected, rtol=1e-5)


def test_equal_draws_share_their_ranks_at_random():
    rng = np.random.default_rng(4)
    draws, uniform = rng.integers(0, 4, (7, 30, 2)).astype(float), rng.random((7, 30, 2))
    draws[:, :4, 0] = 1.0  # all the same
    draws[:, 4] = rng.normal(size=(7, 2))  # all different
    found = exchanged_pit(draws, uniform)
    for d in range(7):
        expected = pit(np.delete(draws, d, axis=0), draws[d], uniform[d])
        np.testing.assert_allclose(found[d], expected, rtol=1e-5)


def test_ks_agrees_with_scipy():
    values = np.random.default_rng(2).beta(1.2, 1, 500)
    expected = stats.kstest(values, "uniform").statistic
    assert ks_uniform(values)[0] == pytest.approx(expected)
    weights = np.random.default_rng(3).integers(0, 3, (1, 500)).astype(float)
    repeated = np.repeat(values, weights[0].astype(int))
    assert ks_uniform(values, weights)[0] == pytest.approx(
        stats.kstest(repeated, "uniform").statistic
    )


def test_coverage_of_uniform_and_of_narrow_draws():
    _, exact, _ = known(20_000, 100)
    _, narrow, _ = known(20_000, 100, stretch=0.5)
    np.testing.assert_allclose(coverage(exact, 0.68)[0], 0.68, atol=0.013)
    np.testing.assert_allclose(coverage(exact, 0.95)[0], 0.95, atol=0.007)
    assert (coverage(narrow, 0.68)[0] < 0.5).all()


def test_bins_agree_with_the_whole():
    condition, values, _ = known(3000, 20)
    bins = CalibrationBins.of(condition, SCHEMA.condition_names)
    cells, inside = bins.ks(values), bins.coverage(values, 0.68)
    assert cells.shape == inside.shape == (6, 4, 3)
    rows = bins.labels[4] == 2
    assert cells[4, 2, 1] == pytest.approx(stats.kstest(values[rows, 1], "uniform").statistic)
    assert inside[4, 2, 1] == pytest.approx(coverage(values[rows], 0.68)[0, 1])
    assert (bins.rows().sum(axis=1) == 3000).all()
    assert bins.describe(4, 2).startswith("fwhm_i in ")


def test_worst_ks_resamples_regions():
    condition, values, _ = known(2000, 20)
    bins = CalibrationBins.of(condition, SCHEMA.condition_names)
    one = bins.worst_ks(values, RegionBootstrap(np.zeros(2000, int), 3))
    np.testing.assert_allclose(one, bins.ks(values).max())
    many = bins.worst_ks(values, RegionBootstrap(np.arange(2000) % 20, 30))
    assert many.std() > 0


def statistics_of(stretch):
    condition, values, exchanged = known(4000, 60, stretch)
    bootstrap = RegionBootstrap(np.arange(4000) % 25, 50)
    return calibration_statistics(SCHEMA, condition, values, exchanged, bootstrap)


def test_exact_emulator_is_within_its_null():
    found = statistics_of(1.0)
    worst = found["pit"]["worst_bin"]
    assert worst["p_value"] > 0.01
    assert worst["value"] < 1.3 * worst["null"]
    for entry in found["pit"]["overall"].values():
        assert entry["value"] < 1.5 * entry["null"]
    for level, key in ((0.68, "68%"), (0.95, "95%")):
        for name in SCHEMA.measured_names:
            entry = found["coverage"][key][name]
            assert entry["null"] == level
            low, high = entry["null_interval"]
            assert low < level < high
            assert low - 0.01 < entry["value"] < high + 0.01
    assert len(found["calibration_bins"]) == 24


def test_stretched_emulator_is_outside_its_null():
    found = statistics_of(1.5)
    worst = found["pit"]["worst_bin"]
    assert worst["p_value"] < 0.05
    assert worst["value"] > worst["null"] + 0.03
    assert found["coverage"]["68%"]["meas_mag_i"]["interval"][0] > 0.72
    assert found["coverage"]["68%"]["worst_gap"]["p_value"] < 0.05


def test_null_of_the_worst_bin_is_what_exact_emulators_score():
    """Of many exact emulators about one in twenty exceeds the simulated 95 % null."""
    above = 0
    for seed in range(40):
        condition, values, exchanged = known(600, 40, seed=seed)
        bins = CalibrationBins.of(condition, SCHEMA.condition_names)
        null = np.quantile([bins.ks(sample).max() for sample in exchanged], 0.95)
        above += bins.ks(values).max() > null
    assert above <= 7
