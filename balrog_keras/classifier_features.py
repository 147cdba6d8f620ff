"""What the classifiers of the two-sample test see of a row."""

from __future__ import annotations

import numpy as np

from balrog_keras.residuals import colours, residuals, standardized
from data_prep.schema import Schema

__all__ = ["feature_names", "features"]


def features(
    schema: Schema,
    condition: np.ndarray,
    measured: np.ndarray,
    location: np.ndarray,
    scale: np.ndarray,
) -> np.ndarray:
    """What the classifiers see of each row.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition : float array, shape (N, C)
        Conditions.
    measured : float array, shape (N, M)
        Real or emulated columns.
    location, scale : float array, shape (N, M)
        Conditional location and scale of the transformed measured columns.

    Returns
    -------
    float32 array, shape (N, F)
        Condition, measured, residuals, standardized measured, colours.
    """
    parts = [condition, measured, residuals(schema, condition, measured)]
    parts += [standardized(schema, measured, location, scale), colours(schema, measured)[1]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def feature_names(schema: Schema) -> list[str]:
    """What the columns of :func:`features` are, in words."""
    measured = schema.measured_names
    return [
        *schema.condition_names,
        *measured,
        *(f"{name} - {ref}" for name, ref in zip(measured, _references(schema), strict=True)),
        *(f"({name} - location) / scale" for name in measured),
        *colours(schema, np.empty((0, len(measured))))[0],
    ]


def _references(schema: Schema) -> list[str]:
    return [column.reference or "0" for column in schema.measured]
