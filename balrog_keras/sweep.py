"""Search for the best settings: an Optuna study whose trials are training runs."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from balrog_keras.config import Settings
from balrog_keras.hparams import describe_hparams
from balrog_keras.search_space import DEFAULT_SPACE, Space, check_space
from data_prep.errors import BalrogError, require
from data_prep.files import sha256_of
from data_prep.manifest import MANIFEST_NAME, Manifest

if TYPE_CHECKING:
    import optuna

    from balrog_keras.sweep_trial import OnValidation, Trainer, TrialRun

__all__ = ["sweep"]

logger = logging.getLogger(__name__)

_SCORES = {"selection_score": "selection score", "energy_score": "energy score"}


def sweep(
    shards: Path,
    name: str,
    settings: Settings,
    space: Space = DEFAULT_SPACE,
    runs: Path = Path("runs"),
    *,
    trials: int = 50,
    timeout: float | None = None,
    storage: str | None = None,
    trainer: Trainer | None = None,
) -> optuna.Study:
    """Run trials until the study has enough; other workers may do the same at the same time.

    A trial is a training run in ``runs/NAME/trial-K``. One that is worse than the median of the
    others at the same stage is pruned, and so is one whose training fails. The best settings so
    far are in ``runs/NAME/best.yaml``.

    Parameters
    ----------
    shards : path
        Directory made by ``python -m data_prep prepare``.
    name : str
        Of the study; the sweep is kept in ``runs/NAME``.
    settings : Settings
        Of everything that is not varied.
    space : dict
        What is varied: ``{setting: {"low", "high", "log"} or {"choices"}}``.
    runs : path
        Where runs are kept.
    trials : int
        Trials of the study in all, those of earlier runs and of other workers included.
    timeout : float, optional
        No trial is started after so many seconds.
    storage : str, optional
        URL of the study's database; the file ``runs/NAME/study.db`` if not given.
    trainer : callable, optional
        Trains one trial, ``trainer(shards, directory, settings, resume, on_validation)``; the
        project's own training if not given.

    Returns
    -------
    optuna.Study
        As this worker leaves it.

    Raises
    ------
    BalrogError
        For bad shards, a bad search space, a study of other settings, or if every trial fails.
    Interrupted
        After SIGINT or SIGTERM; the trial under way is continued by the next worker.
    """
    require("optuna", "sweep")
    from balrog_keras.sweep_study import default_storage, open_study, quiet_optuna
    from balrog_keras.sweep_summary import save_best
    from balrog_keras.sweep_trial import TrialRun

    Manifest.load(shards)
    space = check_space(space, settings)
    directory = Path(runs) / name
    if (directory / "config.yaml").exists():
        raise BalrogError(f"{directory} is a training run; give the sweep another --name")
    directory.mkdir(parents=True, exist_ok=True)
    with quiet_optuna():
        manifest_sha256 = sha256_of(Path(shards) / MANIFEST_NAME)
        url = storage or default_storage(directory)
        study = open_study(name, url, settings, space, manifest_sha256)
        if not list(directory.glob("events*")):
            describe_hparams(directory, space, _SCORES)
        run = TrialRun(Path(shards), directory, settings, space, trainer or _train)
        _run_trials(study, run, trials, timeout)
        save_best(study, directory)
    return study


def _train(
    shards: Path, directory: Path, settings: Settings, resume: bool, on_validation: OnValidation
) -> None:
    """Train one trial as train.py does; its emulator is kept in ``saved_models`` beside it."""
    import keras

    from balrog_keras.training import train

    keras.backend.clear_session()
    train(
        shards,
        directory.name,
        settings,
        runs=directory.parent,
        saved_models=directory.parent / "saved_models",
        resume=resume,
        overwrite=not resume,
        detection=False,
        on_validation=on_validation,
    )


def _run_trials(study: optuna.Study, run: TrialRun, trials: int, timeout: float | None) -> None:
    from balrog_keras.sweep_study import counted
    from balrog_keras.sweep_summary import check_failures, log_trial, save_best

    started = time.monotonic()
    before = done = counted(study)
    while done < trials:
        elapsed = time.monotonic() - started
        if timeout is not None and elapsed >= timeout:
            logger.info("sweep: %.0f s have passed; no further trial is started", elapsed)
            break
        _run_trial(study, run)
        done = counted(study)
        save_best(study, run.directory)
        seconds_each = (time.monotonic() - started) / max(done - before, 1)
        log_trial(study, run.number, done, trials, seconds_each)
        check_failures(study)


def _run_trial(study: optuna.Study, run: TrialRun) -> None:
    from balrog_keras.sweep_study import recover

    run.number = -1
    try:
        study.optimize(run, n_trials=1)
    except BaseException as error:
        # Whatever cut the trial short (a signal, a full disk), it is not lost.
        if run.number < 0 or recover(study, run.number):
            raise
        # Optuna refuses, by ValueError, the result of a trial that another worker has now.
        if not isinstance(error, ValueError):
            raise
        logger.warning("sweep: trial %d was taken over by another worker", run.number)
