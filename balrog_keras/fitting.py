"""The training loop: steps from the current one to the last, with all callbacks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from balrog_keras.building import Seeds
from balrog_keras.callbacks import ProgressLine, StopOnNonFinite, StopOnSignal, Validate
from balrog_keras.checkpoints import Checkpoints
from balrog_keras.config import Settings
from balrog_keras.datasets import Share
from balrog_keras.distribution import (
    any_worker,
    is_chief,
    is_multiworker,
    num_replicas,
    wait_for_all,
)
from balrog_keras.monitor import Monitor
from balrog_keras.runs import Run
from balrog_keras.standardizer import Standardizer
from balrog_keras.streaming import StreamedRows
from balrog_keras.training_data import MemoryRows
from balrog_keras.validation import Validator
from balrog_keras.wgan_gp import ConditionalWGANGP
from data_prep.errors import BalrogError
from data_prep.progress import Progress

__all__ = ["Interrupted", "fit_gan"]

# Workers agree on stopping together; asking after every step would cost a message each.
_AGREEMENT_STEPS = 10


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
    data: MemoryRows | StreamedRows,
    standardizer: Standardizer,
    validator: Validator,
    checkpoints: Checkpoints,
    run: Run,
    settings: Settings,
    label: str,
    strategy: tf.distribute.Strategy | None = None,
    on_validation: Callable[[int, dict[str, float]], None] | None = None,
) -> None:
    """Train from the current step to the last; what Keras calls an epoch is one interval here.

    Parameters
    ----------
    gan : ConditionalWGANGP
        Built and compiled in the strategy's scope.
    data : MemoryRows or StreamedRows
        Training rows.
    standardizer : Standardizer
        Fitted.
    validator, checkpoints, run
        Of this run; only the chief validates and writes.
    settings : Settings
        Its ``batch_size`` counts the rows of all replicas.
    label : str
        Provenance shown in figures.
    strategy : tf.distribute.Strategy, optional
        Divides each batch; None for one device.
    on_validation : callable, optional
        Called with step and scores after each validation. What it raises ends the training.

    Raises
    ------
    BalrogError
        For a loss that became NaN or infinite, a batch that cannot be divided, or a worker that
        is gone.
    Interrupted
        After SIGINT or SIGTERM; a checkpoint has been written.
    """
    step_rows = settings.critic_steps * settings.batch_size
    _check_divisible(settings.batch_size, num_replicas(strategy))
    stop, validate = StopOnSignal(), Validate(validator, checkpoints)
    total, before = settings.steps * step_rows, checkpoints.step * step_rows
    with Progress("train", total, "galaxies", initial=before) as progress:
        line = ProgressLine(progress, checkpoints, validate, data.rows, step_rows)
        callbacks: list[Any] = [StopOnNonFinite(checkpoints), line, stop]
        if is_chief(strategy):
            monitor = Monitor(run.tensorboard, validate, label, settings=settings)
            callbacks[1:1] = [validate, monitor]
            if on_validation is not None:
                callbacks.insert(2, _Report(validate, on_validation))
        batches = _batches(data, standardizer, settings, checkpoints.step, strategy)
        with _named_errors(checkpoints, strategy):
            _run(gan, iter(batches), callbacks, stop, settings, strategy)
    if gan.stop_training:
        _interrupt(stop, checkpoints, settings, strategy)


class _Report(keras.callbacks.Callback):
    """Tell the caller the scores of each validation."""

    def __init__(self, validate: Validate, report: Callable[[int, dict[str, float]], None]) -> None:
        super().__init__()
        self.validate, self.report = validate, report

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Call with the step and a copy of the scores."""
        self.report(int(self.model.optimizer.iterations.numpy()), dict(self.validate.scores))


def _check_divisible(batch_size: int, replicas: int) -> None:
    if batch_size % replicas:
        raise BalrogError(
            f"batch_size counts the rows of all replicas and must be a multiple of their number; "
            f"{batch_size} rows cannot be divided among {replicas} replicas"
        )


def _batches(
    data: MemoryRows | StreamedRows,
    standardizer: Standardizer,
    settings: Settings,
    step: int,
    strategy: tf.distribute.Strategy | None,
) -> Any:
    rows, seed = settings.critic_steps * settings.batch_size, Seeds.of(settings.seed).batches
    if strategy is None:
        return data.batches(standardizer, rows, seed, step)
    return strategy.distribute_datasets_from_function(
        lambda context: data.batches(standardizer, rows, seed, step, Share.of(context))
    )


def _run(
    gan: ConditionalWGANGP,
    batches: Any,
    callbacks: list[Any],
    stop: StopOnSignal,
    settings: Settings,
    strategy: tf.distribute.Strategy | None,
) -> None:
    """Every step from the current one; `gan.stop_training` tells whether a signal ended them."""
    take_step, interval = _step_function(gan, settings.xla, strategy), settings.validation_interval
    watchers = keras.callbacks.CallbackList(callbacks, model=gan)
    gan.stop_training = False
    gan.reset_metrics()
    watchers.on_train_begin()
    try:
        for step in range(int(gan.optimizer.iterations.numpy()), settings.steps):
            take_step(batches)
            watchers.on_train_batch_end(step % interval)
            done = step + 1
            if done % interval == 0 or done == settings.steps:
                # A signal during its last step must not cost the interval its validation.
                gan.stop_training = False
                logs = {name: float(mean) for name, mean in gan.get_metrics_result().items()}
                watchers.on_epoch_end(step // interval, logs)
                gan.reset_metrics()
            gan.stop_training = _stopping(stop, done, strategy)
            if gan.stop_training:
                break
        watchers.on_train_end()
    finally:
        stop.restore()


def _step_function(
    gan: ConditionalWGANGP, xla: bool, strategy: tf.distribute.Strategy | None
) -> Callable[[Any], None]:
    """Graph that takes the iterator's next batch and trains on it."""
    # No Python branches depend on tensors, and reading the source for some takes two seconds.
    if strategy is None:
        step = tf.function(gan.train_step, autograph=False, jit_compile=xla)

        @tf.function(autograph=False)
        def take_step(batches: Any) -> None:
            step(next(batches))
    else:

        @tf.function(autograph=False)
        def take_step(batches: Any) -> None:
            # Without XLA, which cannot compile the sums over replicas.
            strategy.run(gan.train_step, args=(next(batches),))

    graph: Callable[[Any], None] = take_step
    return graph


def _stopping(stop: StopOnSignal, step: int, strategy: tf.distribute.Strategy | None) -> bool:
    """Whether to stop after this step: at once alone, together with other workers."""
    if not is_multiworker(strategy):
        return bool(stop.received)
    return step % _AGREEMENT_STEPS == 0 and any_worker(strategy, bool(stop.received))


def _interrupt(
    stop: StopOnSignal,
    checkpoints: Checkpoints,
    settings: Settings,
    strategy: tf.distribute.Strategy | None,
) -> None:
    path = checkpoints.save() if is_chief(strategy) else "by worker 0"
    wait_for_all(strategy)
    raise Interrupted(
        f"stopped at step {checkpoints.step:,} of {settings.steps:,}; saved {path}. "
        "Continue with the same command and --resume",
        stop.received or signal.SIGTERM,
    )


@contextmanager
def _named_errors(
    checkpoints: Checkpoints, strategy: tf.distribute.Strategy | None
) -> Iterator[None]:
    """Say what to do when another worker is gone."""
    try:
        yield
    except tf.errors.OpError as error:
        if not is_multiworker(strategy):
            raise
        first = str(error.message).splitlines()[0]
        raise BalrogError(
            f"training needs all workers, and one is gone ({first}); the last checkpoint is "
            f"{checkpoints.latest}. Start all workers again with --resume"
        ) from None
