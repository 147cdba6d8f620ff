"""Distances and summaries of two samples of measured columns: pure NumPy and SciPy."""

from __future__ import annotations

from functools import partial

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap, weighted_quantiles

__all__ = [
    "bias",
    "binned_bias_spread",
    "cdf_distances",
    "energy_score",
    "energy_terms",
    "quantile_bins",
    "rank_correlation",
    "spread",
    "spread_ratio",
]

# Pairs of draws (d, d + shift) used in the energy score: D times this many, of D (D - 1) / 2.
_PAIR_SHIFTS = 8


def spread(values: np.ndarray) -> np.ndarray:
    """Half the 16-84 % range along the first axis; a Gaussian's standard deviation."""
    low, high = np.quantile(values, [0.16, 0.84], axis=0, method="hazen")
    half_range: np.ndarray = 0.5 * (high - low)
    return half_range


def spread_ratio(residual_real: np.ndarray, residual_emulated: np.ndarray) -> np.ndarray:
    """Emulated over real spread, per column; 1 for a perfect emulator."""
    ratio: np.ndarray = spread(residual_emulated) / spread(residual_real)
    return ratio


def bias(residual_real: np.ndarray, residual_emulated: np.ndarray) -> np.ndarray:
    """Emulated minus real median, per column; 0 for a perfect emulator."""
    shift: np.ndarray = np.median(residual_emulated, axis=0) - np.median(residual_real, axis=0)
    return shift


def quantile_bins(values: np.ndarray, bins: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins with equal counts.

    Parameters
    ----------
    values : float array, shape (N,)
        What is binned.
    bins : int or float array
        Number of bins, or their edges (rows beyond the outer ones join the outer bins).

    Returns
    -------
    label : int array, shape (N,)
        Bin of each row, from 0.
    edges : float array
        At least two; fewer bins come out where many values are equal. Those have more than half of
        an equal share of the rows each: fewer rows would be all noise beside the others.
    """
    if np.ndim(bins) > 0:
        edges = np.asarray(bins)
        return np.searchsorted(edges[1:-1], values, side="right"), edges
    edges = np.unique(np.quantile(values, np.linspace(0, 1, int(bins) + 1)))
    edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    while True:
        label = np.searchsorted(edges[1:-1], values, side="right")
        rows = np.bincount(label, minlength=len(edges) - 1)
        least = int(rows.argmin())
        if len(rows) == 1 or 2 * int(bins) * rows[least] > len(values):
            return label, edges
        # It joins the neighbour with fewer rows: the edge between them goes.
        beside = np.concatenate([[np.inf], rows, [np.inf]])[[least, least + 2]]
        edges = np.delete(edges, least + int(beside.argmin()))


def binned_bias_spread(
    residual_real: np.ndarray,
    residual_emulated: np.ndarray,
    by: np.ndarray,
    bins: int | np.ndarray = 10,
    bootstrap: RegionBootstrap | None = None,
) -> dict[str, np.ndarray]:
    """Median and spread of one column's residual in bins of another, real beside emulated.

    Parameters
    ----------
    residual_real, residual_emulated : float array, shape (N,)
        Residuals of the same rows.
    by : float array, shape (N,)
        The condition that is binned.
    bins : int or float array
        Number of equal-count bins, or their edges.
    bootstrap : RegionBootstrap, optional
        Gives the intervals.

    Returns
    -------
    dict of arrays, first axis the K bins
        ``edges`` (K + 1), ``centre``, ``rows``, ``median_real``, ``median_emulated``,
        ``spread_real``, ``spread_emulated``, ``bias`` (emulated minus real median),
        ``spread_ratio`` (emulated over real); with `bootstrap` also ``*_interval`` (K, 2) of all
        but the first three. Bins without rows hold NaN.
    """
    label, edges = quantile_bins(by, bins)
    count = len(edges) - 1
    cells = [np.flatnonzero(label == k) for k in range(count)]
    table: dict[str, np.ndarray] = {
        "edges": edges,
        "rows": np.bincount(label, minlength=count),
        "centre": np.array([np.median(by[c]) if len(c) else np.nan for c in cells]),
    }
    values, intervals = [], []
    for cell in cells:
        summary = partial(_bias_spread, residual_real[cell], residual_emulated[cell])
        values.append(summary(np.ones((1, len(cell))))[0])
        if bootstrap is not None:
            part = bootstrap.subset(cell)
            intervals.append(part.interval(part.replicate(summary)))
    for index, name in enumerate(_BINNED):
        table[name] = np.array(values)[:, index]
        if intervals:
            table[f"{name}_interval"] = np.array(intervals)[:, index]
    return table


_BINNED = (
    "median_real", "median_emulated", "spread_real", "spread_emulated", "bias", "spread_ratio",
)  # fmt: skip


def _bias_spread(real: np.ndarray, emulated: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The six numbers of `_BINNED` under each row of weights: (b, 6)."""
    probabilities = np.array([0.16, 0.5, 0.84])
    a = weighted_quantiles(real, weights, probabilities)
    b = weighted_quantiles(emulated, weights, probabilities)
    spread_a, spread_b = 0.5 * (a[:, 2] - a[:, 0]), 0.5 * (b[:, 2] - b[:, 0])
    # A discrete column can have a bin whose real spread is zero: its ratio is unknown, not huge.
    ratio = spread_b / np.where(spread_a > 0, spread_a, np.nan)
    return np.stack([a[:, 1], b[:, 1], spread_a, spread_b, b[:, 1] - a[:, 1], ratio], axis=1)


def cdf_distances(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """1-D Wasserstein-1 and Kolmogorov-Smirnov distances of two samples of the same rows.

    Parameters
    ----------
    first, second : float array, shape (n,)
        The samples; row k of both belongs to one condition.
    weights : float array, shape (B, n), optional
        Row weights of bootstrap replicates; one set of ones by default.

    Returns
    -------
    wasserstein, ks : float64 arrays, shape (B,)
        In the unit of the values, and from 0 to 1; equal to ``scipy.stats.wasserstein_distance``
        and ``scipy.stats.ks_2samp(...).statistic``.
    """
    if weights is None:
        weights = np.ones((1, len(first)))
    pooled = np.concatenate([first, second]).astype(np.float64)
    order = np.argsort(pooled)
    pooled = pooled[order]
    signed = np.concatenate([weights, -weights], axis=1)[:, order]
    total = np.maximum(weights.sum(axis=1, dtype=np.float64), 1e-300)
    difference = np.abs(np.cumsum(signed, axis=1, dtype=np.float64)) / total[:, None]
    step = np.diff(pooled)
    # Inside a run of equal values the difference is an artefact of their order.
    ks = np.where(step > 0, difference[:, :-1], 0.0).max(axis=1, initial=0.0)
    return difference[:, :-1] @ step, ks


def rank_correlation(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Spearman correlations between columns; blends tens of sigma out would rule Pearson's.

    Parameters
    ----------
    values : float array, shape (n, M)
        For example residuals per band.
    weights : float array, shape (B, n), optional
        Row weights of bootstrap replicates (the ranks stay those of the whole sample).

    Returns
    -------
    float64 array, shape (B, M, M)
    """
    from scipy.stats import rankdata

    n, m = values.shape
    rank = rankdata(values, axis=0) / n - 0.5
    if weights is None:
        weights = np.ones((1, n))
    weights = weights / weights.sum(axis=1, keepdims=True)
    products = (rank[:, :, None] * rank[:, None, :]).reshape(n, m * m)
    mean = weights @ rank
    covariance = (weights @ products).reshape(-1, m, m) - mean[:, :, None] * mean[:, None, :]
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    correlation: np.ndarray = covariance / (sigma[:, :, None] * sigma[:, None, :])
    return correlation


def energy_terms(draws: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two expectations of the energy score, each estimated without bias.

    Parameters
    ----------
    draws : float array, shape (D, N, M)
        D >= 2 independent draws per row.
    observed : float array, shape (N, M)
        What is scored.

    Returns
    -------
    to_observed : float64 array, shape (N,)
        Mean Euclidean distance of a draw to the observed value.
    between_draws : float64 array, shape (N,)
        Mean distance of two different draws, from the pairs (d, d + 1), ..., (d, d + 8).
    """
    draws = np.asarray(draws)
    to_observed = np.zeros(draws.shape[1])
    between = np.zeros(draws.shape[1])
    for draw in draws:
        to_observed += _length(draw - observed)
    shifts = range(1, min(_PAIR_SHIFTS, len(draws) // 2) + 1)
    for shift in shifts:
        between += _length(draws - np.roll(draws, shift, axis=0)).sum(axis=0)
    return to_observed / len(draws), between / (len(draws) * len(shifts))


def energy_score(draws: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Energy score of each row, unbiased for any number of draws; lower is better.

    ES = E|f - y| - E|f - f'| / 2 (Gneiting & Raftery 2007, doi:10.1198/016214506000001437).
    Divide both arguments by the conditional scale first, or the noisiest rows decide.

    Parameters
    ----------
    draws : float array, shape (D, N, M)
        D >= 2 draws per row.
    observed : float array, shape (N, M)
        The measured values.

    Returns
    -------
    float64 array, shape (N,)

    Examples
    --------
    >>> energy_score(np.zeros((2, 1, 3)), np.array([[0.0, 3.0, 4.0]]))
    array([5.])
    """
    to_observed, between = energy_terms(draws, observed)
    return to_observed - 0.5 * between


def _length(vectors: np.ndarray) -> np.ndarray:
    length: np.ndarray = np.sqrt(np.einsum("...m,...m->...", vectors, vectors, dtype=np.float64))
    return length
