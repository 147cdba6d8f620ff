import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

optuna = pytest.importorskip("optuna")

from sweep_world import BASE, SPACE, trainer, true_score  # noqa: E402
from toy import write_toy_shards  # noqa: E402

from balrog_keras import sweep_study  # noqa: E402
from balrog_keras.config import Settings  # noqa: E402
from balrog_keras.sweep import sweep  # noqa: E402
from data_prep.errors import BalrogError  # noqa: E402

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_toy_shards(tmp_path_factory.mktemp("sweep") / "shards", 50, 10, 10)


@pytest.fixture
def hasty(monkeypatch):
    """Killed workers count as such after two seconds."""
    monkeypatch.setattr(sweep_study, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(sweep_study, "GRACE_SECONDS", 2)


def _sweep(shards, runs, trials, trainer=trainer, **options):
    return sweep(shards, "s", BASE, SPACE, runs, trials=trials, trainer=trainer, **options)


def _states(study):
    return [trial.state.name for trial in study.trials]


def _starts(runs, number):
    """Lines ``PID resume=BOOL``, one for each time that the trial was started."""
    return (runs / "s" / f"trial-{number}" / "train.log").read_text().splitlines()


def _worker(shards, runs, trials, *more):
    command = [sys.executable, str(HERE / "sweep_world.py"), str(shards), str(runs), str(trials)]
    return subprocess.Popen([*command, *more], cwd=HERE.parent, stderr=subprocess.PIPE, text=True)


def test_best_settings_are_those_of_the_best_trial(shards, tmp_path):
    study = _sweep(shards, tmp_path, 5)
    best = Settings.from_dict(yaml.safe_load((tmp_path / "s" / "best.yaml").read_text()))
    tried = [Settings.from_dict(trial.user_attrs["settings"]) for trial in study.trials]
    assert len(tried) == 5
    assert len({settings.seed for settings in tried}) == 5
    assert true_score(best) == min(true_score(settings) for settings in tried)
    assert study.best_value == pytest.approx(true_score(best) + 1 / 4)


def test_resumed_study_is_that_of_an_uninterrupted_one(shards, tmp_path):
    _sweep(shards, tmp_path / "a", 2)
    resumed = _sweep(shards, tmp_path / "a", 4)
    whole = _sweep(shards, tmp_path / "b", 4)
    assert [trial.params for trial in resumed.trials] == [trial.params for trial in whole.trials]
    assert len(_sweep(shards, tmp_path / "a", 4).trials) == 4


def test_two_workers_share_the_trials(shards, tmp_path):
    workers = [_worker(shards, tmp_path, 6) for _ in range(2)]
    for worker in workers:
        _, error = worker.communicate(timeout=300)
        assert worker.returncode == 0, error
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/study.db")
    # Both may ask for the last trial at the same instant.
    assert len(study.trials) in (6, 7)
    assert not {"RUNNING", "FAIL", "WAITING"} & set(_states(study))
    starts = [_starts(tmp_path, trial.number) for trial in study.trials]
    assert all(len(each) == 1 for each in starts)
    assert len({repr(trial.params) for trial in study.trials}) == len(study.trials)


def test_killed_workers_trial_is_continued(shards, tmp_path, hasty):
    worker = _worker(shards, tmp_path, 1, "hang")
    log = tmp_path / "s" / "trial-0" / "train.log"
    deadline = time.monotonic() + 120
    while not (log.is_file() and _reported(tmp_path)):
        assert time.monotonic() < deadline
        assert worker.poll() is None, worker.stderr.read()
        time.sleep(0.1)
    worker.kill()
    worker.communicate()
    while (study := _sweep(shards, tmp_path, 1)).trials[0].state.name == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert _states(study) == ["FAIL", "COMPLETE"]
    first, second = study.trials
    assert second.user_attrs["settings"] == first.user_attrs["settings"]
    assert not log.exists()
    assert [line.split()[1] for line in _starts(tmp_path, 1)] == ["resume=False", "resume=True"]


def _reported(runs):
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{runs}/s/study.db")
    return study.trials and study.trials[0].intermediate_values


def test_interrupted_trial_is_continued(shards, tmp_path):
    def interrupted(shards, directory, settings, resume, on_validation):
        def report(step, scores):
            if step == 60:
                raise KeyboardInterrupt
            on_validation(step, scores)

        trainer(shards, directory, settings, resume, report)

    with pytest.raises(KeyboardInterrupt):
        _sweep(shards, tmp_path, 2, interrupted)
    study = _sweep(shards, tmp_path, 2)
    assert _states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[1].params == study.trials[0].params
    assert sorted(study.trials[1].intermediate_values) == [1, 2, 3, 4]
    assert [line.split()[1] for line in _starts(tmp_path, 1)] == ["resume=False", "resume=True"]


def test_worker_whose_trial_was_taken_over_goes_on(shards, tmp_path):
    def stood_still(shards, directory, settings, resume, on_validation):
        if directory.name == "trial-0":
            study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/study.db")
            study.tell(0, state=optuna.trial.TrialState.FAIL)
            assert sweep_study.recover(study, 0)
        trainer(shards, directory, settings, resume, on_validation)

    study = _sweep(shards, tmp_path, 2, stood_still)
    assert _states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[1].params == study.trials[0].params


def test_trial_worse_than_the_median_is_pruned(shards, tmp_path):
    validated = []

    def last_is_bad(shards, directory, settings, resume, on_validation):
        number = int(directory.name.split("-")[1])
        (directory / "checkpoints").mkdir(parents=True)
        (directory / "tensorboard").mkdir()
        for k in range(1, 5):
            validated.append((number, k))
            on_validation(10 * k, {"energy_score": 1.0 + (number == 5)})

    eight = Settings.from_dict({**BASE.to_dict(), "validation_interval": 10})
    study = sweep(shards, "s", eight, SPACE, tmp_path, trials=6, trainer=last_is_bad)
    assert _states(study) == 5 * ["COMPLETE"] + ["PRUNED"]
    # A quarter of the eight validations is always waited for.
    assert validated[-2:] == [(5, 1), (5, 2)]
    assert not list((tmp_path / "s").glob("trial-*/checkpoints"))
    assert list((tmp_path / "s" / "trial-5" / "tensorboard").glob("events*"))


def test_failed_training_does_not_end_the_sweep(shards, tmp_path):
    def diverges(shards, directory, settings, resume, on_validation):
        if directory.name in ("trial-0", "trial-1"):
            raise BalrogError("the loss became NaN")
        if directory.name == "trial-2":
            on_validation(20, {"energy_score": float("nan")})
        trainer(shards, directory, settings, resume, on_validation)

    with pytest.raises(BalrogError, match="first 3 trials failed.*energy_score is nan at step 20"):
        _sweep(shards, tmp_path, 5, diverges)
    study = _sweep(shards, tmp_path, 5)
    assert _states(study) == ["PRUNED", "PRUNED", "PRUNED", "COMPLETE", "COMPLETE"]
    assert study.trials[0].user_attrs["error"] == "the loss became NaN"


def test_time_that_is_over_starts_no_trial(shards, tmp_path):
    assert not _sweep(shards, tmp_path, 3, timeout=0).trials


def test_study_of_other_settings_or_shards_is_refused(shards, tmp_path):
    _sweep(shards, tmp_path, 1)
    other = Settings.from_dict({**BASE.to_dict(), "depth": 5})
    with pytest.raises(BalrogError, match="other settings: depth was 3, now 5"):
        sweep(shards, "s", other, SPACE, tmp_path, trials=2, trainer=trainer)
    space = {"width": SPACE["width"]}
    with pytest.raises(BalrogError, match="other space: critic_learning_rate was .*, now None"):
        sweep(shards, "s", BASE, space, tmp_path, trials=2, trainer=trainer)
    more = write_toy_shards(tmp_path / "shards", 60, 10, 10, seed=2)
    with pytest.raises(BalrogError, match="other shards"):
        _sweep(more, tmp_path, 2)


def test_bad_places_are_named(shards, tmp_path):
    with pytest.raises(BalrogError, match="--storage must be the URL"):
        _sweep(shards, tmp_path, 1, storage="study.db")
    with pytest.raises(BalrogError, match="data_prep prepare"):
        _sweep(tmp_path, tmp_path, 1)
    (tmp_path / "s" / "config.yaml").write_text("width: 3")
    with pytest.raises(BalrogError, match="is a training run"):
        _sweep(shards, tmp_path, 1)
