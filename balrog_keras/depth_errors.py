"""Photometric errors by the formula of the LSST error model, with a depth fitted to a survey.

The noise-to-signal ratio of a flux is sqrt(nsr_sys^2 + nsr_rand^2), with
nsr_rand^2 = (0.04 - gamma) x + gamma x^2 and x = 10^(0.4 (m - m5)): Ivezic et al. 2019
(doi:10.3847/1538-4357/ab042c), equations 4 and 5, for point sources. As in PhotErr (Crenshaw et al.
2024, arXiv:2405.04740) the noise is Gaussian in flux, which at a high signal-to-noise ratio is
Gaussian in magnitudes and at a low one is not. PhotErr takes m5 from a survey's exposures; here m5
and nsr_sys are those that describe the training rows best, and m5 follows the survey properties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from balrog_keras.metrics import quantile_bins
from balrog_keras.numpy_noise import keyed_normals
from balrog_keras.photometric_errors import GaussianErrors
from data_prep.photometry import convert, flux_to_mag
from data_prep.schema import NJY_ZERO_POINT, PHOTOMETRIC_UNITS, Column, Schema

__all__ = ["DepthErrors", "DepthFit", "noise_to_signal"]

# Table 2 of Ivezic et al. 2019: 0.038 in u, 0.039 in grizy.
_GAMMA = 0.039
_BINS, _FEWEST = 40, 100
# Fainter, a detection limit and (for magnitudes) the lack of negative fluxes change the scatter.
_LARGEST_NSR = 0.3
# Median of ln |z| of a normal z.
_MEDIAN_LOG = -0.39388


def noise_to_signal(mag: np.ndarray, m5: np.ndarray | float, systematic: float) -> np.ndarray:
    """Standard deviation of a point source's flux over the flux.

    Parameters
    ----------
    mag : float array, shape (N,)
        True magnitude.
    m5 : float or float array, shape (N,)
        Magnitude with a signal-to-noise ratio of 5, mag.
    systematic : float
        The ratio of a very bright source.

    Returns
    -------
    float64 array, shape (N,)

    Examples
    --------
    >>> noise_to_signal(np.array([20.0, 24.0]), 24.0, 0.005).round(4).tolist()
    [0.0086, 0.2001]
    """
    x = 10 ** (0.4 * np.minimum(np.asarray(mag, np.float64) - m5, 50.0))
    ratio: np.ndarray = np.sqrt(systematic**2 + (0.04 - _GAMMA) * x + _GAMMA * x**2)
    return ratio


@dataclass(frozen=True)
class DepthFit:
    """Depth of one measured column.

    Parameters
    ----------
    m5 : float
        5 sigma magnitude at the median of every survey property, mag.
    slopes : float64 array, shape (S,)
        Change of m5 with each survey property, in mag per dex (mag per unit for a property with
        values that are not positive).
    systematic : float
        Noise-to-signal ratio of a very bright source.
    """

    m5: float
    slopes: np.ndarray
    systematic: float

    @classmethod
    def of(cls, mag: np.ndarray, ratio: np.ndarray, survey: np.ndarray) -> DepthFit:
        """Fit the formula to fluxes.

        The residual is the logarithm of the flux error (from the median of its magnitude, so that a
        bias is no scatter) over the formula's; its median must be that of a Gaussian, so heavy
        tails do not count.

        Parameters
        ----------
        mag : float array, shape (N,)
            True magnitude.
        ratio : float array, shape (N,)
            Measured over true flux, minus 1.
        survey : float array, shape (N, S)
            Survey properties, zero at their median.

        Returns
        -------
        DepthFit
        """
        from scipy.optimize import least_squares

        start, bright, middle = _first_guess(mag, ratio)
        error = np.log(np.maximum(np.abs(ratio - middle), 1e-12))[bright]
        mag, survey = mag[bright], survey[bright]

        def residual(at: np.ndarray) -> np.ndarray:
            nsr = noise_to_signal(mag, at[0] + survey @ at[2:], np.exp(at[1]))
            found: np.ndarray = error - np.log(nsr) - _MEDIAN_LOG
            return found

        first = np.concatenate([[start, np.log(0.005)], np.zeros(survey.shape[1])])
        # Close to least absolute deviations, whose solution is the median, but smooth.
        at = least_squares(residual, first, loss="soft_l1", f_scale=0.05, x_scale="jac").x
        return cls(float(at[0]), at[2:], float(np.exp(at[1])))

    def nsr(self, mag: np.ndarray, survey: np.ndarray) -> np.ndarray:
        """Noise-to-signal ratio of rows, float64 (N,)."""
        return noise_to_signal(mag, self.m5 + survey @ self.slopes, self.systematic)


def _first_guess(mag: np.ndarray, ratio: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """m5 by the faintest bright bin, which rows are bright, and the median ratio at each row."""
    label, edges = quantile_bins(mag, _BINS)
    cells = [label == k for k in range(len(edges) - 1)]
    cells = [rows for rows in cells if np.count_nonzero(rows) > 1]
    low, middle, high = np.array([np.quantile(ratio[r], [0.16, 0.5, 0.84]) for r in cells]).T
    width = 0.5 * (high - low)
    at = np.array([np.median(mag[rows]) for rows in cells])
    faint = np.flatnonzero(width > _LARGEST_NSR)
    last = max(int(faint[0]) - 1, 0) if len(faint) else len(cells) - 1
    bright = mag <= mag[cells[last]].max()
    if np.count_nonzero(bright) < _FEWEST:
        bright[:] = True
    x = max(float(width[last]), 1e-3) / np.sqrt(_GAMMA)
    return float(at[last] - 2.5 * np.log10(x)), bright, np.interp(mag, at, middle)


class DepthErrors:
    """The LSST error model at the depth of the training rows, independent between columns.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition, measured : float arrays, shapes (N, C) and (N, M)
        Training rows, to which a :class:`DepthFit` is made for each measured magnitude or flux that
        refers to one. Other columns have the errors of :class:`GaussianErrors`.

    Attributes
    ----------
    fits : dict of int to DepthFit
        By place among the measured columns.
    """

    label = "LSST error model"

    def __init__(self, schema: Schema, condition: np.ndarray, measured: np.ndarray) -> None:
        self.schema = schema
        self._gaussian = GaussianErrors(schema, condition, measured)
        values = np.asarray(condition[:, len(schema.truth) :], np.float64)
        self._logarithmic = (values > 0).all(axis=0)
        self._middle = np.zeros(values.shape[1])
        self._middle = np.median(self._survey(condition), axis=0)
        survey = self._survey(condition)
        self._references = _photometric_references(schema)
        self.fits: dict[int, DepthFit] = {}
        for place, reference in self._references.items():
            true = _flux(condition[:, reference], schema.truth[reference])
            flux = _flux(measured[:, place], schema.measured[place])
            rows = (true > 0) & np.isfinite(flux)
            if np.count_nonzero(rows) >= _FEWEST:
                ratio = flux[rows] / true[rows] - 1
                self.fits[place] = DepthFit.of(_mag(true[rows]), ratio, survey[rows])

    @property
    def depths(self) -> dict[str, DepthFit]:
        """The same by name of the measured column."""
        return {self.schema.measured_names[place]: fit for place, fit in self.fits.items()}

    def _survey(self, condition: np.ndarray) -> np.ndarray:
        """Survey properties (or their logarithm to base 10), zero at their median."""
        values = np.asarray(condition[:, len(self.schema.truth) :], np.float64)
        logarithm = np.log10(np.maximum(values, 1e-30))
        found: np.ndarray = np.where(self._logarithmic, logarithm, values) - self._middle
        return found

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
            Physical units. Magnitudes, which only positive fluxes have, are of fluxes that are.
        """
        result = self._gaussian.draw(condition, row_id, seed)
        noise = keyed_normals(seed, row_id, result.shape[1]).astype(np.float64)
        survey = self._survey(condition)
        for place, fit in self.fits.items():
            column, reference = self.schema.measured[place], self._references[place]
            true = np.maximum(_flux(condition[:, reference], self.schema.truth[reference]), 1e-9)
            nsr = fit.nsr(_mag(true), survey)
            z = _positive(noise[:, place], nsr) if column.unit == "mag" else noise[:, place]
            result[:, place] = _from_flux(true * (1 + nsr * z), column)
        return result


def _positive(z: np.ndarray, nsr: np.ndarray) -> np.ndarray:
    """The same quantile of a normal distribution that is cut where the flux is zero."""
    from scipy.special import ndtr, ndtri

    # From above, where a small probability is exact.
    kept: np.ndarray = np.maximum(-ndtri(ndtr(-z) * ndtr(1 / nsr)), (1e-6 - 1) / nsr)
    return kept


def _photometric_references(schema: Schema) -> dict[int, int]:
    """Places of the measured columns that are a magnitude or flux, and of the truth of each."""
    names = [column.name for column in schema.truth]
    found = {}
    for place, column in enumerate(schema.measured):
        if column.reference in names:
            reference = names.index(column.reference)
            truth = schema.truth[reference]
            alike = truth.unit == column.unit == "flux"
            if all(each.unit in PHOTOMETRIC_UNITS and (alike or _absolute(each))
                   for each in (truth, column)):  # fmt: skip
                found[place] = reference
    return found


def _absolute(column: Column) -> bool:
    """Whether its values can be told in nJy."""
    if column.unit == "flux":
        return column.zero_point is not None
    return column.unit != "asinh mag" or column.softening is not None


def _zero_point(column: Column) -> float:
    return NJY_ZERO_POINT if column.zero_point is None else column.zero_point


def _flux(values: np.ndarray, column: Column) -> np.ndarray:
    """In nJy, or in the column's own unit where that is all one knows."""
    return convert(
        np.asarray(values, np.float64), column.unit, "nJy", zero_point=_zero_point(column),
        to_zero_point=NJY_ZERO_POINT, softening=column.softening,
    )  # fmt: skip


def _from_flux(flux: np.ndarray, column: Column) -> np.ndarray:
    return convert(
        flux, "nJy", column.unit, zero_point=NJY_ZERO_POINT, to_zero_point=_zero_point(column),
        softening=column.softening,
    )  # fmt: skip


def _mag(flux: np.ndarray) -> np.ndarray:
    return flux_to_mag(flux, NJY_ZERO_POINT)
