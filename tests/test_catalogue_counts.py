import numpy as np
import pytest
from analytic_emulator import AnalyticEmulator, power_law, probability
from toy import toy_conditions

from balrog_keras.catalogue_counts import Injections, catalogue_counts
from balrog_keras.measured_cuts import read_cuts

ROWS = 30_000


@pytest.fixture(scope="module")
def splits():
    """A detection split and the measured rows of the detected, from the emulator's own world."""
    emulator = AnalyticEmulator()
    condition = toy_conditions(ROWS, 1)
    condition[:, :3] = power_law(ROWS, 2)
    row_id = np.arange(ROWS)
    detected = np.random.default_rng(5).random(ROWS) < probability(condition)
    detection = {"condition": condition, "row_id": row_id, "region": row_id % 40,
                 "detected": detected.astype(np.int64)}  # fmt: skip
    measured = emulator.draw(condition, row_id, seed=77)
    return detection, {"row_id": row_id[detected][::-1], "measured": measured[detected][::-1]}


def test_exact_emulator_counts_right_and_a_lossy_one_does_not(splits):
    emulator, injections = AnalyticEmulator(), Injections.of(*splits)
    cuts = {"bright": read_cuts(["meas_mag_i < 22"], emulator.schema)}
    exact = catalogue_counts(emulator, injections, cuts)
    assert list(exact) == ["detected", "bright"]
    for entry in exact.values():
        assert abs(entry["value"]) < 0.03
        assert abs(entry["null"]) < 0.03
        assert entry["interval"][0] < 0 < entry["interval"][1]
    measured = splits[1]["measured"][:, 1] < 22
    assert exact["bright"]["real"] == measured.sum()
    emulator.p_detect = lambda condition: 0.93 * probability(condition)
    lossy = catalogue_counts(emulator, injections, cuts)["detected"]
    assert lossy["value"] == pytest.approx(-0.07, abs=0.02)
    assert lossy["interval"][1] < 0


def test_splits_of_different_rows_are_not_compared(splits):
    detection, test = splits
    half = {name: values[::2] for name, values in test.items()}
    assert Injections.of(detection, half) is None
    none = {name: values[:0] for name, values in test.items()}
    assert Injections.of(detection, none) is None
