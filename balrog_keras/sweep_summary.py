"""What a sweep has found: a line per trial, the best settings, a closing table."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from data_prep.errors import BalrogError
from data_prep.files import atomic_path

__all__ = ["check_failures", "log_trial", "save_best", "summary"]

logger = logging.getLogger(__name__)

_TABLE_COLUMNS = 6
# With fewer, importances are noise.
_IMPORTANCE_TRIALS = 10
# Trials that may fail before the sweep is given up, if none has a score.
_FAILURES = 3


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Completed trials, best first."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(trials, key=_score)


def _score(trial: FrozenTrial) -> float:
    return math.inf if trial.value is None else trial.value


def save_best(study: optuna.Study, directory: Path) -> None:
    """Write the best trial's settings to ``best.yaml``, for ``train.py --config``."""
    for best in _finished(study)[:1]:
        with atomic_path(directory / "best.yaml") as partial:
            origin = f"# trial {best.number} of {study.study_name}, score {best.value:.6g}\n"
            settings = yaml.safe_dump(best.user_attrs["settings"], sort_keys=False)
            partial.write_text(origin + settings, encoding="utf-8")


def check_failures(study: optuna.Study) -> None:
    """Stop a sweep that cannot work.

    Raises
    ------
    BalrogError
        If several trials failed before any had a score.
    """
    trials = study.get_trials(deepcopy=False)
    errors = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
    if len(errors) >= _FAILURES and not any(trial.intermediate_values for trial in trials):
        raise BalrogError(f"the first {len(errors)} trials failed, the last with: {errors[-1]}")


def log_trial(
    study: optuna.Study, number: int, done: int, trials: int, seconds_each: float
) -> None:
    """Log one line: how a trial ended, the best so far, the time left."""
    trial = study.get_trials(deepcopy=False)[number]
    value = "no score" if trial.value is None else f"score {trial.value:.5f}"
    reason = trial.user_attrs.get("error", "")
    best = "".join(f", best {t.value:.5f} (trial {t.number})" for t in _finished(study)[:1])
    logger.info(
        "sweep: trial %d %s, %s%s; %d of %d%s, %.1f min left",
        number, trial.state.name.lower(), value, f" ({reason})" if reason else "",
        done, trials, best, max(trials - done, 0) * seconds_each / 60,
    )  # fmt: skip


def summary(study: optuna.Study, directory: Path) -> str:
    """Closing table: the best trials, how much each setting matters, where everything is."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    lines = [
        f"{states.count(TrialState.COMPLETE)} trials completed, "
        f"{states.count(TrialState.PRUNED)} pruned, "
        f"{states.count(TrialState.RUNNING)} still running in other workers",
        *_table(study),
        *_importances(study),
        f"best settings               {directory / 'best.yaml'}",
        f"TensorBoard                 tensorboard --logdir {directory}",
    ]
    return "\n".join(lines)


def _table(study: optuna.Study) -> list[str]:
    """A column per trial, a row per score and setting."""
    best = _finished(study)[:_TABLE_COLUMNS]
    if not best:
        return ["no trial has completed yet"]
    rows = [
        ["trial", *(str(trial.number) for trial in best)],
        ["score", *(f"{trial.value:.5f}" for trial in best)],
        ["minutes", *(f"{trial.user_attrs['seconds'] / 60:.1f}" for trial in best)],
    ]
    for name in study.user_attrs["space"]:
        rows.append([name, *(_text(trial.params[name]) for trial in best)])
    return [f"{row[0]:<28}" + "".join(f"{text:>11}" for text in row[1:]) for row in rows]


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _importances(study: optuna.Study) -> list[str]:
    """Share of each setting in reaching the best scores (PED-ANOVA, arXiv:2304.10255)."""
    if len(_finished(study)) < _IMPORTANCE_TRIALS:
        return []
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return [f"{'importance':<28}" + ", ".join(f"{n} {share:.2f}" for n, share in shares.items())]
