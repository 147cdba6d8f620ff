import logging
from types import SimpleNamespace

import pytest

from balrog_keras.config import Settings
from balrog_keras.runs import Run
from balrog_keras.training_summary import log_summary

SETTINGS = Settings(steps=100, batch_size=200, critic_steps=1)
ROWS = {"train": 1_000, "validation": 100}


def _scores(step, energy, spread=1.1):
    return {
        "step": step,
        "selection_score": energy + 0.02,
        "energy_score": energy,
        "bias/meas_mag_r": -0.004,
        "spread_ratio/meas_mag_r": 0.98,
        "pit_ks/mean_bin": 0.02,
        "pit_ks/worst_bin": 0.05,
        "worst_bin/bias/fwhm_r": -0.2,
        "worst_bin/bias/true_mag_r": 0.1,
        "worst_bin/spread_ratio/fwhm_r": spread,
        "worst_bin/spread_ratio/true_mag_r": 0.95,
    }


@pytest.fixture
def places(tmp_path):
    run = Run(tmp_path / "runs" / "mine")
    run.tensorboard.mkdir(parents=True)
    return run, tmp_path / "saved_models" / "mine", tmp_path / "shards"


def _lines(caplog):
    return [record.message for record in caplog.records]


def _line(caplog, start):
    (line,) = [text for text in _lines(caplog) if text.strip().startswith(start)]
    return line


def _member(best, last=None, steps=100, seconds=10.0):
    return SimpleNamespace(scores=best, last=last or best, steps=steps, seconds=seconds)


def test_best_stands_beside_last(caplog, places):
    caplog.set_level(logging.INFO)
    member = _member(_scores(80, 1.31), _scores(100, 1.32, spread=0.7))
    log_summary([member], ROWS, SETTINGS, *places)
    assert _lines(caplog)[0] == (
        "done: 100 steps, 20.0 epochs of 1,000 rows; 100 steps in 10 s, 2,000 galaxies/s"
    )
    assert _line(caplog, "energy score").split()[-2:] == ["1.31000", "1.32000"]
    assert _line(caplog, "validation split").split()[-4:] == ["step", "80", "step", "100"]
    spread = _line(caplog, "worst bin's spread ratio").split()
    assert spread[-4:] == ["1.100", "fwhm_r", "0.700", "fwhm_r"]
    assert _line(caplog, "worst bin's bias").split()[-2:] == ["-0.200", "fwhm_r"]


def test_places_and_the_next_command_are_named(caplog, places):
    caplog.set_level(logging.INFO)
    run, bundle, shards = places
    log_summary([_member(_scores(80, 1.31))], ROWS, SETTINGS, run, bundle, shards)
    text = "\n".join(_lines(caplog))
    assert f"tensorboard --logdir {run.tensorboard}" in text
    out = run.directory / "evaluation"
    assert f"next: python evaluate.py {bundle} --data {shards} --out {out}" in text


def test_rate_of_a_resumed_run_is_of_its_own_steps(caplog, places):
    caplog.set_level(logging.INFO)
    log_summary([_member(_scores(80, 1.31), steps=20, seconds=2.0)], ROWS, SETTINGS, *places)
    assert _lines(caplog)[0].endswith("; 20 steps in 2 s, 2,000 galaxies/s")


def test_resumed_after_the_last_step_has_no_rate(caplog, places):
    caplog.set_level(logging.INFO)
    log_summary([_member(_scores(80, 1.31), steps=0, seconds=0.1)], ROWS, SETTINGS, *places)
    assert _lines(caplog)[0] == "done: 100 steps, 20.0 epochs of 1,000 rows"


def test_columns_stay_aligned(caplog, places):
    caplog.set_level(logging.INFO)
    member = _member(_scores(80, 1.31), _scores(100, 1.32))
    log_summary([member], ROWS, SETTINGS, *places)
    table = _lines(caplog)[1:-4]
    assert len({len(line) for line in table}) == 1


def test_ensemble_has_a_column_per_member(caplog, tmp_path):
    """Without a TensorBoard directory of its own, the run's holds those of the members."""
    caplog.set_level(logging.INFO)
    run = Run(tmp_path / "runs" / "mine")
    members = [_member(_scores(80, energy)) for energy in (1.31, 1.33, 1.30)]
    log_summary(members, ROWS, SETTINGS, run, tmp_path / "mine", tmp_path / "shards")
    assert _lines(caplog)[0] == (
        "done: 3 members, each 100 steps, 20.0 epochs of 1,000 rows; "
        "300 steps in 30 s, 2,000 galaxies/s"
    )
    assert _line(caplog, "energy score").split()[-3:] == ["1.31000", "1.33000", "1.30000"]
    assert f"tensorboard --logdir {run.directory}" in "\n".join(_lines(caplog))
