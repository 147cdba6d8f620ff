"""What an exported graph draws with: the same functions as the networks', faster on CPUs.

Rows of a batch are columns here: a column of the catalogue is then contiguous, which splits,
stacks and sums over few columns are several times faster with.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.activations import silu
from balrog_keras.draw_bounds import DrawBounds
from balrog_keras.generator import Generator
from balrog_keras.networks import MAX_LOG_SCALE, Perceptron
from balrog_keras.splines import HALF_WIDTH, LEAST_SLOPE, num_parameters, positive
from balrog_keras.standardizer import Standardizer
from balrog_keras.transforms import restored
from balrog_keras.triangular_map import (
    MAX_ARSINH,
    bounded_log_scale,
    seen_latents,
    seen_residuals,
)

__all__ = ["quick_draw", "quick_measured"]


def quick_measured(
    generator: Generator,
    standardizer: Standardizer,
    condition: Any,
    latent: Any,
    bounds: DrawBounds | None = None,
) -> Any:
    """Measured columns: :meth:`Standardizer.destandardize` of what the generator gives.

    Parameters
    ----------
    generator : Generator
        Built.
    standardizer : Standardizer
        Fitted.
    condition : float32 tensor, shape (N, C)
        Physical units.
    latent : float32 tensor, shape (N, M)
        Standard normals.
    bounds : DrawBounds, optional
        What they are kept within.

    Returns
    -------
    float32 tensor, shape (N, M)
        Physical units; equal to rounding.
    """
    standard, reference = standardizer.standard_and_reference(condition)
    network, columns = standardizer.location_scale_network, generator.num_outputs
    output = _output_rows(network, (standard,), network.head.bias)
    log_scale = MAX_LOG_SCALE * tf.tanh(output[columns:] * (1.0 / MAX_LOG_SCALE))
    location, scale = output[:columns], tf.exp(log_scale)
    differences = standardizer.differences
    if differences is None:
        drawn = quick_draw(generator, standard, latent, location, scale)
    else:
        own = _output_rows(differences.network, (standard,), differences.network.head.bias)
        own_location, raw = tf.split(own, 2)
        own_scale = tf.exp(MAX_LOG_SCALE * tf.tanh(raw * (1.0 / MAX_LOG_SCALE)))
        pairs = (location, own_location), (scale, own_scale)
        scales = (differences.linked_last(*pair, axis=0) for pair in pairs)
        drawn = quick_draw(generator, standard, latent, *scales)
        drawn = differences.ordered(drawn, axis=0)
    deviation = location + scale * drawn
    residual = standardizer.residual_spread[:, None] * deviation
    residual += standardizer.residual_median[:, None]
    if bounds is not None:
        residual = _clipped(residual, bounds.residual)
    measured = residual + reference
    if differences is not None:
        rows = [tf.unstack(each) for each in (own_location, own_scale, measured, drawn)]
        measured = tf.stack(differences.restored_columns(*rows))
    if bounds is not None and np.isfinite(bounds.value).any():
        measured = _clipped(measured, bounds.value)
    return restored(tf.transpose(measured), standardizer.measured_transforms, keras.ops)


def _clipped(rows: Any, ends: np.ndarray) -> Any:
    """Columns ``(M, N)`` between `ends`, ``(2, M)``; NaN stays."""
    return tf.clip_by_value(rows, ends[0][:, None], ends[1][:, None])


def quick_draw(
    generator: Generator, condition: Any, latent: Any, location: Any = None, scale: Any = None
) -> Any:
    """What the generator gives, to rounding, with rows and columns exchanged.

    Parameters
    ----------
    generator : Generator
        Built.
    condition : float32 tensor, shape (N, C)
        Standardized.
    latent : float32 tensor, shape (N, M)
        Standard normals.
    location, scale : float32 tensors, shape (M, N), optional
        Of the standardized columns, for a generator that sees residuals.

    Returns
    -------
    float32 tensor, shape (M, N)
        Standardized residuals.
    """
    compressed: list[Any] = []
    columns: list[Any] = []
    seen: list[list[Any]] = [[], [], []]
    for j, each in enumerate(tf.unstack(tf.transpose(latent))):
        network = generator.conditioners[j]
        before = list(chain(compressed, *seen))
        inputs = (condition, tf.stack(before, axis=1)) if before else (condition,)
        parameters = _output_rows(network, inputs, network.head.bias + generator.start(j))
        own = num_parameters(generator.bins)
        value = _spline_value(parameters[:own], generator.bins, each)
        compressed.append(tf.clip_by_value(value, -MAX_ARSINH, MAX_ARSINH))
        log_scale = bounded_log_scale(parameters[-1]) if j else 0.0
        # sinh; TensorFlow's own goes number by number.
        up, down = tf.exp(log_scale + compressed[j]), tf.exp(log_scale - compressed[j])
        column = 0.5 * (up - down)
        if j:
            column += tf.reduce_sum(parameters[own:-1] * tf.stack(columns), axis=0)
        columns.append(column)
        if generator.sees_residuals:
            residual = location[j] + scale[j] * column
            its_seen = [*tf.unstack(seen_residuals(residual[None], axis=0)), seen_latents(each)]
            for kind, values in zip(seen, its_seen, strict=True):
                kind.append(values)
    return tf.stack(columns)


def _output_rows(network: Perceptron, inputs: tuple[Any, ...], bias: Any) -> Any:
    """A perceptron's output, ``(outputs, N)``, with another bias of its last layer."""
    hidden = tf.concat(inputs, axis=-1)
    for layer in network.hidden:
        hidden = _hidden(layer, hidden)
    output = tf.matmul(network.head.kernel, hidden, transpose_a=True, transpose_b=True)
    return output + bias[:, None]


def _hidden(layer: keras.layers.Dense, inputs: Any) -> Any:
    if layer.activation is not silu:
        return layer(inputs)
    # Outside XLA this form is quicker: TensorFlow makes one operation of it.
    values = tf.nn.bias_add(tf.matmul(inputs, layer.kernel), layer.bias)
    return values * tf.sigmoid(values)


def _spline_value(parameters: Any, bins: int, latent: Any) -> Any:
    """:class:`~balrog_keras.splines.Spline` at one latent per row.

    A row of parameters is a column here: sums over bins then run along contiguous numbers. The
    two slopes that a row needs are picked before they are made positive, instead of after.

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
    position = (latent + HALF_WIDTH) * (1.0 / width)
    index = tf.clip_by_value(tf.floor(position), 0.0, bins - 1.0)
    passed = tf.cast(index >= np.arange(bins + 1, dtype=np.float32)[:, None], tf.float32)
    behind = passed[1:]
    here = passed[:-1] - behind
    rises = positive(parameters[1 : bins + 1]) + LEAST_SLOPE * width
    # The first parameter is the value at the middle knot.
    below_middle = (np.arange(bins) < bins // 2).astype(np.float32)[:, None]
    low = parameters[0] + tf.reduce_sum(rises * (behind - below_middle), axis=0)
    rise = tf.reduce_sum(rises * here, axis=0)
    raw = parameters[bins + 1 :]
    chosen = [tf.reduce_sum(raw[:-1] * here, axis=0), tf.reduce_sum(raw[1:] * here, axis=0)]
    first, second = tf.unstack(positive(tf.stack(chosen)) + LEAST_SLOPE)
    part = tf.clip_by_value(position - index, 0.0, 1.0)
    steepness = rise * (1.0 / width)
    across = part * (1.0 - part)
    numerator = rise * (steepness * tf.square(part) + first * across)
    inside = low + numerator / (steepness + (first + second - 2.0 * steepness) * across)
    above = tf.nn.relu(latent - HALF_WIDTH) * second
    below = tf.nn.relu(-HALF_WIDTH - latent) * first
    return inside + above - below
