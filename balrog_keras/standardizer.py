"""Physical units <-> standardized: transforms, z-scores, conditional location and scale."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from balrog_keras.band_families import link_indices
from balrog_keras.differences import Differences
from balrog_keras.networks import LocationScale
from balrog_keras.transforms import reference_indices, restored, transformed, transforms_of
from data_prep.schema import Schema

__all__ = ["Standardizer", "student_t_loss"]

_DEGREES_OF_FREEDOM = 5.0


def student_t_loss(target: Any, prediction: Any) -> Any:
    """Negative log-likelihood of a Student-t (5 degrees of freedom), without its constant.

    Heavy tails (blends, tens of sigma out) pull less on location and scale than under a Gaussian
    (Lange, Little & Taylor 1989, doi:10.1080/01621459.1989.10478852).

    Parameters
    ----------
    target : float32 tensor, shape (batch, M)
        Residuals in units of the global spread.
    prediction : float32 tensor, shape (batch, 2 M)
        Locations, then natural logs of scales.

    Returns
    -------
    float32 tensor, shape (batch,)
        Summed over the M columns.
    """
    location, log_scale = keras.ops.split(prediction, 2, axis=-1)
    squared = keras.ops.square((target - location) * keras.ops.exp(-log_scale))
    half = 0.5 * (_DEGREES_OF_FREEDOM + 1.0)
    return keras.ops.sum(half * keras.ops.log1p(squared / _DEGREES_OF_FREEDOM) + log_scale, axis=-1)


@keras.saving.register_keras_serializable(package="balrog_keras")
class Standardizer(keras.Model):
    """Invertible scaling of conditions and measured columns.

    Every column first takes its transform (identity, log10, log1p, asinh). Conditions are then
    z-scored. A measured column x with reference truth t becomes
    ``z = (x - location(c)) / scale(c)``, where location and scale are regressed on the condition
    c by :class:`~balrog_keras.networks.LocationScale`, starting from t. Most of the
    heteroscedasticity, which a GAN learns badly, is so taken out in closed form. A reference
    counts only if its transform is that of x; see
    :func:`~balrog_keras.transforms.reference_indices`. A column without one may be linked to
    another measured column, and is then learned as its difference from that one; see
    :class:`~balrog_keras.differences.Differences`.

    Parameters
    ----------
    num_conditions : int
        Columns of the condition vector.
    reference : list of int
        For each measured column the index of its reference among the conditions, or -1 for none.
    condition_transforms, measured_transforms : list of str, optional
        Transform of each column; the identity by default.
    width, depth : int
        Size of the location/scale network.
    seed : int
        Seed of its initial weights.
    links : list of int, optional
        For each measured column the index of the earlier measured column that it is linked to, or
        -1 for none, as those that have a reference must; none by default.
    gives_scales : bool
        Whether :meth:`context` has locations and scales, for a generator that sees residuals.
    **kwargs
        Passed to :class:`keras.Model`.
    """

    def __init__(
        self,
        num_conditions: int,
        reference: list[int],
        condition_transforms: list[str] | None = None,
        measured_transforms: list[str] | None = None,
        width: int = 128,
        depth: int = 3,
        seed: int = 0,
        links: list[int] | None = None,
        gives_scales: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_conditions, self.reference = num_conditions, list(reference)
        self.condition_transforms = condition_transforms or ["identity"] * num_conditions
        self.measured_transforms = measured_transforms or ["identity"] * len(reference)
        self.width, self.depth, self.seed = width, depth, seed
        self.links = list(links or [-1] * len(reference))
        self.gives_scales = gives_scales
        self.location_scale_network = LocationScale(
            2 * len(reference), width, depth, seed=seed, name="location_scale"
        )
        self.location_scale_network.build(((None, num_conditions),))
        self.condition_mean = self._constant("condition_mean", num_conditions, "zeros")
        self.condition_std = self._constant("condition_std", num_conditions, "ones")
        self.residual_median = self._constant("residual_median", len(reference), "zeros")
        self.residual_spread = self._constant("residual_spread", len(reference), "ones")
        self.differences = None
        if max(self.links) >= 0:
            self.differences = Differences(
                self.links, num_conditions, width, depth, seed + 100, name="differences"
            )
        # By index, not by a matrix product: reduced-precision products would cost millimagnitudes.
        self._reference_index = np.maximum(reference, 0)
        self._has_reference = (np.asarray(reference) >= 0).astype("float32")
        self.built = True

    @classmethod
    def for_schema(
        cls, schema: Schema, width: int = 128, depth: int = 3, seed: int = 0
    ) -> Standardizer:
        """Standardizer with the columns and references of a schema."""
        conditions, references = schema.truth + schema.survey, reference_indices(schema)
        return cls(
            len(conditions),
            references,
            transforms_of(conditions),
            transforms_of(schema.measured),
            width,
            depth,
            seed,
            link_indices(schema),
            # The generator sees residuals where a column has none of its own.
            gives_scales=min(references) < 0,
            name="standardizer",
        )

    def _constant(self, name: str, size: int, initializer: str) -> Any:
        return self.add_weight(name=name, shape=(size,), initializer=initializer, trainable=False)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild this standardizer (weights are saved apart)."""
        names = (
            "num_conditions", "reference", "condition_transforms", "measured_transforms", "width",
            "depth", "seed",
        )  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        # As versions before links wrote it, so that their emulators are fine-tuned.
        links = {} if self.differences is None else {"links": self.links}
        scales = {"gives_scales": True} if self.gives_scales else {}
        return {**super().get_config(), **own, **links, **scales}

    def adapt(self, condition: np.ndarray, measured: np.ndarray) -> None:
        """Set means and spreads from training rows; columns that do not vary get scale 1.

        Parameters
        ----------
        condition : float32 array, shape (N, num_conditions)
            Physical units.
        measured : float32 array, shape (N, M)
            Physical units.
        """
        condition = transformed(np.asarray(condition), self.condition_transforms)
        measured = transformed(np.asarray(measured), self.measured_transforms)
        residual = np.asarray(measured - self._reference(condition), "float64")
        low, median, high = np.percentile(residual, [16, 50, 84], axis=0)
        deviation = np.asarray(condition, "float64").std(axis=0)
        spread = 0.5 * (high - low)
        self.condition_mean.assign(np.asarray(condition, "float64").mean(axis=0))
        # Constant in float32 up to rounding of the mean: dividing by that would blow noise up.
        floor = 1e-6 * np.abs(condition).max(axis=0)
        self.condition_std.assign(np.where(deviation > floor, deviation, 1.0))
        self.residual_median.assign(median)
        self.residual_spread.assign(np.where(spread > 0, spread, 1.0))
        if self.differences is not None:
            self.differences.adapt(np.asarray(measured, "float64"))

    def standardize_condition(self, condition: Any) -> Any:
        """Physical conditions ``(N, num_conditions)`` to z-scores, float32."""
        return (self._transformed_condition(condition) - self.condition_mean) / self.condition_std

    def _transformed_condition(self, condition: Any) -> Any:
        return transformed(condition, self.condition_transforms, keras.ops)

    @property
    def context_size(self) -> int:
        """Columns of :meth:`context`."""
        return self.num_conditions + (2 * len(self.reference) if self.gives_scales else 0)

    def context(self, condition: Any) -> Any:
        """What the generator takes of physical conditions ``(N, C)``.

        Returns
        -------
        float32 tensor, shape (N, C) or (N, C + 2 M)
            Standardized conditions, and with `gives_scales` locations and natural logs of scales
            of the columns in the order of :meth:`standardize`, in global spreads.
        """
        standard = self.standardize_condition(condition)
        if not self.gives_scales:
            return standard
        parts = keras.ops.split(self.location_scale_network((standard,)), 2, axis=-1)
        if self.differences is not None:
            parts = self.differences.context(standard, parts)
        return keras.ops.concatenate([standard, *parts], axis=-1)

    def transformed_measured(self, measured: Any) -> Any:
        """Measured columns ``(N, M)``, physical units, by their transforms."""
        return transformed(measured, self.measured_transforms, keras.ops)

    def _reference(self, condition: Any) -> Any:
        """Reference of each measured column, transformed, ``(N, M)``; 0 where it has none."""
        return keras.ops.take(condition, self._reference_index, axis=-1) * self._has_reference

    def standard_and_reference(self, condition: Any) -> tuple[Any, Any]:
        """What drawing needs of physical conditions ``(N, C)``, quickly: z-scores and references.

        Returns
        -------
        standard : float32 tensor, shape (N, C)
            As :meth:`standardize_condition` gives them, to rounding.
        reference : float32 tensor, shape (M, N)
            Of each measured column, transformed; 0 where it has none.
        """
        # Operations on few columns are several times faster where these are contiguous.
        rows = keras.ops.transpose(self._transformed_condition(condition))
        reference = keras.ops.take(rows, self._reference_index, axis=0)
        inverse = keras.ops.reciprocal(self.condition_std)
        standard = (rows - self.condition_mean[:, None]) * inverse[:, None]
        return keras.ops.transpose(standard), reference * self._has_reference[:, None]

    def residual(self, condition: Any, measured: Any) -> Any:
        """Transformed measured minus reference, centred, over its global spread; ``(N, M)``."""
        reference = self._reference(self._transformed_condition(condition))
        raw = self.transformed_measured(measured) - reference
        return (raw - self.residual_median) / self.residual_spread

    def location_scale(self, condition: Any) -> tuple[Any, Any]:
        """Conditional location and scale of the measured columns.

        Parameters
        ----------
        condition : float32 tensor, shape (N, num_conditions)
            Physical units.

        Returns
        -------
        location, scale : float32 tensors, shape (N, M)
            Of the transformed measured columns, so in physical units where the transform is the
            identity, and in dex where it is log10; scale is positive.
        """
        output = self.location_scale_network((self.standardize_condition(condition),))
        location, log_scale = keras.ops.split(output, 2, axis=-1)
        reference = self._reference(self._transformed_condition(condition))
        location = reference + self.residual_median + self.residual_spread * location
        return location, self.residual_spread * keras.ops.exp(log_scale)

    def standardize(self, condition: Any, measured: Any) -> Any:
        """Measured ``(N, M)``, physical units, to standardized residuals, linked columns last."""
        location, scale = self.location_scale(condition)
        values = self.transformed_measured(measured)
        deviations = (values - location) / scale
        if self.differences is None:
            return deviations
        standard = self.standardize_condition(condition)
        return self.differences.standardize(standard, values, deviations)

    def destandardize(self, condition: Any, standardized: Any) -> Any:
        """Inverse of :meth:`standardize`."""
        values = self._values(condition, standardized, *self.location_scale(condition))
        return restored(values, self.measured_transforms, keras.ops)

    def _values(self, condition: Any, standardized: Any, location: Any, scale: Any) -> Any:
        """Transformed columns of standardized residuals ``(..., N, M)``."""
        if self.differences is None:
            return location + scale * standardized
        ordered = self.differences.ordered(standardized)
        standard = self.standardize_condition(condition)
        return self.differences.restore(standard, location + scale * ordered, ordered)

    def deviations(self, condition: Any, standardized: Any) -> Any:
        """Standardized residuals as every column's deviation from its own location in its scale.

        Parameters
        ----------
        condition : float32 tensor, shape (N, num_conditions)
            Physical units.
        standardized : float32 tensor, shape (..., N, M)
            As :meth:`standardize` gives them.

        Returns
        -------
        float32 tensor, shape (..., N, M)
            In the order of the measured columns; `standardized` itself where none is linked.
        """
        if self.differences is None:
            return standardized
        location, scale = self.location_scale(condition)
        return (self._values(condition, standardized, location, scale) - location) / scale
