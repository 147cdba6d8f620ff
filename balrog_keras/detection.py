"""DetectionModel: calibrated P(detected | truth, survey properties)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from balrog_keras.networks import hidden_layers
from balrog_keras.transforms import transformed, transforms_of
from data_prep.schema import Schema

__all__ = ["DetectionModel"]

# sigmoid(±15) is 3e-7 from 0 and 1: in float32 still inside (0, 1), where a log-loss is finite.
_MAX_LOGIT = 15.0


@keras.saving.register_keras_serializable(package="balrog_keras")
class DetectionModel(keras.Model):
    """Multi-layer perceptron that gives the log-odds of detection, and their calibration.

    Conditions come in physical units; transforms, z-scores and calibration are inside. Called on
    conditions it gives the network's own log-odds, which are fitted by the log-loss; then
    ``calibration_slope`` and ``calibration_intercept`` are fitted on other rows (Platt 1999,
    "Probabilistic outputs for support vector machines"), and :meth:`probability` applies them.

    Parameters
    ----------
    num_conditions : int
        Columns of the condition vector.
    condition_transforms : list of str, optional
        Transform of each; the identity by default.
    width, depth : int
        Units in, and number of, hidden layers.
    activation : str
        Keras' name of the hidden layers' activation.
    seed : int
        Seed of the initial weights.
    **kwargs
        Passed to :class:`keras.Model`.

    Examples
    --------
    >>> model = DetectionModel(num_conditions=9, width=8, depth=1)
    >>> model.probability(np.zeros((5, 9), "float32")).shape
    TensorShape([5])
    """

    def __init__(
        self,
        num_conditions: int,
        condition_transforms: list[str] | None = None,
        width: int = 128,
        depth: int = 3,
        activation: str = "silu",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_conditions = num_conditions
        self.condition_transforms = condition_transforms or ["identity"] * num_conditions
        self.width, self.depth, self.activation, self.seed = width, depth, activation, seed
        self.hidden = hidden_layers(width, depth, activation, seed)
        self.head = keras.layers.Dense(
            1, kernel_initializer=keras.initializers.GlorotNormal(seed=seed + depth), name="head"
        )
        size = num_conditions
        for layer in (*self.hidden, self.head):
            layer.build((None, size))
            size = layer.units
        self.condition_mean = self._constant("condition_mean", (num_conditions,), "zeros")
        self.condition_std = self._constant("condition_std", (num_conditions,), "ones")
        self.calibration_slope = self._constant("calibration_slope", (), "ones")
        self.calibration_intercept = self._constant("calibration_intercept", (), "zeros")
        self.built = True

    @classmethod
    def for_schema(
        cls, schema: Schema, width: int = 128, depth: int = 3, seed: int = 0
    ) -> DetectionModel:
        """Model of a schema's conditions."""
        columns = schema.truth + schema.survey
        return cls(len(columns), transforms_of(columns), width, depth, seed=seed, name="detection")

    def _constant(self, name: str, shape: tuple[int, ...], initializer: str) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=False)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this model (weights are saved apart)."""
        names = ("num_conditions", "condition_transforms", "width", "depth", "activation", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def adapt(self, condition: np.ndarray) -> None:
        """Set means and spreads from training rows; columns that do not vary get scale 1.

        Parameters
        ----------
        condition : float32 array, shape (N, num_conditions)
            Physical units.
        """
        values = np.asarray(transformed(condition, self.condition_transforms), "float64")
        deviation = values.std(axis=0)
        # Constant in float32 up to rounding of the mean: dividing by that would blow noise up.
        floor = 1e-6 * np.abs(values).max(axis=0)
        self.condition_mean.assign(values.mean(axis=0))
        self.condition_std.assign(np.where(deviation > floor, deviation, 1.0))

    def call(self, condition: Any) -> Any:
        """Log-odds before calibration.

        Parameters
        ----------
        condition : float32 tensor, shape (N, num_conditions)
            Physical units.

        Returns
        -------
        float32 tensor, shape (N,)
        """
        values = transformed(condition, self.condition_transforms, keras.ops)
        hidden = (values - self.condition_mean) / self.condition_std
        for layer in self.hidden:
            hidden = layer(hidden)
        return keras.ops.squeeze(self.head(hidden), -1)

    def probability(self, condition: Any) -> Any:
        """Calibrated probability of detection.

        Parameters
        ----------
        condition : float32 tensor, shape (N, num_conditions)
            Physical units. NaN gives NaN.

        Returns
        -------
        float32 tensor, shape (N,)
            In (0, 1).
        """
        logit = self.calibration_slope * self(condition) + self.calibration_intercept
        return keras.ops.sigmoid(keras.ops.clip(logit, -_MAX_LOGIT, _MAX_LOGIT))
