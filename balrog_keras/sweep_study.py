"""The Optuna study behind a sweep: shared by its workers, resumable, repeatable."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from balrog_keras.config import Settings
from balrog_keras.search_space import Space
from data_prep.errors import BalrogError

__all__ = [
    "counted",
    "default_storage",
    "first_number",
    "last_number",
    "open_study",
    "quiet_optuna",
    "recover",
]

# A worker that has not answered for the grace period counts as killed.
HEARTBEAT_SECONDS = 30
GRACE_SECONDS = 180
_RETRIES = 3
_LOCK_SECONDS = 60.0
_OPEN_WAITS = (0.2, 0.5, 1.0)
# Trials that finish before any is pruned.
_UNPRUNED_TRIALS = 5


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's own reports for a while: the sweep logs its trials itself."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # A resumed trial reports validations again that were reported before it was killed.
            warnings.filterwarnings("ignore", message="The reported value is ignored")
            yield
    finally:
        optuna.logging.set_verbosity(level)


class _SeededPerTrial(optuna.samplers.BaseSampler):
    """Tree-structured Parzen estimator whose choices depend on seed, trial number and history.

    Workers that start together would draw the same values from one seed, and a resumed sweep
    others than an uninterrupted one.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sampler = optuna.samplers.TPESampler()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        entropy = np.random.SeedSequence([self._seed, trial.number])
        self._sampler = optuna.samplers.TPESampler(
            multivariate=True, constant_liar=True, seed=int(entropy.generate_state(1)[0])
        )
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self._sampler.sample_independent(study, trial, name, distribution)


def default_storage(directory: Path) -> str:
    """URL of the study file in the sweep's directory.

    It keeps SQLite's rollback journal: write-ahead logging needs memory shared between the
    workers and so damages files on the network file systems of batch clusters.
    """
    return f"sqlite:///{directory.resolve() / 'study.db'}"


def open_study(
    name: str, storage: str, settings: Settings, space: Space, manifest_sha256: str
) -> optuna.Study:
    """Open the study, or create it; any number of workers may do so at once.

    Parameters
    ----------
    name : str
        Of the study in its storage.
    storage : str
        SQLAlchemy's URL.
    settings, space, manifest_sha256
        What is swept; a study that exists must have been started with the same.

    Raises
    ------
    BalrogError
        If the storage cannot be opened or the study is one of another sweep.
    """
    study = optuna.create_study(
        storage=_open_storage(storage),
        study_name=name,
        direction="minimize",
        load_if_exists=True,
        sampler=_SeededPerTrial(settings.seed),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=_UNPRUNED_TRIALS,
            n_warmup_steps=max(1, settings.steps // settings.validation_interval // 4),
        ),
    )
    plan = {"settings": settings.to_dict(), "space": space, "manifest_sha256": manifest_sha256}
    saved = study.user_attrs
    for key, value in plan.items():
        if key not in saved:
            study.set_user_attr(key, value)
        elif saved[key] != value:
            raise BalrogError(
                f"study {name!r} in {storage} was started with "
                f"{_difference(key, saved[key], value)}; go on with the same, or start another "
                "sweep under another --name"
            )
    return study


def _open_storage(url: str) -> RDBStorage:
    """Open a storage; workers that start together may collide in creating its tables."""
    try:
        for seconds in _OPEN_WAITS:
            try:
                return _storage(url)
            except DBAPIError:
                time.sleep(seconds)
        return _storage(url)
    except (ImportError, SQLAlchemyError) as error:
        reason = str(error).splitlines()[0]
        raise BalrogError(
            "--storage must be the URL of a database, such as sqlite:////path/study.db; "
            f"{url} cannot be opened: {reason}"
        ) from None


def _storage(url: str) -> RDBStorage:
    return RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": _LOCK_SECONDS}} if "sqlite" in url else {},
        heartbeat_interval=HEARTBEAT_SECONDS,
        grace_period=GRACE_SECONDS,
        heartbeat_stale_trial_callback=_queue_again,
    )


def _difference(key: str, saved: Any, given: Any) -> str:
    if not isinstance(saved, dict):
        return "other shards (their manifest.json differs)"
    names = sorted(name for name in {*saved, *given} if saved.get(name) != given.get(name))
    return f"other {key}: " + ", ".join(
        f"{name} was {saved.get(name)!r}, now {given.get(name)!r}" for name in names
    )


def _queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    again = RetryHeartbeatStaleTrialCallback(max_retry=_RETRIES, inherit_intermediate_values=True)
    again(study, trial)


def _history(trial: FrozenTrial) -> list[int]:
    return list(trial.system_attrs.get("retry_history", []))


def first_number(trial: FrozenTrial) -> int:
    """Number under which a trial was first tried."""
    return next(iter(_history(trial)), trial.number)


def last_number(trial: FrozenTrial) -> int | None:
    """Number under which a trial was tried before this; None for the first time."""
    return next(reversed(_history(trial)), None)


def recover(study: optuna.Study, number: int) -> bool:
    """Queue trial `number`, which was cut short, for the next worker that is free.

    Returns
    -------
    bool
        False if another worker has taken it over already, because this one stood still.
    """
    trials = study.get_trials(deepcopy=False)
    if any(number in _history(trial) for trial in trials):
        return False
    if trials[number].state == TrialState.FAIL:
        _queue_again(study, trials[number])
    return True


def counted(study: optuna.Study) -> int:
    """Trials that are finished or under way; one that was cut short counts when tried again."""
    optuna.storages.fail_stale_trials(study)
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    return len(study.get_trials(deepcopy=False, states=states))
