"""What happens around training steps: validate, keep the best, checkpoint, report, stop."""

from __future__ import annotations

import logging
import signal
import time
from types import FrameType
from typing import Any

import keras

from balrog_keras.checkpoints import Checkpoints
from balrog_keras.validation import Validation, Validator
from data_prep.errors import BalrogError
from data_prep.progress import Progress

__all__ = ["ProgressLine", "StopOnNonFinite", "StopOnSignal", "Validate"]

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
    """Score the averaged generator at the end of each interval, keep the best, checkpoint.

    Parameters
    ----------
    validator : Validator
        Holds the validation rows.
    checkpoints : Checkpoints
        Are offered each selection score.

    Attributes
    ----------
    result : Validation or None
        Of the last validation.
    scores : dict of str to float
        Its scores, and the raw generator's ``raw/energy_score``.
    seconds : float
        What it took, the checkpoint included.
    """

    def __init__(self, validator: Validator, checkpoints: Checkpoints) -> None:
        super().__init__()
        self.validator, self.checkpoints = validator, checkpoints
        self.result: Validation | None = None
        self.scores: dict[str, float] = {}
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score, compare with the best, write a checkpoint."""
        if self.model.stop_training:
            return
        started = time.monotonic()
        self.result = self.validator.validate(self.model.ema_generator)
        raw = self.validator.energy_score(self.model.generator)
        self.scores = {**self.result.scores, "raw/energy_score": raw}
        self.checkpoints.offer(self.scores["selection_score"], self.model)
        self.checkpoints.save()
        self.seconds = time.monotonic() - started


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
    """Show galaxies per second, ETA, epoch, selection score and the best so far."""

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
        if self.validate.scores and not self.model.stop_training:
            step = int(self.model.optimizer.iterations.numpy())
            logger.info(
                "step %s: %s; energy score %.4f, critic gap %.4f, penalty %.4f",
                f"{step:,}", self._note(), self.validate.scores["energy_score"],
                logs["critic_gap"], logs["gradient_penalty"],
            )  # fmt: skip

    def _note(self) -> str:
        epoch = f"epoch {self.progress.done / self.rows:.1f}"
        if not self.validate.scores:
            return epoch
        score, best = self.validate.scores["selection_score"], self.checkpoints.best_score
        return (
            f"{epoch}, score {score:.4f}, best {float(best.numpy()):.4f}, "
            f"kept step {int(self.checkpoints.best_step.numpy()):,}"
        )
