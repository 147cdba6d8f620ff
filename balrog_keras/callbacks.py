"""What happens around training steps: validate, keep the best, checkpoint, monitor, stop."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.checkpoints import Checkpoints
from balrog_keras.validation import Validator
from data_prep.errors import BalrogError, MissingExtraError
from data_prep.progress import Progress

__all__ = ["Monitor", "ProgressLine", "StopOnNonFinite", "StopOnSignal", "Validate"]

logger = logging.getLogger(__name__)

# Reading a variable waits for the step to finish, so not after every one.
_NONFINITE_CHECK_STEPS = 20


class StopOnNonFinite(keras.callbacks.Callback):
    """Raise BalrogError as soon as a loss is seen not to be finite."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__()
        self.checkpoints = checkpoints

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look every few steps; the model has noted the exact step."""
        if batch % _NONFINITE_CHECK_STEPS == 0:
            self.check()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look before anything is validated or saved."""
        self.check()

    def check(self) -> None:
        """Compare the model's record of non-finite losses."""
        critic, generator = (int(step) for step in self.model.first_nonfinite.numpy())
        bad = [(s, n) for s, n in ((critic, "critic"), (generator, "generator")) if s >= 0]
        if bad:
            step, name = min(bad)
            good = self.checkpoints.latest
            keep = (
                f"the last good checkpoint is {good}" if good else "no checkpoint was written yet"
            )
            raise BalrogError(
                f"the {name}'s loss became NaN or infinite at step {step:,}; {keep}. "
                "Lower the learning rates, raise gradient_penalty_weight, or check the data"
            )


class Validate(keras.callbacks.Callback):
    """Score the averaged generator at the end of each interval, keep the best, checkpoint."""

    def __init__(self, validator: Validator, checkpoints: Checkpoints) -> None:
        super().__init__()
        self.validator, self.checkpoints = validator, checkpoints
        self.scores: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score, compare with the best, write a checkpoint."""
        if self.model.stop_training:
            return
        self.scores = self.validator.scores(self.model.ema_generator)
        raw = self.validator.scores(self.model.generator)
        self.scores["raw/energy_score"] = raw["energy_score"]
        self.checkpoints.offer(self.scores["energy_score"], self.model)
        self.checkpoints.save()


class Monitor(keras.callbacks.Callback):
    """Write TensorBoard scalars and figures at the end of each interval.

    Parameters
    ----------
    directory : path
        Where TensorBoard finds the events.
    validate : Validate
        Placed before this callback, so that its scores are fresh.
    label : str
        Provenance shown in every figure.
    """

    def __init__(self, directory: Path, validate: Validate, label: str) -> None:
        super().__init__()
        self.writer = tf.summary.create_file_writer(str(directory))
        self.validate, self.label = validate, label
        self._figures = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write one point of every curve, and the colour figures."""
        if self.model.stop_training:
            return
        step = int(self.model.optimizer.iterations.numpy())
        with self.writer.as_default():
            for name, value in (logs or {}).items():
                tf.summary.scalar(f"train/{name}", value, step=step)
            for name, optimizer in (
                ("generator", self.model.optimizer),
                ("critic", self.model.critic_optimizer),
            ):
                rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
                tf.summary.scalar(f"learning_rate/{name}", rate, step=step)
            for name, value in self.validate.scores.items():
                tf.summary.scalar(f"validation/{name}", value, step=step)
            if self._figures:
                self._write_figures(step)
        self.writer.flush()

    def _write_figures(self, step: int) -> None:
        try:
            from balrog_keras.monitor_figures import validation_figures

            figures = validation_figures(
                self.validate.validator, self.model.ema_generator, self.label
            )
        except MissingExtraError as missing:
            logger.info("no figures in TensorBoard: %s", missing)
            self._figures = False
            return
        for name, image in figures.items():
            tf.summary.image(name, image[np.newaxis], step=step)

    def on_train_end(self, logs: Any = None) -> None:
        """Make sure that everything is on disk."""
        self.writer.flush()


class StopOnSignal(keras.callbacks.Callback):
    """On SIGINT or SIGTERM finish the step and stop; a second signal acts at once.

    Attributes
    ----------
    received : int
        Number of the signal that stopped training; 0 if none did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received = 0
        self._previous: dict[int, Any] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        """Take over both signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)

    def on_train_end(self, logs: Any = None) -> None:
        """Give the signals back."""
        self.restore()

    def restore(self) -> None:
        """Put the handlers that were there before back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self.restore()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell Keras to stop after this step."""
        if self.received:
            self.model.stop_training = True


class ProgressLine(keras.callbacks.Callback):
    """Show galaxies per second, ETA, epoch, validation score and the best so far."""

    def __init__(
        self,
        progress: Progress,
        checkpoints: Checkpoints,
        validate: Validate,
        rows: int,
        step_rows: int,
    ) -> None:
        super().__init__()
        self.progress, self.checkpoints, self.validate = progress, checkpoints, validate
        self.rows, self.step_rows = rows, step_rows

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the rows that the critic has just seen."""
        self.progress.update(self.step_rows, self._note())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log one line per validation, terminal or not."""
        if not self.model.stop_training:
            step = int(self.model.optimizer.iterations.numpy())
            logger.info(
                "step %s: %s, critic gap %.4f, penalty %.4f",
                f"{step:,}", self._note(), logs["critic_gap"], logs["gradient_penalty"],
            )  # fmt: skip

    def _note(self) -> str:
        epoch = f"epoch {self.progress.done / self.rows:.1f}"
        score = self.validate.scores.get("energy_score")
        if score is None:
            return epoch
        best = float(self.checkpoints.best_score.numpy())
        return f"{epoch}, validation energy score {score:.5f}, best {best:.5f}"
