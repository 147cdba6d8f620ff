"""Fit a detection model: regression of the detections, then calibration on other parents' rows."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.building import cosine_adam
from balrog_keras.config import Settings
from balrog_keras.datasets import training_batches
from balrog_keras.detection import DetectionModel
from balrog_keras.detection_statistics import (
    CALIBRATION_BINS,
    Cells,
    brier_score,
    calibration_error,
    equal_mass_cells,
    log_loss,
)
from data_prep.manifest import Manifest
from data_prep.progress import Progress
from data_prep.schema import Schema
from data_prep.shards import read_split

__all__ = ["fit_calibration", "fit_detection"]

logger = logging.getLogger(__name__)

_LEARNING_RATE = 2e-3
# Longer, and the network learns the training parents by heart. The learning rate decays to the end
# of the fit and the last step is kept: the best of several validations is chosen by the noise of
# far fewer rows than were trained on, and gave counts after detection several sigma off.
_EPOCHS = 12
# Fewer rows in a step leave the processor waiting, more leave small data too few steps.
_MOST_ROWS, _LEAST_ROWS, _STEPS_PER_EPOCH = 2048, 256, 50
_VALIDATIONS = 20
# Standard errors by which calibration must raise the likelihood of parents it was not fitted to.
_EVIDENCE = 2.0

Split = dict[str, np.ndarray]


def fit_detection(
    shards: Path, schema: Schema, settings: Settings, seed: int, tensorboard: Path | None = None
) -> DetectionModel | None:
    """Fit P(detected | condition) to the detection splits of a directory of shards.

    Parameters
    ----------
    shards : path
        Directory made by ``python -m data_prep prepare``.
    schema : Schema
        Its conditions are the inputs.
    settings : Settings
        ``width``, ``depth``, ``detection_steps``, ``use_weights`` and ``xla`` are used.
    seed : int
        Seed of the initial weights and of the order of rows; the model is a function of it.
    tensorboard : path, optional
        Directory that gets the curves of the fit: log-loss of training and validation rows, and
        learning rate.

    Returns
    -------
    DetectionModel or None
        None, and a line in the log that says why, if there are no detection splits or all of
        their rows are of one kind.

    Raises
    ------
    BalrogError
        If the shards are damaged.
    """
    train, validation = (
        _read(shards, split) for split in ("detection-train", "detection-validation")
    )
    if train is None or validation is None:
        return None
    started = time.monotonic()
    model = DetectionModel.for_schema(schema, settings.width, settings.depth, seed)
    model.adapt(train["condition"])
    _fit_network(model, train, validation, settings, seed, tensorboard)
    log_odds = np.asarray(model.predict(validation["condition"], 65_536, verbose=0), np.float64)
    slope, intercept = fit_calibration(log_odds, validation)
    model.calibration_slope.assign(slope)
    model.calibration_intercept.assign(intercept)
    _log_scores(model, validation, time.monotonic() - started)
    return model


def _read(shards: Path, split: str) -> Split | None:
    """A detection split with both kinds of rows; otherwise None, and why in the log."""
    described = Manifest.load(shards).splits.get(split)
    if described is None or not described["rows"]:
        logger.info("no detection model: %s has no rows in %s", shards, split)
        return None
    arrays = read_split(shards, split)
    kinds = np.unique(arrays["detected"])
    if len(kinds) < 2:
        kind = "detected" if kinds[0] else "undetected"
        logger.info("no detection model: all rows in %s of %s are %s", split, shards, kind)
        return None
    return arrays


def _fit_network(
    model: DetectionModel,
    train: Split,
    validation: Split,
    settings: Settings,
    seed: int,
    tensorboard: Path | None,
) -> None:
    """Minimise the log-loss; validation rows are only looked at, for the log and the curves."""
    # A copy is fitted, so that its optimizer is in no checkpoint and no export.
    network = DetectionModel.from_config(model.get_config())
    network.set_weights(model.get_weights())
    rows = len(train["detected"])
    batch_size = min(rows, max(_LEAST_ROWS, min(_MOST_ROWS, rows // _STEPS_PER_EPOCH)))
    steps = min(settings.detection_steps, _EPOCHS * rows // batch_size)
    interval = -(-steps // _VALIDATIONS)
    epochs = -(-steps // interval)
    network.compile(
        optimizer=cosine_adam(_LEARNING_RATE, steps, beta_1=0.9),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=settings.xla,
    )
    batches = training_batches(
        (train["condition"], train["detected"].astype(np.float32)),
        batch_size,
        seed,
        weights=train["weight"] if settings.use_weights else None,
    )
    with Progress("detection", epochs * interval * batch_size, "injections") as progress:
        network.fit(
            batches,
            steps_per_epoch=interval,
            epochs=epochs,
            validation_data=_validation_rows(validation),
            validation_batch_size=len(validation["detected"]),
            shuffle=False,
            verbose=0,
            callbacks=[_Report(progress, interval * batch_size, tensorboard)],
        )
    model.set_weights(network.get_weights())


def _validation_rows(validation: Split) -> tuple[np.ndarray, ...]:
    rows = (validation["condition"], validation["detected"].astype(np.float32))
    return (*rows, validation["weight"]) if "weight" in validation else rows


class _Report(keras.callbacks.Callback):
    """Progress line and TensorBoard scalars."""

    def __init__(self, progress: Progress, interval_rows: int, tensorboard: Path | None) -> None:
        super().__init__()
        self.progress, self.interval_rows = progress, interval_rows
        self.writer = (
            tf.summary.create_noop_writer()
            if tensorboard is None
            else tf.summary.create_file_writer(str(tensorboard))
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras calls this after each interval."""
        losses, optimizer = logs or {}, self.model.optimizer
        self.progress.update(self.interval_rows, f"validation log-loss {losses['val_loss']:.4f}")
        step = int(optimizer.iterations.numpy())
        with self.writer.as_default():
            tf.summary.scalar("detection/log_loss/train", losses["loss"], step)
            tf.summary.scalar("detection/log_loss/validation", losses["val_loss"], step)
            tf.summary.scalar("detection/learning_rate", float(optimizer.learning_rate), step)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Make sure that everything is on disk."""
        self.writer.close()


def fit_calibration(log_odds: np.ndarray, rows: Split) -> tuple[float, float]:
    """Slope and intercept that calibrate log-odds (Platt 1999), if they are called for.

    A network fitted by the log-loss is nearly calibrated, and two numbers fitted to a few
    thousand rows of correlated injections can be worse than none. They are kept only if, fitted
    to one half of the parents, they raise the likelihood of the other half, and vice versa: in
    sum by more than two standard errors, which are taken from the scatter between parents.

    Parameters
    ----------
    log_odds : float64 array, shape (N,)
        Of the network.
    rows : dict of arrays
        ``detected`` and ``parent_id``, and ``weight`` if the survey has one.

    Returns
    -------
    slope, intercept : float
        1 and 0 if calibration is not called for.
    """
    sign = 2.0 * rows["detected"] - 1.0
    weight = np.asarray(rows.get("weight", np.ones(len(sign))), np.float64)
    parent = np.unique(rows["parent_id"], return_inverse=True)[1]
    half = parent % 2 == 0
    gain = _log_losses((1.0, 0.0), log_odds, sign, weight)
    for fitted, judged in ((half, ~half), (~half, half)):
        found = _platt(log_odds[fitted], sign[fitted], weight[fitted])
        gain[judged] -= _log_losses(found, log_odds[judged], sign[judged], weight[judged])
    by_parent = np.bincount(parent, gain)
    error = np.sqrt(len(by_parent)) * by_parent.std()
    if by_parent.sum() > _EVIDENCE * error:
        return _platt(log_odds, sign, weight)
    return 1.0, 0.0


def _platt(log_odds: np.ndarray, sign: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    from scipy.optimize import minimize

    total = max(float(weight.sum()), 1e-30)
    found = minimize(lambda x: _log_losses(x, log_odds, sign, weight).sum() / total, (1.0, 0.0))
    return float(found.x[0]), float(found.x[1])


def _log_losses(
    calibration: Any, log_odds: np.ndarray, sign: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Weighted log-loss of each row under a slope and an intercept: float64, (N,)."""
    slope, intercept = calibration
    losses: np.ndarray = weight * np.logaddexp(0.0, -sign * (slope * log_odds + intercept))
    return losses


def _log_scores(model: DetectionModel, rows: Split, seconds: float) -> None:
    probability = np.asarray(model.probability(rows["condition"]), np.float64)
    detected = rows["detected"][None].astype(np.float64)
    weight = np.asarray(rows.get("weight", np.ones(len(probability))), np.float64)[None]
    cells = Cells(equal_mass_cells(probability, CALIBRATION_BINS))
    logger.info(
        "detection fitted in %.1f s: on %s validation rows Brier score %.4f, log-loss %.4f, "
        "calibration error %.4f; calibration slope %.3f, intercept %.3f",
        seconds,
        f"{len(probability):,}",
        brier_score(probability, detected, weight)[0],
        log_loss(probability, detected, weight)[0],
        calibration_error(probability, cells, detected, weight)[0],
        float(model.calibration_slope.numpy()),
        float(model.calibration_intercept.numpy()),
    )
