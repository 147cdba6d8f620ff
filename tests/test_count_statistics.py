import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, measure

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.count_statistics import (
    count_edges,
    count_statistics,
    default_selections,
    ratio_statistic,
    redshift_place,
    selection_statistics,
    shift_statistic,
)
from data_prep.schema import Column, Schema

ROWS = 20_000
NAMES = SCHEMA.measured_names
CONDITION = conditions(ROWS, 0)
REAL, SAME = (measure(CONDITION, [0, k]) for k in (1, 2))
BOOTSTRAP = RegionBootstrap(np.arange(ROWS) % 40)


def test_counts_are_histograms_and_a_shift_is_found():
    edges = count_edges(SCHEMA, REAL)
    found = count_statistics(REAL, SAME, NAMES, edges, BOOTSTRAP)
    for index, name in enumerate(NAMES):
        expected = np.histogram(REAL[:, index], edges[name])[0]
        np.testing.assert_array_equal(found[name]["real"][:-1], expected[:-1])
        assert found[name]["real"].sum() > 0.99 * ROWS
    middle = slice(4, -4)
    inside = [
        (low <= 0) & (high >= 0)
        for low, high in (table["excess_interval"][middle].T for table in found.values())
    ]
    assert np.concatenate(inside).mean() > 0.85
    # Fainter by half a bin: the faintest full bins lose, those beyond gain.
    moved = count_statistics(REAL, SAME + 0.25, NAMES, edges, BOOTSTRAP)["meas_mag_r"]
    assert moved["excess"][1] < -0.5


def test_selections_are_at_the_null_and_away_from_it():
    selections = default_selections(SCHEMA, REAL)
    assert len(selections) == 4
    assert all(
        text.startswith(("meas_mag_i <", "meas_mag_r - meas_mag_i >")) for text in selections
    )
    exact = selection_statistics(selections, NAMES, REAL, SAME, BOOTSTRAP)
    for entry in exact.values():
        assert abs(entry["value"]) < 0.02
        assert entry["interval"][0] <= entry["value"] <= entry["interval"][1]
    biased = selection_statistics(selections, NAMES, REAL, SAME + np.float32(0.1), BOOTSTRAP)
    faintest = biased[list(selections)[2]]
    assert faintest["interval"][1] < 0
    assert faintest["value"] == pytest.approx(-0.02, abs=0.015)
    assert faintest["real"] == exact[list(selections)[2]]["real"]


def test_ratio_of_nothing_is_unknown():
    nothing = ratio_statistic(np.zeros(ROWS), np.ones(ROWS), BOOTSTRAP)
    assert np.isnan(nothing["value"])


def test_mean_redshift():
    z = np.linspace(0, 2, ROWS)
    real, emulated = z > 1.0, z > 1.2
    found = shift_statistic(z, real, emulated, BOOTSTRAP)
    assert found["value"] == pytest.approx(0.1, abs=1e-3)
    assert found["interval"] == pytest.approx([0.1, 0.1], abs=2e-3)
    assert shift_statistic(z, real, real, BOOTSTRAP)["interval"] == [0.0, 0.0]
    # Every third redshift unknown changes nothing; none known, nothing is known.
    some = np.where(np.arange(ROWS) % 3, z, np.nan)
    assert shift_statistic(some, real, emulated, BOOTSTRAP)["value"] == pytest.approx(0.1, abs=2e-3)
    assert np.isnan(shift_statistic(some * np.nan, real, emulated, BOOTSTRAP)["value"])


@pytest.mark.parametrize(
    ("name", "unit", "found"),
    [("true_redshift", "1", True), ("zred", "1", True), ("true_mag_z", "mag", False)],
)
def test_redshift_is_recognised(name, unit, found):
    columns = (Column("true_mag_r", "mag", "truth"), Column(name, unit, "truth"),
               Column("meas_mag_r", "mag", "measured", reference="true_mag_r"))  # fmt: skip
    assert redshift_place(Schema("x", ("r", "z"), columns)) == (1 if found else None)
