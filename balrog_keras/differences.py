"""Measured columns that are learned as differences from another one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from balrog_keras.networks import LocationScale

__all__ = ["Differences"]


@keras.saving.register_keras_serializable(package="balrog_keras")
class Differences(keras.Model):
    """Columns x linked to an earlier one, x', as ``(x - x' - location(c)) / scale(c)``.

    The errors of one galaxy's fluxes in several bands hold to each other a hundred times more
    closely than to what the condition c says of each: a location of each alone, with its own error,
    would drown that. They are the last columns that are drawn, since what is nearly determined by
    the others has little to say of them. Their deviations have long tails; a difference is kept
    within the training rows' range and once more that range on both sides.

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
        self.network = LocationScale(
            2 * count, width, depth, seed=seed, name="location_scale_of_differences"
        )
        self.network.build(((None, num_conditions),))
        self.median = self._constant("median", count, "zeros")
        self.spread = self._constant("spread", count, "ones")
        self.least = self._constant("least", count, "zeros")
        self.most = self._constant("most", count, "zeros")
        self.built = True

    def _constant(self, name: str, size: int, initializer: str) -> Any:
        return self.add_weight(name=name, shape=(size,), initializer=initializer, trainable=False)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this model (weights are saved apart)."""
        names = ("links", "num_conditions", "width", "depth", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _of(self, values: Any, ops: Any = keras.ops) -> Any:
        """Differences ``(..., L)`` in columns ``(..., M)``."""
        each = [values[..., column] - values[..., self.links[column]] for column in self.linked]
        return ops.stack(each, axis=-1)

    def adapt(self, values: np.ndarray) -> None:
        """Set medians, spreads and ranges from training rows ``(N, M)``."""
        low, median, high = np.percentile(self._of(values, np), [16, 50, 84], axis=0)
        least, most = self._of(values, np).min(axis=0), self._of(values, np).max(axis=0)
        self.least.assign(2.0 * least - most)
        self.most.assign(2.0 * most - least)
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
        return self.linked_last(deviations, of_differences)

    def linked_last(self, columns: Any, of_differences: Any, axis: int = -1) -> Any:
        """Those of the measured columns that are not linked, then what is of the differences."""
        others = keras.ops.take(columns, self.order[: -len(self.linked)], axis=axis)
        return keras.ops.concatenate([others, of_differences], axis=axis)

    def context(self, condition: Any, parts: list[Any]) -> list[Any]:
        """Locations and log scales ``(N, M)``, those of the differences last.

        Parameters
        ----------
        condition : float32 tensor, shape (N, num_conditions)
            Standardized.
        parts : list of two float32 tensors, shape (N, M)
            Locations and log scales of the columns themselves.

        Returns
        -------
        list of two float32 tensors, shape (N, M)
        """
        own = keras.ops.split(self.network((condition,)), 2, axis=-1)
        return [self.linked_last(*pair) for pair in zip(parts, own, strict=True)]

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
        location, log_scale = keras.ops.split(self.network((condition,)), 2, axis=-1)
        parts = location, keras.ops.exp(log_scale), values, standardized
        columns = [keras.ops.unstack(each, axis=-1) for each in parts]
        return keras.ops.stack(self.restored_columns(*columns), axis=-1)

    def restored_columns(
        self, location: list[Any], scale: list[Any], values: list[Any], standardized: list[Any]
    ) -> list[Any]:
        """:meth:`restore` column by column; `location` and `scale` are those of differences."""
        values = list(values)
        for place, column in enumerate(self.linked):
            deviation = location[place] + scale[place] * standardized[column]
            difference = self.median[place] + self.spread[place] * deviation
            bounded = keras.ops.clip(difference, self.least[place], self.most[place])
            values[column] = values[self.links[column]] + bounded
        return values
