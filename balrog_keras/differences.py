"""Measured columns that are learned as differences from another one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from balrog_keras.networks import LocationScale

__all__ = ["Differences"]

# sinh of more is no difference in scales.
_MAX_ARSINH = 20.0


@keras.saving.register_keras_serializable(package="balrog_keras")
class Differences(keras.Model):
    """Columns x linked to an earlier one, x': ``arsinh((x - x' - location(c)) / scale(c))``.

    The errors of one galaxy's fluxes in several bands hold to each other a hundred times more
    closely than to what the condition c says of each: a location of each alone, with its own error,
    would drown that. Such differences have long tails, hence the arsinh. They are the last columns
    that are drawn, since what is nearly determined by the others has little to say of them.

    Values are those of transformed measured columns, which have no reference among the conditions.

    Parameters
    ----------
    links : list of int
        For each of the M measured columns the place of the earlier one that it is linked to, or -1.
    num_conditions : int
        Columns of the condition vector.
    width, depth : int
        Size of the network that gives location and scale. It is of its own: the differences are so
        narrow that all that a network can do would go into them.
    seed : int
        Seed of its initial weights.
    **kwargs
        Passed to :class:`keras.Model`.
    """

    def __init__(
        self,
        links: list[int],
        num_conditions: int,
        width: int = 128,
        depth: int = 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.links, self.num_conditions = list(links), num_conditions
        self.width, self.depth, self.seed = width, depth, seed
        self.linked = [column for column, link in enumerate(links) if link >= 0]
        # Where each measured column is among the standardized ones.
        first = [column for column, link in enumerate(links) if link < 0]
        self.order = np.array([*first, *self.linked])
        self.places = np.argsort(self.order)
        count = len(self.linked)
        self.network = LocationScale(2 * count, width, depth, seed=seed, name="location_scale")
        self.network.build(((None, num_conditions),))
        self.median = self.add_weight(
            name="median", shape=(count,), initializer="zeros", trainable=False
        )
        self.spread = self.add_weight(
            name="spread", shape=(count,), initializer="ones", trainable=False
        )
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this model (weights are saved apart)."""
        names = ("links", "num_conditions", "width", "depth", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _of(self, values: Any, ops: Any = keras.ops) -> Any:
        """Differences ``(..., L)`` in columns ``(..., M)``."""
        each = [values[..., column] - values[..., self.links[column]] for column in self.linked]
        return ops.stack(each, axis=-1)

    def adapt(self, values: np.ndarray) -> None:
        """Set medians and spreads from training rows ``(N, M)``."""
        low, median, high = np.percentile(self._of(values, np), [16, 50, 84], axis=0)
        spread = 0.5 * (high - low)
        self.median.assign(median)
        self.spread.assign(np.where(spread > 0, spread, 1.0))

    def residual(self, values: Any) -> Any:
        """Differences in rows ``(N, M)``, centred, over their global spread; ``(N, L)``."""
        return (self._of(values) - self.median) / self.spread

    def standardize(self, condition: Any, values: Any, deviations: Any) -> Any:
        """Standardized residuals: the other columns', then those of the linked ones.

        Parameters
        ----------
        condition : float32 tensor, shape (N, num_conditions)
            Standardized.
        values, deviations : float32 tensors, shape (N, M)
            Transformed columns; what they deviate from their own locations by, in their scales.

        Returns
        -------
        float32 tensor, shape (N, M)
        """
        location, log_scale = keras.ops.split(self.network((condition,)), 2, axis=-1)
        of_differences = (self.residual(values) - location) * keras.ops.exp(-log_scale)
        others = keras.ops.take(deviations, self.order[: -len(self.linked)], axis=-1)
        return keras.ops.concatenate([others, keras.ops.arcsinh(of_differences)], axis=-1)

    def ordered(self, standardized: Any, axis: int = -1) -> Any:
        """Standardized residuals in the order of the measured columns."""
        return keras.ops.take(standardized, self.places, axis=axis)

    def restore(self, condition: Any, values: Any, standardized: Any) -> Any:
        """Linked columns from standardized residuals.

        Parameters
        ----------
        condition : float32 tensor, shape (N, num_conditions)
            Standardized.
        values, standardized : float32 tensors, shape (..., N, M)
            Transformed columns, of which the linked ones are not looked at; what :meth:`ordered`
            gives.

        Returns
        -------
        float32 tensor, shape (..., N, M)
            `values` with the linked columns.
        """
        network = keras.ops.unstack(self.network((condition,)), axis=-1)
        columns = [keras.ops.unstack(each, axis=-1) for each in (values, standardized)]
        return keras.ops.stack(self.restored_columns(network, *columns), axis=-1)

    def restored_columns(
        self, network: list[Any], values: list[Any], standardized: list[Any]
    ) -> list[Any]:
        """:meth:`restore` column by column; `network` is what it gives, 2 L columns."""
        values, count = list(values), len(self.linked)
        for place, column in enumerate(self.linked):
            location, log_scale = network[place], network[count + place]
            bounded = keras.ops.clip(standardized[column], -_MAX_ARSINH, _MAX_ARSINH)
            deviation = location + keras.ops.exp(log_scale) * keras.ops.sinh(bounded)
            difference = self.median[place] + self.spread[place] * deviation
            values[column] = values[self.links[column]] + difference
        return values
