import numpy as np
import pytest
from evaluation_world import SCHEMA, KnownEmulator, held_out, location_scale

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.calibration import ks_uniform
from balrog_keras.scores import energy_statistics, score_draws


def scored(rows, emulator, draws=40, least_draws=1):
    both = location_scale(rows.condition)
    other = emulator.draw(rows.condition, rows.row_id, 99)
    return both, score_draws(emulator, rows, other, both, draws, 0, least_draws)


def test_shapes_and_calibration():
    rows = held_out(3000)
    _, scores = scored(rows, KnownEmulator())
    assert scores.pit.shape == (3000, 3)
    assert scores.exchanged_pit.shape == (40, 3000, 3)
    assert scores.to_oracle.shape == (2700,)
    assert scores.draws == 3000 * 40
    assert scores.finite.all()
    assert ks_uniform(scores.pit[:, 0])[0] < 0.04
    assert ks_uniform(scores.emulated_pit[:, 0])[0] < 0.04
    assert ks_uniform(scores.exchanged_pit[7, :, 0])[0] < 0.04


def test_blocks_cover_every_row(monkeypatch):
    """Calls of a few rows each score all rows, and in their order."""
    rows = held_out(500)
    monkeypatch.setattr("balrog_keras.scores._DRAWS_PER_CALL", 40 * 7)
    _, scores = scored(rows, KnownEmulator(stretch=0.01))
    location, scale = location_scale(rows.condition)
    expected = np.linalg.norm((rows.measured - location) / scale, axis=1)
    np.testing.assert_allclose(scores.to_measured, expected, atol=0.1)


def test_goes_on_to_the_least_number_of_draws():
    rows = held_out(100)
    _, scores = scored(rows, KnownEmulator(), draws=20, least_draws=9001)
    assert scores.draws == 10_000
    assert len(scores.pit) == 100


def test_non_finite_draws_are_counted():
    rows = held_out(200)
    emulator = KnownEmulator(broken=rows.condition[[3, 50], 0])
    _, scores = scored(rows, emulator, draws=20, least_draws=8000)
    assert scores.draws == 8000
    assert scores.non_finite == 2 * 40
    np.testing.assert_array_equal(np.flatnonzero(~scores.finite), [3, 50])
    kept = scores.subset(scores.finite, rows.paired)
    assert np.isfinite(kept.to_measured).all()
    assert len(kept.to_oracle) == np.count_nonzero(~np.isin(rows.paired, [3, 50]))


@pytest.mark.parametrize(("stretch", "differs"), [(1.0, False), (1.5, True), (0.6, True)])
def test_excess_over_the_oracle(stretch, differs):
    rows = held_out(6000)
    both, scores = scored(rows, KnownEmulator(stretch))
    found = energy_statistics(SCHEMA, rows, scores, both, RegionBootstrap(rows.region))
    excess = found["excess_over_oracle"]
    assert excess.get("null") is None
    if differs:
        assert excess["value"] > 5 * excess["standard_error"]
        assert excess["interval"][0] > 0
    else:
        assert abs(excess["value"]) < 3.5 * excess["standard_error"]
    gap = found["emulator"]["value"] - found["oracle"]["value"]
    assert gap == pytest.approx(excess["value"], abs=0.05)


def test_one_region_has_no_standard_error():
    rows = held_out(300, with_oracle=False)
    both, scores = scored(rows, KnownEmulator())
    one = RegionBootstrap(np.zeros(300, "int64"))
    found = energy_statistics(SCHEMA, rows, scores, both, one)["emulator"]
    assert np.isnan(found["standard_error"])


def test_without_oracle_the_null_is_the_draws_own():
    rows = held_out(4000, with_oracle=False)
    both, scores = scored(rows, KnownEmulator())
    found = energy_statistics(SCHEMA, rows, scores, both, RegionBootstrap(rows.region))
    assert set(found) == {"emulator"}
    error = found["emulator"]["standard_error"]
    assert abs(found["emulator"]["value"] - found["emulator"]["null"]) < 4 * error
