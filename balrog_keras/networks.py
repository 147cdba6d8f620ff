"""Perceptrons: the critic, the location/scale regression, and what the generator is made of."""

from __future__ import annotations

from typing import Any

import keras

from balrog_keras.activations import activation_named

# Bound of |ln(scale)| in units of the global spread: keeps a far extrapolation finite.
MAX_LOG_SCALE = 8.0

__all__ = ["MAX_LOG_SCALE", "Critic", "LocationScale", "Perceptron", "hidden_layers"]


def hidden_layers(width: int, depth: int, activation: str, seed: int) -> list[keras.layers.Layer]:
    """Dense layers, He-initialised, each with a seed and a name of its own."""
    return [
        keras.layers.Dense(
            width,
            activation=activation_named(activation),
            kernel_initializer=keras.initializers.HeNormal(seed=seed + index),
            name=f"hidden_{index}",
        )
        for index in range(depth)
    ]


class Perceptron(keras.Model):
    """Multi-layer perceptron on the concatenation of its inputs.

    Parameters
    ----------
    num_outputs : int
        Length of the output vector.
    width, depth : int
        Units in, and number of, hidden layers.
    activation : str
        Keras' name of the hidden layers' activation.
    seed : int
        Seed of the initial weights.
    **kwargs
        Passed to :class:`keras.Model`.
    """

    def __init__(
        self,
        num_outputs: int,
        width: int = 128,
        depth: int = 3,
        activation: str = "silu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_outputs, self.width, self.depth = num_outputs, width, depth
        self.activation, self.seed = activation, seed
        self.hidden = hidden_layers(width, depth, activation, seed)
        self.head = keras.layers.Dense(
            num_outputs,
            kernel_initializer=keras.initializers.GlorotNormal(seed=seed + depth),
            name="head",
        )

    def build(self, input_shape: Any) -> None:
        """Create all weights; `input_shape` is the tuple of the inputs' shapes."""
        size = sum(shape[-1] for shape in input_shape)
        for layer in (*self.hidden, self.head):
            layer.build((None, size))
            size = layer.units
        self.built = True

    def call(self, inputs: tuple[Any, ...]) -> Any:
        """Map ``(batch, n)`` float32 tensors to one of shape ``(batch, num_outputs)``."""
        hidden = keras.ops.concatenate(inputs, axis=-1)
        for layer in self.hidden:
            hidden = layer(hidden)
        return self.head(hidden)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this network."""
        own = {name: getattr(self, name) for name in ("width", "depth", "activation", "seed")}
        return {**super().get_config(), "num_outputs": self.num_outputs, **own}


@keras.saving.register_keras_serializable(package="balrog_keras")
class Critic(Perceptron):
    """D(measured, condition): how real a standardized measured vector looks, unbounded.

    Called on ``(measured, condition)``, both standardized float32 of shape ``(batch, n)``; gives
    ``(batch, 1)``. No batch normalisation, which would couple the rows whose gradients the penalty
    takes one by one (Gulrajani et al. 2017, section 4).

    Parameters
    ----------
    num_outputs : int
        Always 1; kept so that all networks have one constructor.
    width, depth : int
        Units in, and number of, hidden layers.
    activation : str
        Keras' name of the hidden layers' activation.
    seed : int
        Seed of the initial weights.
    **kwargs
        Passed to :class:`keras.Model`.
    """

    def __init__(
        self,
        num_outputs: int = 1,
        width: int = 128,
        depth: int = 3,
        activation: str = "silu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_outputs, width, depth, activation, seed, **kwargs)


@keras.saving.register_keras_serializable(package="balrog_keras")
class LocationScale(Perceptron):
    """Regression of the location and log-scale of each measured column on the condition.

    Called on ``(condition,)``, standardized float32 ``(batch, num_conditions)``; gives
    ``(batch, 2 * number of measured columns)``: locations, then natural logs of scales.

    Parameters
    ----------
    num_outputs : int
        Twice the number of measured columns.
    width, depth : int
        Units in, and number of, hidden layers.
    activation : str
        Keras' name of the hidden layers' activation.
    seed : int
        Seed of the initial weights.
    **kwargs
        Passed to :class:`keras.Model`.
    """

    def call(self, inputs: tuple[Any, ...]) -> Any:
        """Map conditions ``(batch, num_conditions)`` to ``(batch, num_outputs)``."""
        location, log_scale = keras.ops.split(super().call(inputs), 2, axis=-1)
        log_scale = MAX_LOG_SCALE * keras.ops.tanh(log_scale / MAX_LOG_SCALE)
        return keras.ops.concatenate([location, log_scale], axis=-1)
