"""Training of one member: standardize, fit the GAN, keep the best generator."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.building import Seeds, gan_of_schema
from balrog_keras.checkpoints import Checkpoints
from balrog_keras.config import Settings
from balrog_keras.distribution import is_chief, scope
from balrog_keras.fitting import fit_gan
from balrog_keras.generator_fit import fit_generator
from balrog_keras.hparams import write_hparams
from balrog_keras.members import TrainedMember
from balrog_keras.runs import Run
from balrog_keras.standardizer import Standardizer
from balrog_keras.standardizer_fit import fit_standardizer
from balrog_keras.streaming import StreamedRows
from balrog_keras.training_data import MemoryRows, open_training_rows, read_validation_rows
from balrog_keras.validation import Validator
from balrog_keras.wgan_gp import ConditionalWGANGP
from data_prep.manifest import Manifest
from data_prep.schema import Schema

__all__ = ["Rows", "build_standardizer", "train_member"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """What all members are trained and validated on.

    Parameters
    ----------
    training : MemoryRows or StreamedRows
        In memory, or read again and again.
    validation : dict of arrays
        ``condition`` (N, C) and ``measured`` (N, M), physical units.
    """

    training: MemoryRows | StreamedRows
    validation: dict[str, np.ndarray]

    @classmethod
    def of(cls, shards: Path, settings: Settings) -> Rows:
        """Read them from the shards.

        Raises
        ------
        BalrogError
            If there are too few or damaged ones, or more than fit in memory.
        """
        return cls(open_training_rows(shards, settings), read_validation_rows(shards, settings))

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows of each split."""
        return {"train": self.training.rows, "validation": len(self.validation["condition"])}


def train_member(
    rows: Rows,
    manifest: Manifest,
    run: Run,
    settings: Settings,
    start: Callable[[ConditionalWGANGP, Standardizer], None] | None = None,
    strategy: Any = None,
    on_validation: Callable[[int, dict[str, float]], None] | None = None,
) -> TrainedMember:
    """Train one member from its last checkpoint, or from the start if it has none.

    Parameters
    ----------
    rows : Rows
        Of the shards.
    manifest : Manifest
        Of the shards.
    run : Run
        The member's directory.
    settings : Settings
        The member's, with its own seed.
    start : callable, optional
        Sets the weights that fine-tuning starts with; without it they are random and the
        standardizer is fitted.
    strategy : tf.distribute.Strategy, optional
        Over which the steps are spread.
    on_validation : callable, optional
        Called with step and scores after every validation.

    Returns
    -------
    TrainedMember

    Raises
    ------
    BalrogError
        For a loss that became NaN or infinite, or a damaged checkpoint.
    Interrupted
        After SIGINT or SIGTERM; a checkpoint has been written.
    """
    schema = manifest.schema
    with scope(strategy):
        gan = gan_of_schema(settings, schema)
    standardizer = build_standardizer(settings, schema)
    checkpoints = Checkpoints(run.checkpoints, gan, standardizer)
    resumed = checkpoints.restore()
    if resumed:
        logger.info("resuming from step %s (%s)", f"{checkpoints.step:,}", checkpoints.latest)
    elif start is not None:
        start(gan, standardizer)
    else:
        _fit_standardizer(standardizer, rows, settings)
    validator = Validator(
        standardizer,
        schema,
        rows.validation["condition"],
        rows.validation["measured"],
        settings.validation_draws,
        settings.seed,
    )
    if not resumed:
        _start_generator(
            gan, standardizer, rows, settings, validator, checkpoints, start is not None
        )
    label, first, started = manifest.label, checkpoints.step, time.monotonic()
    fit_gan(
        gan, rows.training, standardizer, validator, checkpoints, run, settings, label, strategy,
        on_validation,
    )  # fmt: skip
    seconds = time.monotonic() - started
    scores = validator.scores(checkpoints.best_generator)
    if is_chief(strategy):
        write_hparams(run.tensorboard, settings, scores)
    return TrainedMember(
        checkpoints.best_generator,
        standardizer,
        gan.critic,
        settings.seed,
        scores={"step": int(checkpoints.best_step.numpy()), **scores},
        last={"step": checkpoints.step, **validator.scores(gan.ema_generator)},
        steps=checkpoints.step - first,
        seconds=seconds,
    )


def build_standardizer(settings: Settings, schema: Schema) -> Standardizer:
    """Standardizer of a schema, to be fitted; its seed is derived from the settings'."""
    seed = Seeds.of(settings.seed).regression
    return Standardizer.for_schema(schema, settings.generator_width, settings.generator_depth, seed)


def _fit_standardizer(standardizer: Standardizer, rows: Rows, settings: Settings) -> None:
    started = time.monotonic()
    fit_standardizer(standardizer, rows.training.sample(), rows.validation, settings)
    logger.info("location and scale fitted in %.1f s", time.monotonic() - started)


def _start_generator(
    gan: ConditionalWGANGP,
    standardizer: Standardizer,
    rows: Rows,
    settings: Settings,
    validator: Validator,
    checkpoints: Checkpoints,
    tuned: bool,
) -> None:
    """Fit the generator by maximum likelihood, and let what the critic starts with compete.

    An emulator to be tuned competes as it was too, and the critic starts with the better one.
    """
    before, best = gan.generator.get_weights(), float("inf")
    if tuned:
        best = _score(validator, gan, "of the emulator to be tuned")
        checkpoints.offer(best, gan)
    if settings.likelihood_steps:
        sample = rows.training.sample()
        fit_generator(gan.generator, standardizer, sample, rows.validation, settings)
        gan.ema_generator.set_weights(gan.generator.get_weights())
    elif tuned:
        return
    score = _score(validator, gan, "before the critic joins")
    if not tuned or score <= best:
        checkpoints.offer(score, gan)
        return
    logger.info("the critic starts with the emulator as it was")
    for network in (gan.generator, gan.ema_generator):
        network.set_weights(before)


def _score(validator: Validator, gan: ConditionalWGANGP, when: str) -> float:
    score = validator.scores(gan.ema_generator)["selection_score"]
    logger.info("score %.4f on the validation rows, %s", score, when)
    return score
