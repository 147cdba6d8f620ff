"""One column of the generator's map: what its conditioner gives, and what follows from that."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from balrog_keras.networks import MAX_LOG_SCALE

__all__ = [
    "MAX_ARSINH",
    "Before",
    "Given",
    "bounded_log_scale",
    "compress",
    "log_density",
    "num_regressors",
    "num_seen",
    "seen_latents",
    "seen_residuals",
]

# sinh of more overflows nothing, and no measured value is e**20 scales from its location.
MAX_ARSINH = 20.0
# Residuals in global spreads: further out their arsinh says enough.
_FAR, _UNIT = 30.0, 4.0
# Latents of measured rows can be anything; drawn ones are not as far out as this.
_FAR_LATENT = 8.0


class Given(NamedTuple):
    """What a conditioner gives for one column of N rows."""

    spline: Any  # parameters, (N, num_parameters)
    shift: Any  # the part that the columns before give, (N,)
    log_scale: Any  # ln b, (N,)


class Before(NamedTuple):
    """The columns before one, in their order: of each its v, itself and its latents, (N,)."""

    compressed: list[Any]
    columns: list[Any]
    latents: list[Any]


def compress(given: Given, column: Any) -> tuple[Any, Any]:
    """The measured column's v, and minus the natural log of its slope in the column."""
    innovation = tf.exp(-given.log_scale) * (column - given.shift)
    return tf.asinh(innovation), 0.5 * tf.math.log1p(tf.square(innovation)) + given.log_scale


def log_density(latent: Any, log_slope: Any) -> Any:
    """Natural log of the density of rows, from latents and the log slope of the map there."""
    terms = 0.5 * tf.square(latent) + 0.5 * math.log(2.0 * math.pi)
    return -tf.reduce_sum(terms, axis=1) - log_slope


def num_regressors(j: int) -> int:
    """Numbers of column j's conditioner beside its spline's: one per column before, and ln b."""
    return j + 1 if j else 0


def bounded_log_scale(raw: Any) -> Any:
    """Natural log of b, from what a conditioner gives."""
    return MAX_LOG_SCALE * tf.tanh(raw * (1.0 / MAX_LOG_SCALE))


def seen_residuals(residuals: Any, axis: int = -1) -> Any:
    """Residuals in global spreads as conditioners take them: their arsinh, and up to 30 as such.

    Parameters
    ----------
    residuals : float32 tensor
        Any shape.
    axis : int
        Along which the two are put one after the other.
    """
    size = tf.abs(residuals)
    # As tf.asinh to rounding, which goes number by number.
    arsinh = tf.sign(residuals) * tf.math.log(size + tf.sqrt(tf.square(size) + 1.0))
    return tf.concat([arsinh, tf.clip_by_value(residuals, -_FAR, _FAR) * (1.0 / _UNIT)], axis)


def seen_latents(latents: Any) -> Any:
    """Latents as conditioners take them: no further out than any that is drawn."""
    return tf.clip_by_value(latents, -_FAR_LATENT, _FAR_LATENT)


def num_seen(j: int) -> int:
    """Numbers that column j's conditioner takes of residuals and latents of the columns before."""
    return 3 * j
