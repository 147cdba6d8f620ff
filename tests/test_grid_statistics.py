import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, location_scale, measure
from scipy.stats import kstest

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.grid_statistics import GRID_BINS, grid_statistics, grids
from balrog_keras.residuals import residuals
from data_prep.schema import Schema

ROWS = 6_000


@pytest.fixture(scope="module")
def world():
    condition = conditions(ROWS, 0)
    real, emulated = (residuals(SCHEMA, condition, measure(condition, [0, k])) for k in (1, 2))
    ranks = np.random.default_rng(0).random((ROWS, 3))
    return condition, real, emulated, ranks


def test_each_column_has_its_own_magnitude_and_seeing(world):
    found = grids(SCHEMA, world[0])
    assert [grid.name for grid in found.values()] == [
        f"true_mag_{b}, fwhm_{b}" for b in SCHEMA.bands
    ]
    again = grids(SCHEMA, world[0][:100], found)
    np.testing.assert_array_equal(again["meas_mag_r"].edges[0], found["meas_mag_r"].edges[0])
    columns = tuple(column for column in SCHEMA.columns if column.group != "survey")
    assert grids(Schema("none", SCHEMA.bands, columns), world[0][:, :3]) == {}


def test_cells_hold_what_numpy_and_scipy_say(world):
    condition, real, emulated, ranks = world
    grid = grids(SCHEMA, condition)["meas_mag_z"]
    bootstrap = RegionBootstrap(np.arange(ROWS) % 20, 50)
    found = grid_statistics(grid, real[:, 2], emulated[:, 2], ranks[:, 2], bootstrap)
    assert found["rows"].shape == GRID_BINS
    assert found["rows"].sum() == ROWS
    rows = grid.label == 2 * GRID_BINS[1] + 3
    assert found["rows"][2, 3] == rows.sum()
    low, middle, high = np.quantile(real[rows, 2], [0.16, 0.5, 0.84], method="hazen")
    moved = (np.median(emulated[rows, 2]) - middle) / (0.5 * (high - low))
    assert found["bias"][2, 3] == pytest.approx(moved)
    assert found["pit_ks"][2, 3] == pytest.approx(kstest(ranks[rows, 2], "uniform").statistic)
    inside = np.abs(ranks[rows, 2] - 0.5) <= 0.34
    assert found["coverage_68"][2, 3] == pytest.approx(inside.mean())
    low, high = found["spread_ratio_interval"][2, 3]
    assert low < found["spread_ratio"][2, 3] < high
    # Uniform ranks: the analytic 95 % null holds in about 95 % of 24 cells.
    assert np.mean(found["pit_ks"] < found["pit_ks_null"]) > 0.8


def test_error_in_one_cell_is_in_that_cell(world):
    condition, real, emulated, ranks = world
    grid = grids(SCHEMA, condition)["meas_mag_r"]
    wrong = emulated[:, 0].copy()
    cell = grid.label == 5 * GRID_BINS[1]
    wrong[cell] += location_scale(condition[cell])[1][:, 0]
    bootstrap = RegionBootstrap(np.arange(ROWS) % 20, 50)
    found = grid_statistics(grid, real[:, 0], wrong, ranks[:, 0], bootstrap)
    assert np.unravel_index(np.argmax(found["bias"]), GRID_BINS) == (5, 0)
    assert found["bias_interval"][5, 0, 0] > 0.5
    assert grid.cell_names()[5 * GRID_BINS[1]].startswith("true_mag_r in ")
