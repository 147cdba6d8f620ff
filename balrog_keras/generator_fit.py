"""Start the generator by maximum likelihood, before the critic joins."""

from __future__ import annotations

import logging
import time
from typing import Any

import keras
import numpy as np

from balrog_keras.building import Seeds, averaging_muon
from balrog_keras.config import Settings
from balrog_keras.datasets import training_batches
from balrog_keras.generator import Generator
from balrog_keras.standardizer import Standardizer
from data_prep.progress import Progress

__all__ = ["fit_generator", "start_of"]

logger = logging.getLogger(__name__)

_LEARNING_RATE = 1.6e-2
# It stands against the scatter of the rows, so that it is less the more of them there are.
_DECAY_ROWS, _MOST_DECAY = 20_000, 0.5
# Decay ends before the fit does: until then it keeps the mean gradient from zero, and with it what
# the tails of the training rows say out of the generator.
_DECAYING = 0.8
_MOST_EPOCHS = 40
# The likelihood of a row is exact: larger batches do not make its steps better, only dearer.
_LARGEST_BATCH = 2048


def fit_generator(
    generator: Generator,
    standardizer: Standardizer,
    train: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    settings: Settings,
) -> None:
    """Raise the likelihood of the training rows, in place.

    By Muon (:func:`~balrog_keras.building.averaging_muon`), which gets in 6,000 steps where Adam
    is after 30,000. The rate falls along a cosine; weight decay, decoupled (Loshchilov & Hutter
    2019, arXiv:1711.05101), is in inverse proportion to the rows, the last fifth of the steps has
    none, and the average of the last ones is kept.

    Parameters
    ----------
    generator : Generator
        Built.
    standardizer : Standardizer
        Fitted.
    train, validation : dict of arrays
        ``condition`` (N, C) and ``measured`` (N, M), physical units.
    settings : Settings
        ``likelihood_steps``, ``batch_size``, ``xla`` and ``seed`` are used.
    """
    started = time.monotonic()
    rows = {
        name: (
            np.asarray(standardizer.context(split["condition"])),
            np.asarray(standardizer.standardize(split["condition"], split["measured"])),
        )
        for name, split in (("train", train), ("validation", validation))
    }
    batch_size, epochs, steps = start_of(settings, len(train["condition"]))
    # A copy is fitted: the generator's own variables may be mirrored on several devices.
    copy = Generator.from_config(generator.get_config())
    copy.build(generator.input_shapes)
    copy.set_weights(generator.get_weights())
    model = _Likelihood(copy)
    decay = min(_MOST_DECAY, _DECAY_ROWS / len(train["condition"]))
    optimizer = averaging_muon(_LEARNING_RATE, epochs * steps, decay)
    model.compile(
        optimizer=optimizer,
        loss=lambda _, log_likelihood: -log_likelihood,
        jit_compile=settings.xla,
    )
    batches = training_batches(rows["train"], batch_size, Seeds.of(settings.seed).likelihood)
    with Progress("likelihood", epochs * steps * batch_size, "galaxies") as progress:
        history = model.fit(
            batches.map(lambda condition, measured: ((measured, condition), measured)),
            steps_per_epoch=steps,
            epochs=epochs,
            validation_data=(rows["validation"][::-1], rows["validation"][1]),
            validation_batch_size=len(rows["validation"][0]),
            shuffle=False,
            verbose=0,
            callbacks=[
                _Advance(progress, steps * batch_size),
                _EndDecay(optimizer, round(_DECAYING * epochs * steps)),
            ],
        ).history
    generator.set_weights(copy.get_weights())
    logger.info(
        "generator started by %d epochs of maximum likelihood in %.1f s: log-likelihood %.4f on "
        "training, %.4f on validation rows",
        len(history["loss"]),
        time.monotonic() - started,
        -history["loss"][-1],
        -history["val_loss"][-1],
    )


def start_of(settings: Settings, rows: int) -> tuple[int, int, int]:
    """Batch size, epochs and steps in each of the start by maximum likelihood on so many rows."""
    batch_size = min(2 * settings.batch_size, _LARGEST_BATCH, rows)
    in_epoch = rows // batch_size
    epochs = max(1, min(_MOST_EPOCHS, round(settings.likelihood_steps / in_epoch)))
    return batch_size, epochs, min(in_epoch, settings.likelihood_steps)


class _Likelihood(keras.Model):
    """The generator's log-likelihood as the output of a model."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(name="likelihood")
        self.generator = generator
        self.built = True

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Log-likelihood ``(N,)`` of measured rows ``(N, M)`` under conditions ``(N, C)``."""
        return self.generator.log_likelihood(*inputs)


class _EndDecay(keras.callbacks.Callback):
    """No weight decay from some step on."""

    def __init__(self, optimizer: Any, step: int) -> None:
        super().__init__()
        self.optimizer, self.left = optimizer, step

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Count the step that begins."""
        if self.left == 0:
            self.optimizer.weight_decay.assign(0.0)
        self.left -= 1


class _Advance(keras.callbacks.Callback):
    """Move the progress bar on at the end of each epoch."""

    def __init__(self, progress: Progress, rows: int) -> None:
        super().__init__()
        self.progress, self.rows = progress, rows

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count the epoch's rows."""
        self.progress.update(self.rows)
