"""Intervals from a bootstrap over sky regions: whole regions are resampled, never rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from balrog_keras.threads import on_all_cores

__all__ = ["RegionBootstrap", "weighted_quantiles"]

# Weights held at once: 16 MB of float32, small enough for a laptop, large enough for speed.
_WEIGHTS_PER_BLOCK = 4_000_000


def weighted_quantiles(
    values: np.ndarray, weights: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Quantiles of one set of values under many sets of weights.

    The weighted form of Hazen's rule: a value sits at the middle of its own weight, and quantiles
    between two values are interpolated. With unit weights it is ``np.quantile(method="hazen")``.

    Parameters
    ----------
    values : float array, shape (n,)
        The values.
    weights : float array, shape (B, n)
        One row of non-negative weights per quantile set.
    probabilities : float array, shape (K,)
        In [0, 1].

    Returns
    -------
    float64 array, shape (B, K)
        NaN where all weights of a row are zero.
    """
    order = np.argsort(values)
    values = np.asarray(values, np.float64)[order]
    probabilities = np.asarray(probabilities, np.float64)
    result = np.full((len(weights), len(probabilities)), np.nan)
    last = len(values) - 1
    for row, weight in zip(result, weights, strict=True):
        weight = weight[order].astype(np.float64)
        cumulative = np.cumsum(weight)
        if last < 0 or cumulative[-1] <= 0:
            continue
        middle = cumulative - 0.5 * weight
        target = probabilities * cumulative[-1]
        high = np.clip(np.searchsorted(middle, target), 0, last)
        # The nearest values on both sides that have a weight; none below the first, above the last.
        before = np.where(high > 0, cumulative[high - 1], 0.0)
        low, high = (np.searchsorted(cumulative, before, side) for side in ("left", "right"))
        high = np.minimum(high, np.searchsorted(cumulative, cumulative[-1]))
        low = np.where(before > 0, low, high)
        gap = middle[high] - middle[low]
        share = np.clip((target - middle[low]) / np.where(gap > 0, gap, 1.0), 0.0, 1.0)
        row[:] = values[low] + share * (values[high] - values[low])
    return result


class RegionBootstrap:
    """Resample the regions of a sample with replacement.

    Objects of one tile share seeing, sky and field galaxies, so that rows are not independent;
    tiles nearly are. A replicate is a set of row weights: how often each row's region was drawn.

    Parameters
    ----------
    region : int array, shape (N,)
        Region of each row.
    replicates : int
        Number of bootstrap replicates B.
    seed : int
        Seed of the resampling.

    Attributes
    ----------
    regions : int
        Number of distinct regions.

    Examples
    --------
    >>> bootstrap = RegionBootstrap(np.array([7, 7, 9]), replicates=4)
    >>> totals = bootstrap.replicate(lambda weights: weights.sum(axis=1))
    >>> totals.shape
    (4,)
    """

    def __init__(self, region: np.ndarray, replicates: int = 200, seed: int = 0) -> None:
        distinct, index = np.unique(region, return_inverse=True)
        self.regions = len(distinct)
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0xB007]))
        counts = rng.multinomial(self.regions, np.full(self.regions, 1 / self.regions), replicates)
        self._set(index, counts.astype(np.float32))

    def _set(self, index: np.ndarray, counts: np.ndarray) -> None:
        self._index, self._counts = index, counts

    def subset(self, rows: np.ndarray) -> RegionBootstrap:
        """The same replicates, for some of the rows (boolean mask or indices)."""
        other = object.__new__(RegionBootstrap)
        other._set(self._index[rows], self._counts)
        other.regions = len(np.unique(other._index))
        return other

    def replicate(self, statistic: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Value of a statistic in every replicate.

        Parameters
        ----------
        statistic : callable
            Takes weights, float32 (b, N), and returns an array (b, ...). Called from several
            threads.

        Returns
        -------
        array, shape (B, ...)
        """
        size = max(1, _WEIGHTS_PER_BLOCK // max(1, len(self._index)))
        blocks = range(0, len(self._counts), size)
        return np.concatenate(
            on_all_cores(
                lambda start: statistic(self._counts[start : start + size][:, self._index]), blocks
            )
        )

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of columns in every replicate, without a weight per row.

        Parameters
        ----------
        values : array, shape (N, K)
            What is summed.

        Returns
        -------
        float64 array, shape (B, K)
        """
        regions = self._counts.shape[1]
        columns = [np.bincount(self._index, column, regions) for column in np.asarray(values).T]
        return self._counts.astype(np.float64) @ np.stack(columns, axis=1)

    def interval(
        self, replicates: np.ndarray, distance: float | np.ndarray | None = None
    ) -> np.ndarray:
        """The 95 % interval from a statistic's replicates.

        Parameters
        ----------
        replicates : array, shape (B, ...)
            As :meth:`replicate` gives them.
        distance : float or array, shape (...), optional
            The statistic on the sample itself, if it is a distance. Resampling only makes
            distances larger, so that percentiles miss the value itself: the interval is then
            the value plus or minus 1.96 standard deviations of the replicates, not below zero.

        Returns
        -------
        float64 array, shape (..., 2)
            NaN where fewer than two regions leave nothing to resample.
        """
        shape = (*np.shape(replicates)[1:], 2)
        if self.regions < 2:
            return np.full(shape, np.nan)
        known = np.ma.masked_invalid(np.asarray(replicates, np.float64))
        bounds = np.full(shape, np.nan)
        for cell in np.ndindex(*shape[:-1]):
            values = known[(slice(None), *cell)].compressed()
            if len(values):
                bounds[cell] = np.quantile(values, [0.025, 0.975])
        if distance is None:
            return bounds
        centre = np.asarray(distance, np.float64)[..., None]
        half = 1.96 * np.asarray(known.std(axis=0))[..., None]
        around = np.concatenate([centre - half, centre + half], axis=-1)
        interval: np.ndarray = np.maximum(around, 0.0)
        return interval
