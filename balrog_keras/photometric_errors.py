"""What an emulator is compared with: photometric errors that are made without one.

:class:`GaussianErrors` is Gaussian noise about the truth whose size depends on the magnitude, as it
is measured on the training rows; for the formula of a depth see :mod:`balrog_keras.depth_errors`.
:class:`NeighbourErrors` draws the residual of one of the training galaxies that are most alike in
all conditions.
"""

from __future__ import annotations

import numpy as np

from balrog_keras.metrics import quantile_bins
from balrog_keras.numpy_noise import keyed_normals, keyed_uniform
from balrog_keras.residuals import residuals
from balrog_keras.transforms import reference_indices, restored, transformed, transforms_of
from data_prep.schema import Schema

__all__ = ["GaussianErrors", "NeighbourErrors"]

_ERROR_BINS = 40
# Of so many nearest training rows one is drawn: few enough to be alike, enough to differ.
_NEIGHBOURS = 20


def _measured(schema: Schema, condition: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Measured columns in physical units from residuals: inverse of ``residuals``."""
    values = np.array(residual, np.float64)
    truth = transformed(condition, transforms_of(schema.truth + schema.survey))
    for index, reference in enumerate(reference_indices(schema)):
        if reference >= 0:
            values[:, index] += truth[:, reference]
    result: np.ndarray = restored(values, transforms_of(schema.measured))
    return result.astype(np.float32)


class GaussianErrors:
    """Gaussian errors whose size depends on the column's own truth, independent between columns.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition, measured : float arrays, shapes (N, C) and (N, M)
        Training rows. In 40 bins of equal numbers of its truth column (of the first one, if it
        refers to none), half the 16-84 % range of the residual is the error; between bins its
        logarithm is interpolated. A column that refers to no truth is centred on its bin's median.
    """

    label = "Gaussian errors"

    def __init__(self, schema: Schema, condition: np.ndarray, measured: np.ndarray) -> None:
        self.schema = schema
        self._references = reference_indices(schema)
        values = residuals(schema, condition, measured)
        self._curves = [
            self._curve(condition[:, max(place, 0)], values[:, m])
            for m, place in enumerate(self._references)
        ]

    @staticmethod
    def _curve(truth: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, ...]:
        label, edges = quantile_bins(truth, _ERROR_BINS)
        cells = [label == k for k in range(len(edges) - 1)]
        cells = [rows for rows in cells if np.count_nonzero(rows) > 1]
        at = np.array([np.median(truth[rows]) for rows in cells])
        low, middle, high = np.array(
            [np.quantile(residual[rows], [0.16, 0.5, 0.84]) for rows in cells]
        ).T
        return at, middle, np.log(np.maximum(0.5 * (high - low), 1e-12))

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Draw measured columns: a pure function of condition, row id and seed.

        Parameters
        ----------
        condition : float array, shape (N, C)
            Truth and survey properties, physical units.
        row_id : int64 array, shape (N,)
            Identity of each row.
        seed : int
            Another seed is another realization.

        Returns
        -------
        float32 array, shape (N, M)
            Physical units.
        """
        noise = keyed_normals(seed, row_id, len(self._curves)).astype(np.float64)
        for m, ((at, middle, error), place) in enumerate(
            zip(self._curves, self._references, strict=True)
        ):
            truth = condition[:, max(place, 0)]
            noise[:, m] *= np.exp(np.interp(truth, at, error))
            if place < 0:
                noise[:, m] += np.interp(truth, at, middle)
        return _measured(self.schema, condition, noise)


class NeighbourErrors:
    """The residuals of one of the 20 nearest training galaxies, all columns together.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition, measured : float arrays, shapes (N, C) and (N, M)
        Training rows; distances are Euclidean in the conditions, each over its half 16-84 % range.
    """

    label = "nearest neighbours"

    def __init__(self, schema: Schema, condition: np.ndarray, measured: np.ndarray) -> None:
        from scipy.spatial import cKDTree

        self.schema = schema
        low, high = np.quantile(condition, [0.16, 0.84], axis=0)
        self._unit = np.where(high > low, 0.5 * (high - low), 1.0)
        self._tree = cKDTree(condition / self._unit)
        self._residuals = residuals(schema, condition, measured)
        self._count = min(_NEIGHBOURS, len(condition))

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Draw measured columns: a pure function of condition, row id and seed.

        Parameters
        ----------
        condition : float array, shape (N, C)
            Truth and survey properties, physical units.
        row_id : int64 array, shape (N,)
            Identity of each row.
        seed : int
            Another seed is another realization.

        Returns
        -------
        float32 array, shape (N, M)
            Physical units.
        """
        distinct, index = np.unique(condition, axis=0, return_inverse=True)
        near = self._tree.query(distinct / self._unit, self._count)[1].reshape(len(distinct), -1)
        which = (keyed_uniform(seed, row_id) * self._count).astype(np.int64)
        chosen = near[index.ravel(), which]
        return _measured(self.schema, condition, self._residuals[chosen])
