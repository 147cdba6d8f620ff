import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, location_scale, measure

from balrog_keras.exchange_null import (
    cells_of,
    condition_quartiles,
    exchanges,
    worst_cell,
    worst_ratio,
)
from balrog_keras.residuals import standardized

ROWS = 40_000


def found_in(stretch, simulations=40):
    """Worst cells of the quartiles of every condition, exact real rows beside stretched ones."""
    condition = conditions(ROWS, 0)
    wrong = condition[:, 4] > np.quantile(condition[:, 4], 0.75)
    pair = (measure(condition, [0, 1]), measure(condition, [0, 2], np.where(wrong, stretch, 1.0)))
    scales = location_scale(condition)
    real, emulated = (standardized(SCHEMA, values, *scales) for values in pair)
    cells = condition_quartiles(SCHEMA, condition)
    assert len(cells) == 6 * 4 * 3
    return worst_cell(cells, real, emulated, np.arange(ROWS) % 60, simulations)


@pytest.mark.parametrize("stretch", [1.0, 1.05])
def test_power(stretch):
    """5 % of spread in one quartile of seeing is found there; nothing where all is well."""
    spread = found_in(stretch)["spread"]
    if stretch == 1.0:
        assert spread["value"] < spread["null"]
        assert spread["p_value"] > 0.05
    else:
        assert spread["value"] > spread["null"]
        assert spread["p_value"] == 1 / 41
        assert ", fwhm_" in spread["where"]
        assert spread["rows"] == ROWS // 4
        assert spread["signed"] == pytest.approx(0.05, abs=0.035)


def test_differences_are_those_of_numpy_in_each_cell():
    rng = np.random.default_rng(0)
    real, emulated = rng.normal(size=(2, 903, 1))
    label = np.repeat([0, 1, 2], 301)
    emulated[label == 1] = 2 * emulated[label == 1] + 1
    cells = cells_of(label, ["a", "b", "c"], 0, "x")
    found = worst_cell(cells, real, emulated, np.arange(903), simulations=20)
    low, middle, high = np.quantile(real[label == 1, 0], [0.16, 0.5, 0.84])
    other = np.quantile(emulated[label == 1, 0], [0.16, 0.5, 0.84])
    assert found["bias"]["signed"] == pytest.approx((other[1] - middle) / (0.5 * (high - low)))
    assert found["spread"]["signed"] == pytest.approx((other[2] - other[0]) / (high - low) - 1)
    assert found["bias"]["where"] == found["spread"]["where"] == "x, b"
    assert found["bias"]["p_value"] == 1 / 21


def test_small_cells_are_not_judged_and_flat_ones_are_unknown():
    label = np.repeat([0, 1, 2], [10, 90, 90])
    cells = cells_of(label, ["few", "flat", "many"], 0, "x", least_rows=20)
    assert [cell.where for cell in cells] == ["x, flat", "x, many"]
    values = np.random.default_rng(0).normal(size=(2, 190, 1))
    values[:, label == 1] = 1.0
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
