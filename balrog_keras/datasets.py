"""Shards -> arrays -> batches whose order is a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from data_prep.errors import BalrogError

__all__ = ["training_batches"]


def training_batches(
    arrays: Sequence[np.ndarray],
    batch_size: int,
    seed: int,
    start_step: int = 0,
    weights: np.ndarray | None = None,
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

    Returns
    -------
    tf.data.Dataset
        Tuples of tensors with `batch_size` rows.

    Raises
    ------
    BalrogError
        If there are fewer rows than one batch, or weights are negative, not finite or all zero.
    """
    rows = len(arrays[0])
    batches = rows // batch_size
    if batches == 0:
        raise BalrogError(
            f"one training step needs {batch_size:,} rows (critic_steps * batch_size), the "
            f"training split has {rows:,}; lower batch_size or prepare more data"
        )
    tensors = [tf.constant(array) for array in arrays]
    cumulative = None if weights is None else tf.constant(_cumulative(weights))

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
        return tf.data.Dataset.from_tensor_slices(order)

    first_epoch, skipped = divmod(start_step, batches)
    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    indices = epochs.flat_map(epoch_batches).skip(skipped)
    dataset = indices.map(lambda index: tuple(tf.gather(tensor, index) for tensor in tensors))
    options = tf.data.Options()
    # Nothing here is tunable, and the tuner's thread, which sleeps ever longer, delays the end of
    # every fit by up to its last sleep.
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def _cumulative(weights: np.ndarray) -> np.ndarray:
    """Cumulative probabilities without the last, which is 1: float64 array, shape (N - 1,)."""
    weights = np.asarray(weights, np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise BalrogError(
            "the training rows' weights must be finite, 0 or more and not all 0; found "
            f"{weights.min():g} to {weights.max():g}: prepare the shards again"
        )
    total = np.cumsum(weights)
    return total[:-1] / total[-1]
