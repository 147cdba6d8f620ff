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
from data_prep.manifest import Manifest

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
        ``galaxies`` (rows that visited the critic), ``steps``, ``start_steps`` (of the start by
        maximum likelihood), ``settings``, the clock's report.
    """
    from balrog_keras.generator_fit import start_of
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
    _, epochs, steps = start_of(settings, Manifest.load(shards).splits["train"]["rows"])
    return {
        "galaxies": galaxies,
        "steps": settings.steps,
        "start_steps": epochs * steps,
        # Defaults change between versions; the record says which were used.
        "settings": settings.to_dict(),
        **report,
    }


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
    beforehand, from three short runs with all validations: 20 steps after the whole start by
    maximum likelihood and after hardly any, and many more steps after hardly any. Their cost is
    kept for the next spec with networks and batches of the same size and is not counted. A budget
    of which less than a fifth would be left for the critic has a shorter start.

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
    BalrogError
        If more steps took less time.
    """
    cost = {name: value for name, value in _settings(spec).to_dict().items() if name not in _FREE}
    identity = json.dumps([cost, spec.cores, spec.clock, spec.rows], sort_keys=True)
    path = cache / f"costs-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.json"
    if not path.is_file():
        write_json(path, _pilot(spec, run))
    known = json.loads(path.read_text())
    seconds, per_step = known["seconds"], known["seconds_per_start_step"]
    shorter: dict[str, int] = {}
    excess = seconds - (1 - _CRITIC_SHARE) * spec.seconds
    if excess > 0 and per_step > 0 and known["start_steps"] > _SHORT_START:
        steps = max(_SHORT_START, known["start_steps"] - math.ceil(excess / per_step))
        shorter = {"likelihood_steps": steps}
        seconds -= per_step * (known["start_steps"] - steps)
    steps = known["steps"] + int((spec.seconds - seconds) / known["seconds_per_step"])
    if steps < 1:
        raise BudgetTooShortError(
            f"a budget of {spec.seconds:g} s does not hold the {seconds:.0f} s that "
            "compilation, location/scale fit, validations and export take: raise --seconds"
        )
    return spec.but(settings={**spec.settings, **shorter, "steps": steps})


def _pilot(spec: Spec, run: Callable[[Spec], dict[str, Any]]) -> dict[str, Any]:
    settings = _settings(spec)
    rows = _PILOT_ROWS * spec.cores
    many = VALIDATIONS * max(2, rows // (VALIDATIONS * settings.critic_steps * settings.batch_size))
    hardly = {"likelihood_steps": min(_SHORT_START, settings.likelihood_steps)}
    whole, short, long = (
        run(spec.but(label=f"costs-{spec.label}", settings={**spec.settings, **more}))
        for more in (
            {"steps": VALIDATIONS},
            {"steps": VALIDATIONS, **hardly},
            {"steps": many, **hardly},
        )
    )
    # The start costs too much, beside a step, to be told from it by a difference of two starts.
    per_step = (long["seconds"] - short["seconds"]) / (many - VALIDATIONS)
    if per_step <= 0:
        raise BalrogError(
            "expected more steps to take longer; the machine was busy meanwhile: try again, or "
            "give --clock cpu"
        )
    fewer = max(1, whole["start_steps"] - short["start_steps"])
    per_start_step = max(0.0, whole["seconds"] - short["seconds"]) / fewer
    logger.info(
        "%.1f s, of it %.4f s for each of %d steps of the start; %.4f s a step of the critic",
        whole["seconds"], per_start_step, whole["start_steps"], per_step,
    )  # fmt: skip
    return {
        "steps": VALIDATIONS,
        "seconds": whole["seconds"],
        "seconds_per_step": per_step,
        "start_steps": whole["start_steps"],
        "seconds_per_start_step": per_start_step,
    }
