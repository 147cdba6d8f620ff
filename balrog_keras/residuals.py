"""What is compared of measured columns: residuals, standardized values, colours."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from balrog_keras.band_families import band_families
from balrog_keras.metrics import quantile_bins, spread
from balrog_keras.transforms import MAGNITUDES, reference_indices, transformed, transforms_of
from data_prep.schema import Schema

__all__ = ["binned_spread", "colours", "magnitude_families", "residuals", "standardized"]

# Deciles of the reference: finer ones hold too few of 1,000 validation rows.
_SPREAD_BINS = 10


def residuals(schema: Schema, condition: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Transformed measured columns minus the transformed truth columns they refer to.

    Parameters
    ----------
    schema : Schema
        Names the reference and the transform of each measured column.
    condition : float array, shape (N, C)
        Truth and survey properties, physical units.
    measured : float array, shape (N, M)
        Measured columns, physical units.

    Returns
    -------
    float64 array, shape (N, M)
        In physical units where the transform is the identity, in dex where it is log10; without
        a reference (see :func:`~balrog_keras.transforms.reference_indices`) the transformed value.
    """
    result = np.array(_transformed(schema, measured), np.float64)
    references = transformed(condition, transforms_of(schema.truth + schema.survey))
    for index, reference in enumerate(reference_indices(schema)):
        if reference >= 0:
            result[:, index] -= references[:, reference]
    return result


def standardized(
    schema: Schema, measured: np.ndarray, location: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Transformed measured columns in conditional scales from their conditional location.

    Parameters
    ----------
    schema : Schema
        Names the transform of each measured column.
    measured : float array, shape (..., M)
        Physical units.
    location, scale : float array, shape (..., M)
        Of the transformed columns, as an emulator's ``location_scale`` gives them.

    Returns
    -------
    float array, shape (..., M)
    """
    result: np.ndarray = (_transformed(schema, measured) - location) / scale
    return result


def binned_spread(schema: Schema, condition: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Spread of the residuals of rows with a similar reference; needs no fit.

    Parameters
    ----------
    schema, condition, measured
        As for :func:`residuals`.

    Returns
    -------
    float64 array, shape (N, M)
        Half the 16-84 % range of the residuals in the row's decile of the column's reference (of
        the first condition for a column without one); that of the column where a decile has none,
        and 1 where the column has none.
    """
    values = residuals(schema, condition, measured)
    units = np.empty_like(values)
    for index, reference in enumerate(reference_indices(schema)):
        column = values[:, index]
        whole = float(spread(column)) or 1.0
        label, _ = quantile_bins(condition[:, max(reference, 0)], _SPREAD_BINS)
        for k in np.unique(label):
            rows = label == k
            units[rows, index] = float(spread(column[rows])) or whole
    return units


def _transformed(schema: Schema, measured: np.ndarray) -> np.ndarray:
    values: np.ndarray = transformed(measured, transforms_of(schema.measured))
    return values


def magnitude_families(schema: Schema) -> list[dict[str, int]]:
    """Measured magnitudes that differ in their band alone, as ``meas_mag_r`` and ``meas_mag_i``.

    A magnitude is in mag or asinh mag and refers to a truth column, which the error of a
    magnitude does not.

    Parameters
    ----------
    schema : Schema
        Names of the bands and columns.

    Returns
    -------
    list of dict of str to int
        Band -> place among the measured columns, in the order of the schema's bands; at least
        two bands each.
    """
    return band_families(
        schema, lambda column: column.unit in MAGNITUDES and bool(column.reference)
    )


def colours(schema: Schema, measured: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Differences of magnitudes in neighbouring bands.

    Parameters
    ----------
    schema : Schema
        Tells which measured columns are magnitudes; see :func:`magnitude_families`.
    measured : float array, shape (N, M)
        Measured columns, physical units.

    Returns
    -------
    names : list of str
        For example ``["meas_mag_r - meas_mag_i"]``; empty with fewer than two magnitudes.
    values : float64 array, shape (N, len(names)), mag
    """
    families = [list(family.values()) for family in magnitude_families(schema)]
    pairs = [pair for places in families for pair in pairwise(places)]
    names = [f"{schema.measured_names[a]} - {schema.measured_names[b]}" for a, b in pairs]
    values = np.asarray(measured, np.float64)
    columns = [values[:, a] - values[:, b] for a, b in pairs]
    return names, np.stack(columns, axis=1) if columns else np.empty((len(values), 0))
