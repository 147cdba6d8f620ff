"""The training loop: Keras' fit from the current step to the last, with all callbacks."""

from __future__ import annotations

import numpy as np

from balrog_keras.building import Seeds
from balrog_keras.callbacks import Monitor, ProgressLine, StopOnNonFinite, StopOnSignal, Validate
from balrog_keras.checkpoints import Checkpoints
from balrog_keras.config import Settings
from balrog_keras.datasets import training_batches
from balrog_keras.runs import Run
from balrog_keras.validation import Validator
from balrog_keras.wgan_gp import ConditionalWGANGP
from data_prep.progress import Progress

__all__ = ["Interrupted", "fit_gan"]


class Interrupted(Exception):
    """Training was stopped by a signal, after a checkpoint.

    Attributes
    ----------
    signal_number : int
        The signal.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def fit_gan(
    gan: ConditionalWGANGP,
    standardized: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray | None,
    validator: Validator,
    checkpoints: Checkpoints,
    run: Run,
    settings: Settings,
    label: str,
) -> None:
    """Run Keras' loop from the current step to the last; one of its epochs is one interval."""
    rows, step_rows = len(standardized[0]), settings.critic_steps * settings.batch_size
    seed, interval = Seeds.of(settings.seed).batches, settings.validation_interval
    with Progress("train", settings.steps * step_rows, "galaxies") as progress:
        progress.done = checkpoints.step * step_rows
        validate, stop = Validate(validator, checkpoints), StopOnSignal()
        nonfinite = StopOnNonFinite(checkpoints)
        line = ProgressLine(progress, checkpoints, validate, rows, step_rows)
        monitor = Monitor(run.tensorboard, validate, label)
        while checkpoints.step < settings.steps and not stop.received:
            step = checkpoints.step
            done, inside = divmod(step, interval)
            # A run stopped inside an interval first completes it; the last one may be short.
            steps = min(interval - inside, settings.steps - step)
            whole = 1 if steps < interval else (settings.steps - step) // interval
            gan.fit(
                training_batches(standardized, step_rows, seed, step, weights),
                initial_epoch=done,
                epochs=done + whole,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[nonfinite, validate, monitor, line, stop],
            )
    if stop.received:
        path = checkpoints.save()
        raise Interrupted(
            f"stopped at step {checkpoints.step:,} of {settings.steps:,}; saved {path}. "
            "Continue with the same command and --resume",
            stop.received,
        )
