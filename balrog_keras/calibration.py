"""Calibration of the draws: probability integral transform (PIT), its uniformity, coverage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.metrics import quantile_bins
from balrog_keras.threads import on_all_cores

__all__ = ["CalibrationBins", "coverage", "exchanged_pit", "ks_uniform", "pit"]


def pit(draws: np.ndarray, observed: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Randomised rank of the observed value among the draws.

    (rank + U) / (D + 1), exactly uniform on (0, 1) for any number of draws if the observed value
    is one more draw (Hamill 2001; Brockwell 2007, doi:10.1016/j.spl.2007.02.008). Draws equal to
    the observed value share its rank at random.

    Parameters
    ----------
    draws : float array, shape (D, N, M)
        Draws per row.
    observed : float array, shape (N, M)
        Measured values.
    uniform : float array, shape (N, M)
        Independent uniform numbers U.

    Returns
    -------
    float64 array, shape (N, M)
    """
    below = np.count_nonzero(draws < observed, axis=0)
    equal = np.count_nonzero(draws == observed, axis=0)
    rank: np.ndarray = (below + uniform * (equal + 1)) / (len(draws) + 1)
    return rank


def exchanged_pit(draws: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """PIT of every draw among the others: what a perfect emulator would have scored.

    Taking each draw in the place of the measured value gives D simulated data sets with the same
    rows, bins and dependence between columns: the null of any statistic of the PIT.

    Parameters
    ----------
    draws : float array, shape (D, N, M)
        D >= 2 draws per row.
    uniform : float array, shape (D, N, M)
        Independent uniform numbers.

    Returns
    -------
    float32 array, shape (D, N, M)
    """
    # Sorting along contiguous numbers is several times faster.
    values, jitter = (np.ascontiguousarray(np.moveaxis(a, 0, -1)) for a in (draws, uniform))
    count = values.shape[-1]
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    rank = np.empty(values.shape, np.float32)
    places = np.broadcast_to(np.arange(count, dtype=np.float32), values.shape)
    np.put_along_axis(rank, order, places, axis=-1)
    rank += jitter.astype(np.float32, copy=False)
    tied = (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1)
    if tied.any():
        rank[tied] = _tied_rank(ordered[tied], order[tied], jitter[tied])
    rank /= np.float32(count)
    return np.moveaxis(rank, -1, 0)


def _tied_rank(ordered: np.ndarray, order: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draws below each draw, and a random share of those equal to it and itself: (n, D)."""
    rows, count = ordered.shape
    place, edge = np.arange(count), np.ones((rows, 1), bool)
    differs = ordered[:, 1:] != ordered[:, :-1]
    first = np.where(np.concatenate([edge, differs], axis=1), place, 0)
    first = np.maximum.accumulate(first, axis=1)
    end = np.where(np.concatenate([differs, edge], axis=1), place + 1, count)
    end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]
    rank, equal = np.empty(order.shape, np.float32), np.empty(order.shape, np.float32)
    np.put_along_axis(rank, order, first.astype(np.float32), axis=1)
    np.put_along_axis(equal, order, (end - first).astype(np.float32), axis=1)
    tied: np.ndarray = rank + uniform * equal
    return tied


def ks_uniform(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Kolmogorov-Smirnov distance from the uniform distribution on (0, 1).

    Parameters
    ----------
    values : float array, shape (n,)
        PIT values.
    weights : float array, shape (B, n), optional
        Row weights of bootstrap replicates.

    Returns
    -------
    float64 array, shape (B,)
        Shape (1,) without weights; equal to ``scipy.stats.kstest(values, "uniform").statistic``.
    """
    order = np.argsort(values)
    if weights is None:
        return np.array([_ks_of_sorted(values[order])])
    ordered, weights = values[order], weights[:, order]
    after = np.cumsum(weights, axis=1, dtype=np.float64)
    total = np.maximum(after[:, -1:], 1e-300)
    before = (after - weights) / total
    gap = np.maximum(after / total - ordered, ordered - before)
    # A value that was not drawn is no step of its replicate's distribution.
    distance: np.ndarray = np.where(weights > 0, gap, 0.0).max(axis=1, initial=0.0)
    return distance


def _ks_of_sorted(values: np.ndarray) -> float:
    n = len(values)
    if n == 0:
        return float("nan")
    steps = np.arange(n + 1) / n
    return float(max(np.max(steps[1:] - values), np.max(values - steps[:-1])))


def coverage(values: np.ndarray, level: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Fraction of observed values inside the central interval of the draws.

    Parameters
    ----------
    values : float array, shape (N, M)
        PIT values.
    level : float
        Probability of the interval, for example 0.68; the expected coverage.
    weights : float array, shape (B, N), optional
        Row weights of bootstrap replicates.

    Returns
    -------
    float64 array, shape (B, M)
        Shape (1, M) without weights.
    """
    inside = (np.abs(values - 0.5) <= 0.5 * level).astype(np.float64)
    fraction: np.ndarray
    if weights is None:
        fraction = inside.mean(axis=0, keepdims=True)
    else:
        fraction = (weights @ inside) / weights.sum(axis=1, keepdims=True)
    return fraction


@dataclass(frozen=True)
class CalibrationBins:
    """Equal-count bins of every condition, in which calibration is tested.

    Parameters
    ----------
    names : tuple of str
        The conditions, C of them.
    labels : tuple of int arrays, shape (N,)
        Bin of each row, per condition.
    edges : tuple of float arrays
        Bin edges, per condition.
    """

    names: tuple[str, ...]
    labels: tuple[np.ndarray, ...]
    edges: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, condition: np.ndarray, names: tuple[str, ...], bins: int = 4) -> CalibrationBins:
        """Bins at the quantiles of each column of `condition`, shape (N, C)."""
        pairs = [quantile_bins(condition[:, index], bins) for index in range(len(names))]
        labels = tuple(label.astype(np.int8) for label, _ in pairs)
        return cls(tuple(names), labels, tuple(edges for _, edges in pairs))

    @property
    def bins(self) -> int:
        """Most bins of any condition, K."""
        return max(len(edges) for edges in self.edges) - 1

    def rows(self) -> np.ndarray:
        """Rows in each bin: int array (C, K)."""
        return np.stack([np.bincount(label, minlength=self.bins) for label in self.labels])

    def ks(self, values: np.ndarray) -> np.ndarray:
        """KS distance of PIT values from uniform in every bin.

        Parameters
        ----------
        values : float array, shape (N, M)
            PIT values.

        Returns
        -------
        float64 array, shape (C, K, M)
            NaN for bins without rows.
        """
        result = np.full((len(self.names), self.bins, values.shape[1]), np.nan)
        for column in range(values.shape[1]):
            order = np.argsort(values[:, column])
            ordered = values[order, column]
            for index, label in enumerate(self.labels):
                label = label[order]
                for k in range(self.bins):
                    result[index, k, column] = _ks_of_sorted(ordered[label == k])
        return result

    def worst_ks(self, values: np.ndarray, bootstrap: RegionBootstrap) -> np.ndarray:
        """Largest KS distance of any bin and column in each bootstrap replicate: (B,)."""

        def worst_of(rows: np.ndarray) -> np.ndarray:
            part = bootstrap.subset(rows)
            columns = values[rows].T
            replicates = [part.replicate(partial(ks_uniform, column)) for column in columns]
            worst: np.ndarray = np.max(replicates, axis=0)
            return worst

        cells = (np.flatnonzero(label == k) for label in self.labels for k in np.unique(label))
        worst: np.ndarray = np.max(on_all_cores(worst_of, cells), axis=0)
        return worst

    def coverage(self, values: np.ndarray, level: float) -> np.ndarray:
        """Coverage at `level` in every bin: float64 array (C, K, M), NaN without rows."""
        inside = np.abs(values - 0.5) <= 0.5 * level
        result = np.full((len(self.names), self.bins, values.shape[1]), np.nan)
        for index, label in enumerate(self.labels):
            for k in range(self.bins):
                rows = label == k
                if rows.any():
                    result[index, k] = inside[rows].mean(axis=0)
        return result

    def bounds(self, index: int, k: int) -> tuple[float, float]:
        """Lower and upper edge of bin `k` of condition `index`."""
        low, high = self.edges[index][k : k + 2]
        return float(low), float(high)

    def describe(self, index: int, k: int) -> str:
        """A bin in words, for example ``fwhm_r in 0.95 to 1.02``."""
        low, high = self.bounds(index, k)
        return f"{self.names[index]} in {low:.4g} to {high:.4g}"
