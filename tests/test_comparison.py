import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, location_scale, measure

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.comparison import (
    beside,
    binned_statistics,
    binned_tables,
    marginal_statistics,
    statistic,
)

ROWS = 8000


@pytest.fixture(scope="module")
def inputs():
    condition = conditions(ROWS, 0)
    real = measure(condition, [0, 1])
    return condition, real, RegionBootstrap(np.arange(ROWS) % 30, 100)


def marginals(inputs, emulated):
    condition, real, bootstrap = inputs
    scales = location_scale(condition)
    return marginal_statistics(SCHEMA, condition, real, emulated, scales, bootstrap)


def test_null_is_put_beside_every_value():
    statistics = {"a": {"x": statistic(1.0, [0.5, 1.5], real=2.0)}, "b": statistic(3.0)}
    null = {"a": {"x": statistic(0.1, [0.0, 0.2])}, "b": statistic(0.2)}
    found = beside(statistics, null)
    assert found["a"]["x"]["null"] == 0.1
    assert found["a"]["x"]["null_interval"] == [0.0, 0.2]
    assert found["a"]["x"]["real"] == 2.0
    assert found["b"]["null"] == 0.2


def test_exact_sample_is_at_the_null(inputs):
    found = marginals(inputs, measure(inputs[0], [0, 2]))
    for name in SCHEMA.measured_names:
        assert found["wasserstein"][name]["value"] < 0.08
        assert abs(found["spread_ratio"][name]["value"] - 1) < 0.06
        assert abs(found["bias"][name]["value"]) < 0.06
        assert abs(found["outlier_fraction"][name]["value"]
                   - found["outlier_fraction"][name]["real"]) < 0.003  # fmt: skip
    for entry in found["colour_ks"].values():
        assert entry["value"] < 0.02
    for entry in found["rank_correlation"].values():
        assert abs(entry["value"]) < 0.04


@pytest.mark.parametrize(
    ("group", "distort"),
    [
        ("bias", lambda y, s: y + 0.5 * s),
        ("wasserstein", lambda y, s: y + 0.5 * s),
        ("spread_ratio", lambda y, s: y + 1.5 * s * np.random.default_rng(0).normal(size=y.shape)),
    ],
)
def test_distortions_are_found(inputs, group, distort):
    emulated = measure(inputs[0], [0, 2])
    exact = marginals(inputs, emulated)[group]
    found = marginals(inputs, distort(emulated, location_scale(inputs[0])[1]))[group]
    for name in SCHEMA.measured_names:
        assert found[name]["interval"][0] > exact[name]["value"]


def test_lost_correlation_is_found(inputs):
    emulated = measure(inputs[0], [0, 2])
    emulated[:, 1] = measure(inputs[0], [0, 9])[:, 1]
    found = marginals(inputs, emulated)["rank_correlation"]
    assert found["meas_mag_r | meas_mag_i"]["interval"][1] < -0.1
    assert abs(found["meas_mag_r | meas_mag_z"]["value"]) < 0.05


def test_cut_tails_are_found(inputs):
    condition, _, _ = inputs
    location, scale = location_scale(condition)
    emulated = np.clip(measure(condition, [0, 2]), location - 2 * scale, location + 2 * scale)
    found = marginals(inputs, emulated)
    for name in SCHEMA.measured_names:
        assert found["tail_quantiles"][name]["99.9%"]["value"] < -0.5
        assert found["outlier_fraction"][name]["value"] == 0
        assert found["outlier_fraction"][name]["real"] > 0


def test_worst_cells(inputs):
    condition, real, bootstrap = inputs
    emulated = measure(condition, [0, 2])
    wrong = condition[:, 4] > np.quantile(condition[:, 4], 0.9)
    emulated[wrong, 2] += 0.5
    tables = binned_tables(SCHEMA, condition, real, emulated, bootstrap)
    edges = {by: table["meas_mag_r"]["edges"] for by, table in tables.items()}
    null = binned_tables(SCHEMA, condition, real, measure(condition, [0, 3]), bootstrap, edges)
    found = binned_statistics(tables, null)
    worst = found["worst_binned_bias"]
    assert worst["where"].startswith("meas_mag_z, fwhm_i in ")
    assert worst["value"] > 5 * abs(worst["null"])
    cells = found["binned"]["fwhm_i"]["meas_mag_z"]
    assert cells["bias"][9] == pytest.approx(0.5, abs=0.05)
    assert len(cells["null_bias"]) == 10
    assert sum(cells["rows"]) == ROWS
