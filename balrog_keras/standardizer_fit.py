"""Fit a standardizer: constants from the training rows, locations and scales by regression."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from balrog_keras.building import Seeds, averaging_adam
from balrog_keras.config import Settings
from balrog_keras.datasets import training_batches
from balrog_keras.networks import LocationScale
from balrog_keras.standardizer import Standardizer, student_t_loss

__all__ = ["fit_standardizer"]

logger = logging.getLogger(__name__)

_LEARNING_RATE = 2e-3
# Without decay the fit follows the noise of the rows, wherever it is stopped: 10,000 rows then do
# no better than 3,000 with it.
_DECAY_ROWS, _MOST_DECAY = 10_000, 3.0
_LARGEST_BATCH = 1024
# Differences are known to a hundredth of what the columns are: getting there takes longer.
_TIMES_FOR_DIFFERENCES = 2


def fit_standardizer(
    standardizer: Standardizer,
    train: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    settings: Settings,
) -> None:
    """Set the standardizer's constants and fit its networks of location and scale, in place.

    By Adam with decoupled weight decay in inverse proportion to the rows (Loshchilov & Hutter 2019,
    arXiv:1711.05101), along a cosine; the average of the last steps is kept.

    Parameters
    ----------
    standardizer : Standardizer
        To be fitted.
    train, validation : dict of arrays
        ``condition`` (N, C) and ``measured`` (N, M), physical units.
    settings : Settings
        ``location_scale_steps``, ``batch_size``, ``xla`` and ``seed`` are used.
    """
    standardizer.adapt(train["condition"], train["measured"])
    splits = {"train": train, "validation": validation}
    conditions = {
        name: np.asarray(standardizer.standardize_condition(split["condition"]))
        for name, split in splits.items()
    }
    residuals = {
        name: standardizer.residual(split["condition"], split["measured"])
        for name, split in splits.items()
    }
    steps = settings.location_scale_steps
    _regress(standardizer.location_scale_network, conditions, residuals, settings, steps)
    differences = standardizer.differences
    if differences is not None:
        residuals = {
            name: differences.residual(standardizer.transformed_measured(split["measured"]))
            for name, split in splits.items()
        }
        steps *= _TIMES_FOR_DIFFERENCES
        _regress(differences.network, conditions, residuals, settings, steps)


def _regress(
    network: LocationScale,
    conditions: dict[str, Any],
    residuals: dict[str, Any],
    settings: Settings,
    steps: int,
) -> None:
    """Fit a network's location and scale of the residuals of each split, in place."""
    started = time.monotonic()
    targets = {name: (conditions[name], np.asarray(residuals[name])) for name in conditions}
    rows = len(conditions["train"])
    batch_size = min(settings.batch_size, _LARGEST_BATCH, rows)
    batches = training_batches(targets["train"], batch_size, Seeds.of(settings.seed).regression)
    condition, residual = targets["validation"]
    # A copy is fitted, so that its optimizer is in no checkpoint and no export.
    copy = LocationScale.from_config(network.get_config())
    copy.build(((None, condition.shape[1]),))
    copy.compile(
        optimizer=averaging_adam(_LEARNING_RATE, steps, min(_MOST_DECAY, _DECAY_ROWS / rows)),
        loss=student_t_loss,
        jit_compile=settings.xla,
    )
    history = copy.fit(
        batches.map(lambda condition, residual: ((condition,), residual)),
        steps_per_epoch=steps,
        validation_data=((condition,), residual),
        validation_batch_size=len(condition),
        shuffle=False,
        verbose=0,
    ).history
    network.set_weights(copy.get_weights())
    logger.info(
        "%s fitted in %d steps, %.1f s: log-likelihood %.4f on training, %.4f on validation rows",
        network.name.replace("_", " "),
        steps,
        time.monotonic() - started,
        -history["loss"][-1],
        -history["val_loss"][-1],
    )
