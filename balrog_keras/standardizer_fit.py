"""Fit a standardizer: constants from the training rows, location and scale by regression."""

from __future__ import annotations

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


def fit_standardizer(
    standardizer: Standardizer,
    train: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    settings: Settings,
) -> None:
    """Set the standardizer's constants and fit its location/scale network, in place.

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
    targets = {
        name: (
            np.asarray(standardizer.standardize_condition(split["condition"])),
            np.asarray(standardizer.residual(split["condition"], split["measured"])),
        )
        for name, split in (("train", train), ("validation", validation))
    }
    batch_size = min(settings.batch_size, _LARGEST_BATCH, len(train["condition"]))
    batches = training_batches(targets["train"], batch_size, Seeds.of(settings.seed).regression)
    condition, residual = targets["validation"]
    # A copy is fitted, so that its optimizer is in no checkpoint and no export.
    network = LocationScale.from_config(standardizer.location_scale_network.get_config())
    network.build(((None, condition.shape[1]),))
    network.compile(
        optimizer=cosine_adam(2e-3, settings.location_scale_steps, beta_1=0.9),
        loss=student_t_loss,
        jit_compile=settings.xla,
    )
    network.fit(
        batches.map(lambda condition, residual: ((condition,), residual)),
        steps_per_epoch=_REGRESSION_INTERVAL,
        epochs=-(-settings.location_scale_steps // _REGRESSION_INTERVAL),
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
    standardizer.location_scale_network.set_weights(network.get_weights())
