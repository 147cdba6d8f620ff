"""The closing table of a training run: what was trained, how good it is, where it is."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balrog_keras.config import Settings
from balrog_keras.runs import Run

if TYPE_CHECKING:
    from balrog_keras.members import TrainedMember

__all__ = ["log_summary"]

logger = logging.getLogger(__name__)

_TITLES = {
    "selection_score": "selection score (decides)",
    "energy_score": "energy score",
    "pit_ks/mean_bin": "PIT KS, mean of all bins",
    "pit_ks/worst_bin": "PIT KS, worst bin",
}


def log_summary(
    members: Sequence[TrainedMember],
    rows: Mapping[str, int],
    settings: Settings,
    run: Run,
    bundle: Path,
    shards: Path,
) -> None:
    """Log the closing table: of one member its kept beside its last generator, of more the kept.

    Parameters
    ----------
    members : sequence of TrainedMember
        At least one, with the scores of its generators (see ``Validator.scores``).
    rows : mapping of str to int
        Rows of the ``train`` split, and of others.
    settings : Settings
        Of the run.
    run : Run
        Its directory.
    bundle, shards : path
        The exported emulator, and what it was trained on.
    """
    step_rows = settings.critic_steps * settings.batch_size
    epochs = settings.steps * step_rows / rows["train"]
    done = f"{settings.steps:,} steps, {epochs:.1f} epochs of {rows['train']:,} rows"
    if len(members) == 1:
        columns = {"kept": members[0].scores, "last": members[0].last}
    else:
        columns = {f"member {number}": member.scores for number, member in enumerate(members)}
        done = f"{len(members)} members, each {done}"
    lines = [f"done: {done}{_speed(members, step_rows)}", *_score_table(columns)]
    for text in [*lines, *_places(run, bundle, shards)]:
        logger.info("%s", text)


def _speed(members: Sequence[TrainedMember], step_rows: int) -> str:
    """Time and rate of the steps that were taken since training was started or resumed."""
    steps, seconds = (sum(getattr(m, name) for m in members) for name in ("steps", "seconds"))
    if not steps:
        return ""
    return f"; {steps:,} steps in {seconds:,.0f} s, {steps * step_rows / seconds:,.0f} galaxies/s"


def _score_table(columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line per score, one column per generator; the worst bins are one line each."""
    first = next(iter(columns.values()))
    names = [name for name in _TITLES if name in first]
    for quantity in ("spread_ratio/", "bias/"):
        names += [name for name in first if name.startswith(quantity)]
    texts = {
        _TITLES.get(name, name.replace("/", " ").replace("_ratio", " ratio")): [
            f"{scores[name]:.5f}" for scores in columns.values()
        ]
        for name in names
    }
    for quantity, right in (("spread_ratio", 1.0), ("bias", 0.0)):
        worst = [_worst(scores, quantity, right) for scores in columns.values()]
        if any(worst):
            texts[f"worst bin's {quantity.replace('_', ' ')}"] = worst
    steps = [f"step {scores['step']:,}" for scores in columns.values()]
    table = {"": list(columns), "validation split": steps, **texts}
    width = 2 + max(len(text) for texts in table.values() for text in texts)
    return [
        f"  {name:<38}" + "".join(f"{text:>{width}}" for text in texts)
        for name, texts in table.items()
    ]


def _worst(scores: Mapping[str, Any], quantity: str, right: float) -> str:
    """The bin's value furthest from `right`, and the condition that is binned."""
    prefix = f"worst_bin/{quantity}/"
    found = {name: value for name, value in scores.items() if name.startswith(prefix)}
    if not found:
        return ""
    name = max(found, key=lambda key: abs(found[key] - right))
    return f"{found[name]:.3f} {name.removeprefix(prefix)}"


def _places(run: Run, bundle: Path, shards: Path) -> list[str]:
    tensorboard = run.tensorboard if run.tensorboard.is_dir() else run.directory
    evaluation = bundle, "--data", shards, "--out", run.directory / "evaluation"
    return [
        f"  run (settings, log)   {run.directory}",
        f"  curves and figures    tensorboard --logdir {shlex.quote(str(tensorboard))}",
        f"  emulator              {bundle}",
        f"next: python evaluate.py {shlex.join(map(str, evaluation))}",
    ]
