"""The generator's map for exported graphs: the same function, computed faster on CPUs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from balrog_keras.generator import MAX_ARSINH, Generator
from balrog_keras.splines import HALF_WIDTH, LEAST_SLOPE

__all__ = ["quick_draw"]


def quick_draw(generator: Generator, condition: Any, latent: Any) -> Any:
    """What the generator gives, to rounding, in three quarters of the time.

    Parameters
    ----------
    generator : Generator
        Built.
    condition : float32 tensor, shape (N, C)
        Standardized.
    latent : float32 tensor, shape (N, M)
        Standard normals.

    Returns
    -------
    float32 tensor, shape (N, M)
        Standardized residuals.
    """
    compressed: list[Any] = []
    for j in range(generator.num_outputs):
        parameters = generator.parameters(j, condition, compressed)
        value = _spline_value(tf.transpose(parameters), generator.bins, latent[:, j])
        compressed.append(tf.clip_by_value(value, -MAX_ARSINH, MAX_ARSINH))
    return tf.sinh(tf.stack(compressed, axis=1))


def _spline_value(parameters: Any, bins: int, latent: Any) -> Any:
    """:class:`~balrog_keras.splines.Spline` at one latent per row.

    A row of parameters is a column here: sums over bins then run along contiguous numbers. The
    two slopes that a row needs are picked before softplus is taken, instead of after.

    Parameters
    ----------
    parameters : float32 tensor, shape (2 * bins + 2, N)
        Unconstrained, see :func:`balrog_keras.splines.spline_of`.
    bins : int
        Even.
    latent : float32 tensor, shape (N,)
        Any.

    Returns
    -------
    float32 tensor, shape (N,)
    """
    width = 2.0 * HALF_WIDTH / bins
    position = (latent + HALF_WIDTH) / width
    passed = tf.cast(position >= np.arange(1, bins, dtype=np.float32)[:, None], tf.float32)
    passed = tf.pad(passed, [[1, 0], [0, 0]], constant_values=1.0)
    behind = tf.pad(passed[1:], [[0, 1], [0, 0]])
    here = passed - behind
    rises = _softplus(parameters[1 : bins + 1]) + LEAST_SLOPE * width
    # The first parameter is the value at the middle knot.
    below_middle = (np.arange(bins) < bins // 2).astype(np.float32)[:, None]
    low = parameters[0] + tf.reduce_sum(rises * (behind - below_middle), axis=0)
    rise = tf.reduce_sum(rises * here, axis=0)
    raw = parameters[bins + 1 :]
    chosen = [tf.reduce_sum(raw[:-1] * here, axis=0), tf.reduce_sum(raw[1:] * here, axis=0)]
    first, second = tf.unstack(_softplus(tf.stack(chosen)) + LEAST_SLOPE)
    part = tf.clip_by_value(position - tf.reduce_sum(behind, axis=0), 0.0, 1.0)
    steepness = rise / width
    across = part * (1.0 - part)
    numerator = rise * (steepness * tf.square(part) + first * across)
    inside = low + numerator / (steepness + (first + second - 2.0 * steepness) * across)
    above = tf.nn.relu(latent - HALF_WIDTH) * second
    below = tf.nn.relu(-HALF_WIDTH - latent) * first
    return inside + above - below


def _softplus(values: Any) -> Any:
    return tf.nn.relu(values) + tf.math.log(1.0 + tf.exp(-tf.abs(values)))
