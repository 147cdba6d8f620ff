"""Arrays -> batches whose order is a function of (seed, step) alone, for one or more replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from data_prep.errors import BalrogError

__all__ = [
    "WHOLE_BATCH",
    "Share",
    "batches_in_epoch",
    "cumulative_probability",
    "declared_endless",
    "training_batches",
]


@dataclass(frozen=True)
class Share:
    """What one process delivers of each batch: the rows of its own replicas.

    Replica r of R takes rows r, r + R, r + 2 R, ... of the whole batch. The first rows of a part
    of the batch are then the first rows of that part on every replica, whatever R is.

    Parameters
    ----------
    replicas : int
        R, all of them.
    first, local : int
        First replica of this process, and how many it has.
    """

    replicas: int = 1
    first: int = 0
    local: int = 1

    @classmethod
    def of(cls, context: tf.distribute.InputContext) -> Share:
        """Share of one input pipeline under a strategy."""
        local = context.num_replicas_in_sync // context.num_input_pipelines
        return cls(context.num_replicas_in_sync, context.input_pipeline_id * local, local)

    def divide(self, batches: Any) -> Any:
        """Dataset of whole batches (tuples) to one with an element for each local replica."""
        if self.replicas == 1:
            return batches

        def local_parts(*batch: Any) -> Any:
            mine = range(self.first, self.first + self.local)
            return tuple(tf.stack([part[r :: self.replicas] for r in mine]) for part in batch)

        return batches.map(local_parts).unbatch()


WHOLE_BATCH = Share()


def training_batches(
    arrays: Sequence[np.ndarray],
    batch_size: int,
    seed: int,
    start_step: int = 0,
    weights: np.ndarray | None = None,
    share: Share = WHOLE_BATCH,
) -> Any:
    """Endless batches of training rows, shuffled anew each epoch.

    The whole set stays in memory as tensors (1.7 million rows of 12 columns are 82 MB). Rows
    that do not fill the last batch of an epoch are left for the next epoch's shuffle.

    Parameters
    ----------
    arrays : sequence of arrays, each with N rows
        Batched together.
    batch_size : int
        Rows in a batch.
    seed : int
        Seed of the shuffles.
    start_step : int
        Batches to pass over, as if they had been drawn: batch k is the same for every start.
    weights : float array, shape (N,), optional
        Rows are then drawn with replacement, each with a probability proportional to its weight.
    share : Share
        Rows of each batch to deliver; all by default.

    Returns
    -------
    tf.data.Dataset
        Tuples of tensors with `batch_size` rows, or with one replica's share of them.

    Raises
    ------
    BalrogError
        If there are fewer rows than one batch, or weights are negative, not finite or all zero.
    """
    rows = len(arrays[0])
    batches = batches_in_epoch(rows, batch_size)
    tensors = [tf.constant(array) for array in arrays]
    cumulative = None if weights is None else tf.constant(cumulative_probability(weights))

    def epoch_batches(epoch: Any) -> Any:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        if cumulative is None:
            order = tf.random.experimental.stateless_shuffle(
                tf.range(rows, dtype=tf.int32), seed=key
            )
        else:
            uniform = tf.random.stateless_uniform([rows], key, dtype=tf.float64)
            order = tf.searchsorted(cumulative, uniform, side="right")
        order = tf.reshape(order[: batches * batch_size], (batches, batch_size))
        return tf.data.Dataset.from_tensor_slices((order,))

    first_epoch, skipped = divmod(start_step, batches)
    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    indices = share.divide(epochs.flat_map(epoch_batches).skip(skipped))
    dataset = indices.map(lambda index: tuple(tf.gather(tensor, index) for tensor in tensors))
    return declared_endless(dataset.prefetch(2))


def declared_endless(dataset: Any) -> Any:
    """The dataset, known to have no end and nothing to tune.

    A strategy then asks nobody whether there is another batch. The tuner's thread, which sleeps
    ever longer, would delay the end of every loop by up to its last sleep.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    endless = tf.data.experimental.assert_cardinality(tf.data.experimental.INFINITE_CARDINALITY)
    return dataset.apply(endless).with_options(options)


def batches_in_epoch(rows: int, batch_size: int) -> int:
    """Whole batches in the rows.

    Raises
    ------
    BalrogError
        If there is none.
    """
    if rows < batch_size:
        raise BalrogError(
            f"one training step needs {batch_size:,} rows (critic_steps * batch_size), the "
            f"training split has {rows:,}; lower batch_size or prepare more data"
        )
    return rows // batch_size


def cumulative_probability(weights: np.ndarray) -> np.ndarray:
    """Cumulative probabilities without the last, which is 1: float64 array, shape (N - 1,)."""
    weights = np.asarray(weights, np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise BalrogError(
            "the training rows' weights must be finite, 0 or more and not all 0; found "
            f"{weights.min():g} to {weights.max():g}: prepare the shards again"
        )
    total = np.cumsum(weights)
    cumulative: np.ndarray = total[:-1] / total[-1]
    return cumulative
