"""Shards -> arrays -> batches whose order is a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from data_prep.errors import BalrogError

__all__ = ["training_batches"]


def training_batches(
    arrays: Sequence[np.ndarray], batch_size: int, seed: int, start_step: int = 0
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

    Returns
    -------
    tf.data.Dataset
        Tuples of tensors with `batch_size` rows.

    Raises
    ------
    BalrogError
        If there are fewer rows than one batch.
    """
    rows = len(arrays[0])
    batches = rows // batch_size
    if batches == 0:
        raise BalrogError(
            f"one training step needs {batch_size:,} rows (critic_steps * batch_size), the "
            f"training split has {rows:,}; lower batch_size or prepare more data"
        )
    tensors = [tf.constant(array) for array in arrays]

    def epoch_batches(epoch: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(rows, dtype=tf.int32), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
        )
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
