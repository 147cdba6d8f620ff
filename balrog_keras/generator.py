"""The generator: a triangular map from latents to standardized measured columns."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.networks import Perceptron
from balrog_keras.splines import identity_parameters, num_parameters, spline_of

__all__ = ["MAX_ARSINH", "Generator"]

# sinh of more overflows nothing, and no measured value is e**20 scales from its location.
MAX_ARSINH = 20.0
# How splines are made of their parameters; weights fitted to another way give another map.
_SPLINES = "squareplus"
# The conditioners start close to nothing, so that the first draws are the latents themselves.
_HEAD_SCALE = 0.1


@keras.saving.register_keras_serializable(package="balrog_keras")
class Generator(keras.Model):
    r"""G(condition, latent): standardized measured columns from noise.

    Column after column, :math:`x_j = \sinh s_j(u_j; c, x_1, \ldots, x_{j-1})`, where :math:`s_j` is
    an increasing rational-quadratic spline (:class:`~balrog_keras.splines.Spline`) whose
    parameters a perceptron, the column's conditioner, gives for the condition c and the columns
    before it. Any continuous distribution is such a triangular map of independent normals
    (Knothe-Rosenblatt), and the map can be inverted, so that beside the critic's loss the
    generator has a likelihood to be started and held with (Flow-GAN: Grover et al. 2018,
    arXiv:1705.08868). sinh turns linear tails of the spline into the tens of standard deviations
    of blended galaxies.

    Called on ``(condition, latent)``, standardized conditions ``(batch, num_conditions)`` and
    standard-normal latents ``(batch, num_outputs)``, both float32; gives standardized residuals
    ``(batch, num_outputs)``, one per measured column.

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
        bins: int = 6,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_outputs, self.width, self.depth = num_outputs, width, depth
        self.activation, self.bins, self.seed = activation, bins, seed
        self.conditioners = [
            Perceptron(
                num_parameters(bins), width, depth, activation, seed + 100 * j, name=f"column_{j}"
            )
            for j in range(num_outputs)
        ]
        self.input_shapes: tuple[tuple[None, int], ...] = ()
        self.identity = np.asarray(identity_parameters(bins), "float32")

    def build(self, input_shape: Any) -> None:
        """Create all weights; `input_shape` is that of the condition and of the latents."""
        num_conditions = input_shape[0][-1]
        self.input_shapes = ((None, num_conditions), (None, self.num_outputs))
        for j, conditioner in enumerate(self.conditioners):
            conditioner.build(((None, num_conditions), (None, j)))
            kernel = conditioner.head.kernel
            kernel.assign(_HEAD_SCALE * kernel)
        self.built = True

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Map ``(condition, latent)`` to ``(batch, num_outputs)``."""
        condition, latent = inputs
        compressed: list[Any] = []
        for j in range(self.num_outputs):
            spline = spline_of(self.parameters(j, condition, compressed), self.bins)
            value = spline(latent[:, j])
            compressed.append(tf.clip_by_value(value, -MAX_ARSINH, MAX_ARSINH))
        return tf.sinh(tf.stack(compressed, axis=1))

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
        compressed = tf.unstack(tf.asinh(measured), axis=1)
        # All columns at once: they are known, unlike in a draw.
        parameters = [
            self.parameters(j, condition, compressed[:j]) for j in range(self.num_outputs)
        ]
        spline = spline_of(tf.concat(parameters, axis=0), self.bins)
        latent, log_slope = spline.inverse(tf.concat(compressed, axis=0))
        terms = 0.5 * tf.square(latent) + log_slope + 0.5 * math.log(2.0 * math.pi)
        terms = tf.reshape(terms, (self.num_outputs, -1))
        stretch = 0.5 * tf.math.log1p(tf.square(measured))
        return -tf.reduce_sum(terms, axis=0) - tf.reduce_sum(stretch, axis=1)

    def parameters(self, j: int, condition: Any, before: list[Any]) -> Any:
        """Spline parameters of column j; `before` has arsinh of the columns before it."""
        return self.conditioners[j](self.conditioner_inputs(condition, before)) + self.identity

    @staticmethod
    def conditioner_inputs(condition: Any, before: list[Any]) -> tuple[Any, ...]:
        """What a conditioner takes; `before` has arsinh of the columns before its own."""
        return (condition, tf.stack(before, axis=1)) if before else (condition,)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this network."""
        names = ("num_outputs", "width", "depth", "activation", "bins", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), "splines": _SPLINES, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Generator:
        """Rebuild from :meth:`get_config`; ValueError for a generator with other splines."""
        config = dict(config)
        if config.pop("splines", None) != _SPLINES:
            raise ValueError("its splines are those of an earlier version")
        return cls(**config)
