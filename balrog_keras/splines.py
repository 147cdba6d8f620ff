"""Monotone rational-quadratic splines on a fixed grid, and their inverse."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

__all__ = [
    "HALF_WIDTH",
    "LEAST_SLOPE",
    "Spline",
    "identity_parameters",
    "num_parameters",
    "positive",
    "spline_of",
]

# The grid spans +-4 standard deviations of the latent; beyond it the spline is linear.
HALF_WIDTH = 4.0
# Least slope: bounds the density, which repeated measured values would else drive to infinity.
LEAST_SLOPE = 1e-2


class Spline(NamedTuple):
    """One increasing function per row: rational quadratics between knots on a common grid.

    Durkan et al. 2019 (arXiv:1906.04032), section 3.1, with their bins of equal width, so that the
    bin of a latent is found by arithmetic, and heights and slopes of any size.

    Attributes
    ----------
    values : float32 tensor, shape (N, bins + 1)
        At the knots, increasing.
    slopes : float32 tensor, shape (N, bins + 1)
        At the knots, positive.
    """

    values: Any
    slopes: Any

    def __call__(self, latent: Any) -> Any:
        """Value at one latent per row, ``(N,)`` to ``(N,)``."""
        width = self._width
        position = (latent + HALF_WIDTH) * (1.0 / width)
        last = self.slopes.shape[1] - 2
        index = tf.clip_by_value(tf.cast(tf.floor(position), tf.int32), 0, last)
        low, rise, first, second = self._at(index)
        part = tf.clip_by_value(position - tf.cast(index, tf.float32), 0.0, 1.0)
        steepness = rise * (1.0 / width)
        across = part * (1.0 - part)
        numerator = rise * (steepness * tf.square(part) + first * across)
        inside = low + numerator / (steepness + (first + second - 2.0 * steepness) * across)
        above = tf.nn.relu(latent - HALF_WIDTH) * self.slopes[:, -1]
        below = tf.nn.relu(-HALF_WIDTH - latent) * self.slopes[:, 0]
        return inside + above - below

    def inverse(self, value: Any) -> tuple[Any, Any]:
        """Latent of one value per row, and the natural log of the slope there.

        Parameters
        ----------
        value : float32 tensor, shape (N,)
            Any.

        Returns
        -------
        latent, log_slope : float32 tensors, shape (N,)
        """
        width = self._width
        index = tf.reduce_sum(tf.cast(value[:, None] >= self.values[:, 1:-1], tf.int32), axis=1)
        low, rise, first, second = self._at(index)
        steepness = rise / width
        bend = first + second - 2.0 * steepness
        offset = tf.clip_by_value(value - low, 0.0, rise)
        # Durkan et al., equations 6 to 8: the root of a quadratic in its stable form.
        square = rise * (steepness - first) + offset * bend
        linear = rise * first - offset * bend
        constant = -steepness * offset
        root = tf.sqrt(tf.maximum(tf.square(linear) - 4.0 * square * constant, 1e-20))
        part = tf.clip_by_value(2.0 * constant / (-linear - root), 0.0, 1.0)
        across = part * (1.0 - part)
        slope = tf.square(steepness) * (
            second * tf.square(part) + 2.0 * steepness * across + first * tf.square(1.0 - part)
        )
        slope /= tf.square(steepness + bend * across)
        latent = (tf.cast(index, tf.float32) + part) * width - HALF_WIDTH
        latent += tf.nn.relu(value - self.values[:, -1]) / self.slopes[:, -1]
        latent -= tf.nn.relu(self.values[:, 0] - value) / self.slopes[:, 0]
        return latent, tf.math.log(slope)

    @property
    def _width(self) -> float:
        width: float = 2.0 * HALF_WIDTH / (self.slopes.shape[1] - 1)
        return width

    def _at(self, index: Any) -> tuple[Any, Any, Any, Any]:
        """Value at the lower knot of each row's bin, its rise, and the slopes at both knots."""
        # A product with 0 and 1 is quicker than a gather, above all in its gradient.
        chosen = tf.one_hot(index, self.slopes.shape[1] - 1)
        rises = self.values[:, 1:] - self.values[:, :-1]
        tables = tf.stack([self.values[:, :-1], rises, self.slopes[:, :-1], self.slopes[:, 1:]])
        low, rise, first, second = tf.unstack(tf.reduce_sum(tables * chosen, axis=2))
        return low, rise, first, second


def num_parameters(bins: int) -> int:
    """Unconstrained parameters of one spline: a shift, `bins` rises, `bins` + 1 slopes."""
    return 2 * bins + 2


def positive(values: Any) -> Any:
    """Squareplus (Barron 2021, arXiv:2112.11687): a smooth increasing map to positive numbers.

    It does what softplus does in a third of the time.
    """
    return 0.5 * (values + tf.sqrt(tf.square(values) + 4.0))


def spline_of(parameters: Any, bins: int) -> Spline:
    """Spline of unconstrained parameters.

    Parameters
    ----------
    parameters : float32 tensor, shape (N, 2 * bins + 2)
        The value at latent 0, then what :func:`positive` makes rises and slopes.
    bins : int
        Even, so that latent 0 is a knot.

    Returns
    -------
    Spline
    """
    shift, rises, slopes = tf.split(parameters, [1, bins, bins + 1], axis=1)
    rises = positive(rises) + LEAST_SLOPE * 2.0 * HALF_WIDTH / bins
    slopes = positive(slopes) + LEAST_SLOPE
    # Sums from the middle knot outwards, as a product: quicker to compute and to compile.
    knot, rise = np.arange(bins + 1) - bins // 2, np.arange(bins)[:, None] - bins // 2
    outwards = ((rise >= 0) & (rise < knot)) * 1.0 - ((rise < 0) & (rise >= knot))
    values = shift + tf.matmul(rises, outwards.astype("float32"))
    return Spline(values, slopes)


def identity_parameters(bins: int) -> list[float]:
    """Parameters whose spline is arsinh at every knot, in value and slope."""

    def raw(value: float) -> float:
        return value - 1.0 / value  # what `positive` takes to the value

    width = 2.0 * HALF_WIDTH / bins
    knots = [index * width - HALF_WIDTH for index in range(bins + 1)]
    rises = [
        raw(math.asinh(b) - math.asinh(a) - LEAST_SLOPE * width)
        for a, b in zip(knots[:-1], knots[1:], strict=True)
    ]
    return [0.0, *rises, *(raw(1.0 / math.hypot(1.0, knot) - LEAST_SLOPE) for knot in knots)]
