"""The generator: a triangular map from latents to standardized measured columns."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.networks import Perceptron
from balrog_keras.splines import identity_parameters, num_parameters, spline_of
from balrog_keras.triangular_map import (
    MAX_ARSINH,
    Before,
    Given,
    bounded_log_scale,
    compress,
    log_density,
    num_regressors,
    num_seen,
    seen_latents,
    seen_residuals,
)

__all__ = ["Generator"]

# What the conditioners' numbers mean; weights fitted to another map are of no use in this one.
_MAP = "regression on the columns before, squareplus splines"
# The conditioners start close to nothing, so that the first draws are the latents themselves.
_HEAD_SCALE = 0.1


@keras.saving.register_keras_serializable(package="balrog_keras")
class Generator(keras.Model):
    r"""G(condition, latent): standardized measured columns from noise.

    Column after column,

    .. math:: x_j = \sum_{k<j} a_{jk} x_k + b_j \sinh v_j, \quad v_j = s_j(u_j),

    where :math:`s_j` is an increasing rational-quadratic spline
    (:class:`~balrog_keras.splines.Spline`). Its parameters, :math:`a_{jk}` and :math:`\ln b_j` are
    what a perceptron, the column's conditioner, gives for the condition c and
    :math:`v_1, \ldots, v_{j-1}`. Any continuous distribution is such a triangular map of
    independent normals (Knothe-Rosenblatt), and the map can be inverted, so that beside the
    critic's loss the generator has a likelihood to be started and held with (Flow-GAN: Grover et
    al. 2018, arXiv:1705.08868). sinh turns linear tails of the spline into the tens of standard
    deviations of blended galaxies, and the sum keeps together what one neighbour does to all
    bands: with the splines alone, bands were too independent of each other out there.

    Called on ``(condition, latent)``, standardized conditions ``(batch, num_conditions)`` and
    standard-normal latents ``(batch, num_outputs)``, both float32; gives standardized residuals
    ``(batch, num_outputs)``, one per measured column. With `sees_residuals` the condition is what
    :meth:`~balrog_keras.standardizer.Standardizer.context` gives, and a conditioner takes the
    residuals of the columns before too, in units that are those of all rows: what a galaxy of that
    much measured flux is like is then known without undoing each row's own location and scale. And
    it takes their latents: whether a column is within the narrow bulk of its distribution or just
    outside it says which of two processes made the next, and in a latent that shows at any width.

    Parameters
    ----------
    num_outputs : int
        Number of measured columns, and of latents.
    width, depth : int
        Units in, and number of, hidden layers of each conditioner.
    activation : str
        Keras' name of the hidden layers' activation.
    bins : int
        Bins of each spline; even.
    sees_residuals : bool
        Whether conditioners take residuals, and latents, of the columns before.
    seed : int
        Seed of the initial weights.
    **kwargs
        Passed to :class:`keras.Model`.

    Examples
    --------
    >>> import numpy as np
    >>> generator = Generator(num_outputs=3, width=8, depth=1)
    >>> generator((np.zeros((5, 9), "float32"), np.zeros((5, 3), "float32"))).shape
    TensorShape([5, 3])
    """

    def __init__(
        self,
        num_outputs: int,
        width: int = 32,
        depth: int = 3,
        activation: str = "silu",
        bins: int = 8,
        sees_residuals: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_outputs, self.width, self.depth = num_outputs, width, depth
        self.activation, self.bins, self.seed = activation, bins, seed
        self.sees_residuals = sees_residuals
        self.conditioners = [
            Perceptron(
                num_parameters(bins) + num_regressors(j), width, depth, activation,
                seed + 100 * j, name=f"column_{j}",
            )
            for j in range(num_outputs)
        ]  # fmt: skip
        self.input_shapes: tuple[tuple[None, int], ...] = ()
        self._identity = np.asarray(identity_parameters(bins), "float32")

    def build(self, input_shape: Any) -> None:
        """Create all weights; `input_shape` is that of the condition and of the latents."""
        self.input_shapes = ((None, input_shape[0][-1]), (None, self.num_outputs))
        for j, conditioner in enumerate(self.conditioners):
            seen = num_seen(j) if self.sees_residuals else 0
            conditioner.build(((None, self.num_conditions), (None, j), (None, seen)))
            kernel = conditioner.head.kernel
            kernel.assign(_HEAD_SCALE * kernel)
        self.built = True

    @property
    def num_conditions(self) -> int:
        """Columns of the condition but for locations and scales."""
        return self.input_shapes[0][1] - (2 * self.num_outputs if self.sees_residuals else 0)

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Map ``(condition, latent)`` to ``(batch, num_outputs)``."""
        condition, latent = inputs
        before = Before([], [], [])
        for j, each in enumerate(tf.unstack(latent, axis=1)):
            value, column = self._draw(self._conditioned(j, condition, before), each)
            for known, now in zip(before, (value, column, each), strict=True):
                known.append(now)
        return tf.stack(before.columns, axis=1)

    def log_likelihood(self, measured: Any, condition: Any) -> Any:
        """Natural log of p(measured | condition).

        Parameters
        ----------
        measured : float32 tensor, shape (batch, num_outputs)
            Standardized residuals.
        condition : float32 tensor, shape (batch, num_conditions)
            Standardized.

        Returns
        -------
        float32 tensor, shape (batch,)
            Density per unit of standardized residual.
        """
        return log_density(*self.inverse(measured, condition))

    def inverse(self, measured: Any, condition: Any) -> tuple[Any, Any]:
        """Latents that give measured rows.

        Parameters
        ----------
        measured, condition : float32 tensors
            As in :meth:`log_likelihood`.

        Returns
        -------
        latent : float32 tensor, shape (batch, num_outputs)
            Standard normal where the rows follow the generator.
        log_slope : float32 tensor, shape (batch,)
            Natural log of the map's Jacobian determinant there.

        Notes
        -----
        Gradients by weights are those of each column's own terms alone. A column that is narrow
        given those before has steep ones, which would else bend the conditioners before it: to
        the numbers that suit it as an input, at the cost of their own likelihood.
        """
        before, latents, log_slope = Before([], [], []), [], 0.0
        for j, column in enumerate(tf.unstack(measured, axis=1)):
            given = self._conditioned(j, condition, before)
            value, latent, its_slope = self._inverted(given, column)
            for known, now in zip(before, (value, column, latent), strict=True):
                known.append(tf.stop_gradient(now))
            latents.append(latent)
            log_slope += its_slope
        return tf.stack(latents, axis=1), log_slope

    def draw_and_score(self, condition: Any, latent: Any, measured: Any) -> tuple[Any, Any]:
        """Draws and log-likelihood of the same conditions, quicker than one after the other.

        Each conditioner runs once, on the rows of both, and the first column's, which takes
        nothing but the condition, on those of one draw.

        Parameters
        ----------
        condition : float32 tensor, shape (batch, num_conditions)
            Standardized.
        latent : float32 tensor, shape (draws * batch, num_outputs)
            Standard normals, one draw of all conditions after another.
        measured : float32 tensor, shape (batch, num_outputs)
            Standardized residuals.

        Returns
        -------
        drawn : float32 tensor, shape (draws * batch, num_outputs)
            As a call with the conditions repeated gives them.
        log_likelihood : float32 tensor, shape (batch,)
            As :meth:`log_likelihood` gives it.
        """
        rows = int(measured.shape[0])
        draws = int(latent.shape[0]) // rows
        everywhere = tf.concat([condition] * (draws + 1), 0)
        latents, truth = tf.unstack(latent, axis=1), tf.unstack(measured, axis=1)
        # Of the draws and then of the measured rows.
        before, drawn = Before([], [], []), []
        true_latents, log_slope = [], 0.0
        for j, each in enumerate(latents):
            if j:
                given = self._conditioned(j, everywhere, before)
                parts = (tf.split(part, [draws * rows, rows]) for part in given)
                of_draws, of_truth = (Given(*part) for part in zip(*parts, strict=True))
            else:
                of_truth = self._conditioned(0, condition, before)
                of_draws = Given(*(tf.concat([part] * draws, 0) for part in of_truth))
            value, column = self._draw(of_draws, each)
            true_value, true_latent, its_slope = self._inverted(of_truth, truth[j])
            pairs = (value, true_value), (column, truth[j]), (each, true_latent)
            for known, (of_draw, true) in zip(before, pairs, strict=True):
                known.append(tf.concat([of_draw, tf.stop_gradient(true)], 0))
            drawn.append(column)
            true_latents.append(true_latent)
            log_slope += its_slope
        likelihood = log_density(tf.stack(true_latents, axis=1), log_slope)
        return tf.stack(drawn, axis=1), likelihood

    def _draw(self, given: Given, latent: Any) -> tuple[Any, Any]:
        """The column's v, and the column itself, from its latents."""
        value = spline_of(given.spline, self.bins)(latent)
        value = tf.clip_by_value(value, -MAX_ARSINH, MAX_ARSINH)
        return value, given.shift + tf.exp(given.log_scale) * tf.sinh(value)

    def _inverted(self, given: Given, column: Any) -> tuple[Any, Any, Any]:
        """The column's v, its latents, and the log slope of the map from latent to column."""
        value, stretch = compress(given, column)
        latent, log_slope = spline_of(given.spline, self.bins).inverse(value)
        return value, latent, log_slope + stretch

    def _conditioned(self, j: int, condition: Any, before: Before) -> Given:
        output = self.conditioners[j](self._inputs(condition, before))
        output += self.start(j)
        if not j:
            zero = tf.zeros_like(output[:, 0])
            return Given(output, zero, zero)
        # The gradient of a split is one operation, that of slices several.
        spline, factors, raw = tf.split(output, [num_parameters(self.bins), j, 1], axis=1)
        shift = tf.reduce_sum(factors * tf.stack(before.columns, axis=1), axis=1)
        return Given(spline, shift, bounded_log_scale(raw[:, 0]))

    def start(self, j: int) -> np.ndarray:
        """What a conditioner's output is added to: the identity, of no column but its own."""
        return np.append(self._identity, np.zeros(num_regressors(j), "float32"))

    def _inputs(self, condition: Any, before: Before) -> tuple[Any, ...]:
        """What a conditioner takes."""
        if self.sees_residuals:
            count = self.num_outputs
            condition, *scales = tf.split(condition, [self.num_conditions, count, count], axis=1)
        if not before.columns:
            return (condition,)
        compressed, columns, latents = (tf.stack(each, axis=1) for each in before)
        if not self.sees_residuals:
            return condition, compressed
        location, log_scale = (each[:, : len(before.columns)] for each in scales)
        residuals = seen_residuals(location + tf.exp(log_scale) * columns)
        return condition, compressed, residuals, seen_latents(latents)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this network."""
        names = ("num_outputs", "width", "depth", "activation", "bins", "seed")
        own = {name: getattr(self, name) for name in names}
        # As versions before this input wrote it.
        own |= {"sees_residuals": True, "sees_latents": True} if self.sees_residuals else {}
        return {**super().get_config(), "map": _MAP, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Generator:
        """Rebuild from :meth:`get_config`; ValueError for a generator with another map."""
        config = dict(config)
        seen = config.get("sees_residuals", False) == config.pop("sees_latents", False)
        if config.pop("map", None) != _MAP or not seen:
            raise ValueError("its map is that of an earlier version")
        return cls(**config)
