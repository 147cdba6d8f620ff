import numpy as np
import pytest

from balrog_keras.bootstrap import RegionBootstrap, weighted_quantiles

PROBABILITIES = np.array([0.0, 0.05, 0.16, 0.5, 0.84, 0.999, 1.0])


def test_unit_weights_give_hazen_quantiles():
    values = np.random.default_rng(0).normal(size=101)
    expected = np.quantile(values, PROBABILITIES, method="hazen")
    np.testing.assert_allclose(
        weighted_quantiles(values, np.ones((1, 101)), PROBABILITIES)[0], expected
    )


def test_whole_weights_are_repetitions():
    rng = np.random.default_rng(1)
    values, weights = rng.normal(size=4000), rng.integers(0, 4, 4000)
    repeated = np.quantile(np.repeat(values, weights), PROBABILITIES[1:-1], method="hazen")
    found = weighted_quantiles(values, weights[None].astype(float), PROBABILITIES[1:-1])[0]
    np.testing.assert_allclose(found, repeated, atol=0.01)


@pytest.mark.parametrize("kept", [[1, 2, 4], [0, 5], [3], [4, 5]])
def test_values_without_weight_do_not_count(kept):
    """A replicate's quantiles lie between values that were drawn."""
    values = np.array([5.0, -1.0, 10.0, 0.5, 0.0, 1.0])
    weights = np.zeros((1, 6))
    weights[0, kept] = np.arange(1, len(kept) + 1) / 3
    expected = weighted_quantiles(values[kept], weights[:, kept], PROBABILITIES)
    np.testing.assert_allclose(weighted_quantiles(values, weights, PROBABILITIES), expected)


def test_no_weight_is_no_quantile():
    assert np.isnan(weighted_quantiles(np.arange(3.0), np.zeros((1, 3)), PROBABILITIES)).all()


def test_whole_regions_are_resampled():
    region = np.array([5, 5, 5, 9, 9, 11])
    weights = RegionBootstrap(region, 50, seed=3).replicate(lambda w: w)
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 5] == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_same_seed_same_replicates():
    region = np.arange(20)
    first, again, other = (
        RegionBootstrap(region, 10, seed).replicate(lambda w: w) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_subset_keeps_the_replicates():
    bootstrap = RegionBootstrap(np.arange(10) // 2, 20)
    weights = bootstrap.replicate(lambda w: w)
    rows = np.array([7, 0, 3])
    np.testing.assert_array_equal(bootstrap.subset(rows).replicate(lambda w: w), weights[:, rows])


def test_blocks_of_replicates_change_nothing(monkeypatch):
    bootstrap = RegionBootstrap(np.arange(50), 30)
    whole = bootstrap.replicate(lambda w: w.sum(axis=1))
    monkeypatch.setattr("balrog_keras.bootstrap._WEIGHTS_PER_BLOCK", 120)
    np.testing.assert_array_equal(bootstrap.replicate(lambda w: w.sum(axis=1)), whole)


def test_interval_of_a_mean_covers_the_truth():
    """Objects of a region share an offset: 95 % intervals over regions hold the true mean."""
    inside = 0
    for trial in range(200):
        rng = np.random.default_rng([7, trial])
        region = np.repeat(np.arange(40), 25)
        values = rng.normal(size=40)[region] + rng.normal(size=1000)
        bootstrap = RegionBootstrap(region, 200, trial)
        low, high = bootstrap.interval(
            bootstrap.replicate(lambda w, v=values: w @ v / w.sum(axis=1))
        )
        inside += low <= 0 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_interval_of_a_distance_holds_its_value():
    values = np.linspace(0.5, 0.9, 100)[:, None]
    bootstrap = RegionBootstrap(np.arange(9))
    low, high = bootstrap.interval(values, np.array([0.1]))[0]
    assert low == 0.0
    assert high == pytest.approx(0.1 + 1.96 * values.std())


def test_one_region_has_no_interval():
    bootstrap = RegionBootstrap(np.zeros(10, int))
    assert np.isnan(bootstrap.interval(np.ones((200, 2)))).all()
