"""Fit a standardizer: constants from the training rows, locations and scales by regression."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from balrog_keras.building import Seeds, cosine_adam
from balrog_keras.config import Settings
from balrog_keras.datasets import training_batches
from balrog_keras.networks import LocationScale
from balrog_keras.standardizer import Standardizer, student_t_loss

__all__ = ["fit_standardizer"]

# Steps between two validations of the regression, and how many without a better one end it.
_REGRESSION_INTERVAL, _REGRESSION_PATIENCE = 50, 8
_LARGEST_BATCH = 1024
# Differences are known to a hundredth of what the columns are: getting there takes longer.
_TIMES_FOR_DIFFERENCES = 4


def fit_standardizer(
    standardizer: Standardizer,
    train: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    settings: Settings,
) -> None:
    """Set the standardizer's constants and fit its networks of location and scale, in place.

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
    targets = {name: (conditions[name], np.asarray(residuals[name])) for name in conditions}
    batch_size = min(settings.batch_size, _LARGEST_BATCH, len(conditions["train"]))
    batches = training_batches(targets["train"], batch_size, Seeds.of(settings.seed).regression)
    condition, residual = targets["validation"]
    # A copy is fitted, so that its optimizer is in no checkpoint and no export.
    copy = LocationScale.from_config(network.get_config())
    copy.build(((None, condition.shape[1]),))
    copy.compile(
        optimizer=cosine_adam(2e-3, steps, beta_1=0.9),
        loss=student_t_loss,
        jit_compile=settings.xla,
    )
    copy.fit(
        batches.map(lambda condition, residual: ((condition,), residual)),
        steps_per_epoch=_REGRESSION_INTERVAL,
        epochs=-(-steps // _REGRESSION_INTERVAL),
        validation_data=((condition,), residual),
        validation_batch_size=len(condition),
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(
                "val_loss", patience=_REGRESSION_PATIENCE, restore_best_weights=True
            )
        ],
    )
    network.set_weights(copy.get_weights())
