"""The emulator of this project, trained by the function behind train.py."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fidelity_parts.spec import BudgetTooShortError, Clock, Spec

from balrog_keras.config import Settings
from data_prep.errors import BalrogError
from data_prep.files import write_json

__all__ = ["load", "planned", "train"]

logger = logging.getLogger(__name__)

VALIDATIONS = 20
# Rows that visit the critic in the longer of the two pilot runs, per core.
_PILOT_ROWS = 900_000
# The critic's part of a budget that is too short for the whole start by maximum likelihood, and
# the shortest start.
_CRITIC_SHARE, _SHORT_START = 0.2, 100
# They change what is learned, not what a step costs.
_FREE = ("seed", "steps", "validation_interval", "critic_learning_rate", "generator_learning_rate",
         "ema_decay")  # fmt: skip


def train(spec: Spec, shards: Path, directory: Path) -> dict[str, Any]:
    """Train and export; the settings of the spec say how many steps.

    Returns
    -------
    dict
        ``galaxies`` (rows that visited the critic), ``steps``, ``settings``, the clock's report.
    """
    from balrog_keras.training import train as train_emulator

    settings = _settings(spec)
    clock = Clock(spec.clock, spec.cores)
    train_emulator(
        shards,
        "emulator",
        settings,
        runs=directory / "runs",
        saved_models=directory / "saved_models",
        overwrite=True,
        detection=False,
    )
    galaxies = settings.steps * settings.critic_steps * settings.batch_size
    report = clock.report()
    # Defaults change between versions; the record says which were used.
    return {"galaxies": galaxies, "steps": settings.steps, "settings": settings.to_dict(), **report}


def load(directory: Path) -> Any:
    """The exported emulator."""
    from balrog_keras.emulator import Emulator

    return Emulator.load(directory / "saved_models" / "emulator")


def _settings(spec: Spec) -> Settings:
    chosen = {**spec.settings, "seed": spec.seed}
    steps = chosen.get("steps", Settings.steps)
    return Settings.from_dict({"validation_interval": max(1, steps // VALIDATIONS)} | chosen)


def planned(spec: Spec, run: Callable[[Spec], dict[str, Any]], cache: Path) -> Spec:
    """The spec with as many steps as fit its budget.

    The cosine of the learning rate must end with the budget, so that the number of steps is fixed
    beforehand, from two short runs: 20 steps with all validations, and many more steps. Their
    cost is kept for the next spec with networks and batches of the same size and is not counted.
    A budget of which less than a fifth would be left for the critic has a shorter start by maximum
    likelihood, whose cost a third short run tells.

    Parameters
    ----------
    spec : Spec
        Without steps.
    run : callable
        Trains a spec in a process of its own and gives its record.
    cache : path
        Directory of the kept costs.

    Raises
    ------
    BudgetTooShortError
        If the budget does not hold a single step.
    """
    cost = {name: value for name, value in _settings(spec).to_dict().items() if name not in _FREE}
    identity = json.dumps([cost, spec.cores, spec.clock, spec.rows], sort_keys=True)
    path = cache / f"pilot-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.json"
    if not path.is_file():
        write_json(path, _pilot(spec, run))
    known = json.loads(path.read_text())
    seconds: float = known["seconds"]
    shorter: dict[str, int] = {}
    most = (1 - _CRITIC_SHARE) * spec.seconds
    if seconds > most and _settings(spec).likelihood_steps > _SHORT_START:
        if "short_start_seconds" not in known:
            known["short_start_seconds"] = _short_start(spec, run)
            write_json(path, known)
        shorter, seconds = _shortened(_settings(spec).likelihood_steps, known, most)
    steps = known["steps"] + int((spec.seconds - seconds) / known["seconds_per_step"])
    if steps < 1:
        raise BudgetTooShortError(
            f"a budget of {spec.seconds:g} s does not hold the {seconds:.0f} s that "
            "compilation, location/scale fit, validations and export take: raise --seconds"
        )
    return spec.but(settings={**spec.settings, **shorter, "steps": steps})


def _shortened(
    likelihood_steps: int, known: dict[str, Any], most: float
) -> tuple[dict[str, int], float]:
    """A start that takes, with all that is fixed, at most `most` seconds; and those seconds."""
    least, whole = known["short_start_seconds"], known["seconds"]
    one = (whole - least) / (likelihood_steps - _SHORT_START)
    if one <= 0:
        return {}, whole
    fewer = max(_SHORT_START, likelihood_steps - math.ceil((whole - most) / one))
    return {"likelihood_steps": fewer}, whole - (likelihood_steps - fewer) * one


def _short_start(spec: Spec, run: Callable[[Spec], dict[str, Any]]) -> float:
    """Seconds of the short pilot run with the shortest start."""
    settings = {**spec.settings, "steps": VALIDATIONS, "likelihood_steps": _SHORT_START}
    seconds: float = run(spec.but(label=f"pilot-{spec.label}", settings=settings))["seconds"]
    return seconds


def _pilot(spec: Spec, run: Callable[[Spec], dict[str, Any]]) -> dict[str, Any]:
    settings = _settings(spec)
    rows = _PILOT_ROWS * spec.cores
    many = VALIDATIONS * max(2, rows // (VALIDATIONS * settings.critic_steps * settings.batch_size))
    short, long = (
        run(spec.but(label=f"pilot-{spec.label}", settings={**spec.settings, "steps": steps}))
        for steps in (VALIDATIONS, many)
    )
    per_step = (long["seconds"] - short["seconds"]) / (many - VALIDATIONS)
    if per_step <= 0:
        raise BalrogError(
            "expected more steps to take longer; the machine was busy meanwhile: try again, or "
            "give --clock cpu"
        )
    logger.info("%.1f s + %.4f s a step", short["seconds"], per_step)
    return {"steps": VALIDATIONS, "seconds": short["seconds"], "seconds_per_step": per_step}
