import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, measure, ranks
from scipy import stats

from balrog_keras.exchange_null import (
    cells_of,
    condition_quartiles,
    exchanges,
    normal_scores,
    worst_cell,
    worst_ratio,
)

ROWS = 40_000


def found_in(stretch, seed=0, simulations=40):
    """Worst cells of the quartiles of every condition, exact real rows beside stretched ones."""
    condition = conditions(ROWS, seed)
    wrong = condition[:, 4] > np.quantile(condition[:, 4], 0.75)
    stretches = np.where(wrong, stretch, 1.0)
    real, emulated = (
        ranks(condition, measured, stretches)
        for measured in (
            measure(condition, [seed, 1]),
            measure(condition, [seed, 2], stretches),
        )
    )
    cells = condition_quartiles(SCHEMA, condition)
    assert len(cells) == 6 * 4 * 3
    return worst_cell(cells, real, emulated, np.arange(ROWS) % 60, simulations)


@pytest.mark.parametrize("seed", range(4))
def test_power(seed):
    """5 % of spread in one quartile of seeing is found there, whatever the seed."""
    spread = found_in(1.05, seed)["spread"]
    assert spread["value"] > spread["null"]
    assert spread["p_value"] <= 2 / 41
    assert ", fwhm_" in spread["where"]
    assert spread["rows"] == ROWS // 4
    assert spread["signed"] == pytest.approx(0.05, abs=0.025)


def test_nothing_is_found_where_all_is_well():
    """Of eight exact emulators hardly one is above the 95 % null."""
    found = [found_in(1.0, seed) for seed in range(10, 18)]
    for key in ("bias", "spread"):
        assert sum(each[key]["value"] > each[key]["null"] for each in found) <= 2


def test_normal_scores_are_bounded():
    np.testing.assert_allclose(normal_scores(np.array([0.5, 0.84134475])), [0, 1], atol=1e-7)
    assert np.isfinite(normal_scores(np.array([0.0, 1.0]))).all()


def test_differences_are_those_of_numpy_in_each_cell():
    rng = np.random.default_rng(0)
    real, emulated = rng.random(size=(2, 903, 1))
    label = np.repeat([0, 1, 2], 301)
    emulated[label == 1] **= 2
    cells = cells_of(label, ["a", "b", "c"], 0, "x")
    found = worst_cell(cells, real, emulated, np.arange(903), simulations=20)
    first, second = (stats.norm.ppf(values[label == 1, 0]) for values in (real, emulated))
    bias = (second.mean() - first.mean()) / first.std()
    assert found["bias"]["signed"] == pytest.approx(bias)
    assert found["spread"]["signed"] == pytest.approx(second.std() / first.std() - 1)
    assert found["bias"]["where"] == found["spread"]["where"] == "x, b"
    assert found["bias"]["p_value"] == 1 / 21


def test_a_rare_value_of_a_condition_leaves_the_null_small():
    """A survey property of whole numbers can have its least value in three rows."""
    rng = np.random.default_rng(0)
    condition = conditions(4_000, 0)
    condition[:, 4] = np.where(np.arange(4_000) < 3, 0, rng.integers(1, 3, 4_000))
    cells = condition_quartiles(SCHEMA, condition)
    assert min(len(cell.rows) for cell in cells) >= 500
    real, emulated = rng.random((2, 4_000, 3))
    found = worst_cell(cells, real, emulated, np.arange(4_000) % 30, simulations=40)
    assert found["bias"]["null"] < 0.2
    assert found["spread"]["null"] < 0.2


def test_small_cells_are_not_judged_and_flat_ones_are_unknown():
    label = np.repeat([0, 1, 2], [10, 90, 90])
    cells = cells_of(label, ["few", "flat", "many"], 0, "x", least_rows=20)
    assert [cell.where for cell in cells] == ["x, flat", "x, many"]
    values = np.random.default_rng(0).random((2, 190, 1))
    values[:, label == 1] = 0.25
    found = worst_cell(cells, *values, np.arange(190), simulations=20)
    assert found["spread"]["where"] == "x, many"
    assert np.isfinite(found["spread"]["null"])


@pytest.mark.parametrize(("regions", "whole"), [(25, True), (5, False)])
def test_regions_are_exchanged_whole_where_they_are_many(regions, whole):
    region = np.arange(1000) % regions
    swap = next(iter(exchanges(region, 1)))
    same = all(len(np.unique(swap[region == k])) == 1 for k in range(regions))
    assert same == whole
    assert 0.2 < swap.mean() < 0.8


def test_exchanged_counts():
    rng = np.random.default_rng(0)
    region = np.arange(4_000) % 40
    real, same = rng.random((2, 4_000, 2)) < [0.5, 0.1]
    exact = worst_ratio(real, same, ["a", "b"], region, simulations=40)
    assert exact["p_value"] > 0.05
    more = same | (rng.random((4_000, 2)) < [0.0, 0.05])
    found = worst_ratio(real, more, ["a", "b"], region, simulations=40)
    assert found["where"] == "b"
    assert found["signed"] == pytest.approx(more[:, 1].sum() / real[:, 1].sum() - 1)
    assert found["p_value"] == 1 / 41
    assert worst_ratio(real & False, same, ["a", "b"], region) == {}


def test_a_single_row_that_passes_is_not_judged():
    real = np.zeros((100, 1), bool)
    real[3] = True
    assert worst_ratio(real, real & False, ["a"], np.arange(100), simulations=20) == {}


def test_columns_without_any_spread_have_no_worst_cell():
    flat = np.zeros((50, 1))
    cells = cells_of(np.zeros(50, int), ["all"], 0, "x")
    assert worst_cell(cells, flat, flat, np.arange(50)) == {}
