"""What TensorBoard shows of a run: curves, histograms, figures, and the networks' graph."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.callbacks import Validate
from balrog_keras.config import Settings
from balrog_keras.monitor_graph import networks_graph
from balrog_keras.monitor_layout import write_layout
from balrog_keras.validation import Validation
from data_prep.errors import MissingExtraError

__all__ = ["Monitor"]

logger = logging.getLogger(__name__)

# Figures take at most this share of the time.
_FIGURE_SHARE = 0.02


class Monitor(keras.callbacks.Callback):
    """Write TensorBoard events at the end of each interval.

    Parameters
    ----------
    directory : path
        Where TensorBoard finds the events.
    validate : Validate
        Placed before this callback, so that its result is fresh.
    label : str
        Provenance shown in every figure.
    settings : Settings, optional
        Shown as text; also gives the rows of one step, without which no throughput is written.
    """

    def __init__(
        self, directory: Path, validate: Validate, label: str, *, settings: Settings | None = None
    ) -> None:
        super().__init__()
        self.writer = tf.summary.create_file_writer(str(directory))
        self.validate, self.label, self.settings = validate, label, settings
        self._figures, self._figures_due = True, 0.0
        self._interval = 0, 0.0

    @property
    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock; write what does not change: graph, arrangement of charts, settings."""
        self._interval = self._step, time.monotonic()
        with self.writer.as_default():
            tf.summary.graph(networks_graph(self.model))
            write_layout()
            if self.settings is not None:
                text = json.dumps(self.settings.to_dict(), indent=4)
                tf.summary.text("settings", f"```\n{text}\n```", step=0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write one point of every curve and histogram, and the figures where they are due."""
        if self.model.stop_training or self.validate.result is None:
            return
        step = self._step
        with self.writer.as_default():
            for name, value in {**self._training(logs or {}), **self._speed(step)}.items():
                tf.summary.scalar(name, value, step=step)
            for name, value in self.validate.scores.items():
                group = "" if name.startswith("worst_bin/") else "validation/"
                tf.summary.scalar(f"{group}{name}", value, step=step)
            self._write_histograms(self.validate.result, step)
            if self._figures and self._due(step):
                self._write_figures(self.validate.result, step)
        self.writer.flush()
        self._interval = step, time.monotonic()

    def _training(self, logs: dict[str, Any]) -> dict[str, float]:
        """The interval's means, and both learning rates."""
        optimizers = {"generator": self.model.optimizer, "critic": self.model.critic_optimizer}
        rates = {
            f"learning_rate/{name}": float(keras.ops.convert_to_numpy(optimizer.learning_rate))
            for name, optimizer in optimizers.items()
        }
        return {f"train/{name}": float(value) for name, value in logs.items()} | rates

    def _speed(self, step: int) -> dict[str, float]:
        """Rows seen by the critic per second, and the seconds that validating took."""
        if self.settings is None:
            return {}
        first, started = self._interval
        seconds = time.monotonic() - started - self.validate.seconds
        rows = (step - first) * self.settings.critic_steps * self.settings.batch_size
        return {
            "speed/galaxies_per_second": rows / max(seconds, 1e-9),
            "speed/validation_seconds": self.validate.seconds,
        }

    def _write_histograms(self, result: Validation, step: int) -> None:
        names = self.validate.validator.schema.measured_names
        for name, values in zip(names, result.pit.T, strict=True):
            tf.summary.histogram(f"pit/{name}", values, step=step, buckets=20)
        for network in (self.model.generator, self.model.critic):
            for variable in network.trainable_variables:
                tf.summary.histogram(f"weights/{variable.path}", variable.value, step=step)

    def _due(self, step: int) -> bool:
        """Whether figures are worth their time now; after the last step always."""
        last = self.settings is not None and step == self.settings.steps
        return last or time.monotonic() >= self._figures_due

    def _write_figures(self, result: Validation, step: int) -> None:
        try:
            from balrog_keras.monitor_figures import validation_figures

            started = time.monotonic()
            figures = validation_figures(self.validate.validator, result, self.label)
        except MissingExtraError as missing:
            logger.info("no figures in TensorBoard: %s", missing)
            self._figures = False
            return
        for name, image in figures.items():
            tf.summary.image(name, image[np.newaxis], step=step)
        now = time.monotonic()
        self._figures_due = now + (now - started) / _FIGURE_SHARE

    def on_train_end(self, logs: Any = None) -> None:
        """Make sure that everything is on disk."""
        self.writer.flush()
