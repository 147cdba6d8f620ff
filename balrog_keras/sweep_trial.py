"""One trial of a sweep: choose settings, train, report every validation, clean up."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from balrog_keras.config import Settings
from balrog_keras.hparams import write_hparams
from balrog_keras.runs import Run
from balrog_keras.search_space import Space, suggest, trial_settings
from balrog_keras.sweep_study import first_number, last_number
from data_prep.errors import BalrogError

__all__ = ["OnValidation", "Trainer", "TrialRun", "trial_directory"]

OnValidation = Callable[[int, dict[str, float]], None]
Trainer = Callable[[Path, Path, Settings, bool, OnValidation], None]


def trial_directory(directory: Path, number: int) -> Path:
    """Where a sweep keeps the training run of trial `number`."""
    return directory / f"trial-{number}"


class TrialRun:
    """Callable that Optuna hands each trial to.

    Parameters
    ----------
    shards, directory : path
        The data, and the sweep's own directory.
    settings : Settings
        Of everything that is not varied.
    space : dict
        What is varied.
    trainer : callable
        ``trainer(shards, directory, settings, resume, on_validation)`` trains one run.

    Attributes
    ----------
    number : int
        Of the latest trial; -1 before a trial has begun.
    """

    def __init__(
        self, shards: Path, directory: Path, settings: Settings, space: Space, trainer: Trainer
    ) -> None:
        self.shards, self.directory, self.settings = shards, directory, settings
        self.space, self.trainer = space, trainer
        self.number = -1

    def __call__(self, trial: optuna.Trial) -> float:
        """Train with the trial's settings.

        Returns
        -------
        float
            The best validation score.

        Raises
        ------
        optuna.TrialPruned
            If the trial is worse than the others, or its training fails.
        """
        self.number = trial.number
        frozen = _frozen(trial)
        chosen = suggest(trial, self.space)
        settings = trial_settings(self.settings, chosen, first_number(frozen))
        trial.set_user_attr("settings", settings.to_dict())
        run = Run(trial_directory(self.directory, trial.number))
        self._take_over(frozen, run)
        report, started = _Report(trial, settings), time.monotonic()
        pruned: optuna.TrialPruned | None = None
        try:
            resume = run.config.is_file()
            self.trainer(self.shards, run.directory, settings, resume, report)
        except optuna.TrialPruned as end:
            pruned = end
        except BalrogError as error:
            trial.set_user_attr("error", str(error))
            pruned = optuna.TrialPruned(str(error))
        trial.set_user_attr("seconds", time.monotonic() - started)
        shutil.rmtree(run.checkpoints, ignore_errors=True)
        if pruned:
            # Training that ends as planned has written its own.
            if report.best:
                write_hparams(run.tensorboard, settings, report.best)
            raise pruned
        return min(_frozen(trial).intermediate_values.values())

    def _take_over(self, trial: FrozenTrial, run: Run) -> None:
        """Move the run of a trial that was cut short here.

        A worker that only stood still, and is not dead, can then not write into it.
        """
        last = last_number(trial)
        if last is not None and trial_directory(self.directory, last).exists():
            trial_directory(self.directory, last).rename(run.directory)


class _Report:
    """Report each validation to the study; end the training of a trial that is pruned."""

    def __init__(self, trial: optuna.Trial, settings: Settings) -> None:
        self.trial, self.interval = trial, settings.validation_interval
        self.best: dict[str, float] = {}

    def __call__(self, step: int, scores: dict[str, float]) -> None:
        name = "selection_score" if "selection_score" in scores else "energy_score"
        score = scores[name]
        if not math.isfinite(score):
            raise BalrogError(f"validation {name} is {score} at step {step:,}")
        if not self.best or score < self.best[name]:
            self.best = scores
        # Trials of other batch sizes have other steps, but as many validations.
        self.trial.report(score, math.ceil(step / self.interval))
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"worse than the median at step {step:,}")


def _frozen(trial: optuna.Trial) -> FrozenTrial:
    return trial.study.get_trials(deepcopy=False)[trial.number]
