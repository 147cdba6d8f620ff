"""Scores of a detection probability on held-out rows, each with its interval and simulated null.

A null is what the same estimator gives on the same rows if every detection were drawn with the
probability that is judged: the 95 % quantile of many such draws. It holds for rows that are
independent given their condition. Rows that share a parent (its size and shape, which are no
conditions) or a region are not, so counts scatter more than this null says; ``clustering`` gives
by how much, and the intervals, a bootstrap over regions, contain it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.comparison import simulated_null, statistic

__all__ = [
    "CALIBRATION_BINS",
    "Cells",
    "DetectionSample",
    "auc",
    "brier_score",
    "calibration_error",
    "clustering",
    "effective_rows",
    "equal_mass_cells",
    "log_loss",
    "reliability",
    "score_statistics",
    "wilson_interval",
]

# Values held at once by simulations: 32 MB.
_VALUES_PER_BLOCK = 4_000_000
CALIBRATION_BINS = 20

Reduction = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Cells:
    """Rows put in cells, and sums over them.

    Parameters
    ----------
    index : int array, shape (N,)
        Any label of each row's cell; cells are kept in the order of their labels.
    """

    def __init__(self, index: np.ndarray) -> None:
        self.labels, self.index = np.unique(index, return_inverse=True)

    def __len__(self) -> int:
        """Number of occupied cells K."""
        return len(self.labels)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of ``(B, N)`` or ``(N,)`` values over the rows of each cell: float64, (B, K)."""
        rows = np.atleast_2d(values)
        return np.stack([np.bincount(self.index, row, len(self)) for row in rows])


def equal_mass_cells(values: np.ndarray, bins: int) -> np.ndarray:
    """Number of the quantile bin of each value, int array (N,); equal values share a bin."""
    edges = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, values, side="right")


@dataclass(frozen=True)
class DetectionSample:
    """Held-out rows with the probability that is judged.

    Parameters
    ----------
    probability : float64 array, shape (N,)
        Of detection, in (0, 1).
    detected : float64 array, shape (N,)
        1 where detected, 0 elsewhere.
    weight : float64 array, shape (N,)
        Injection weight of each row; ones if the survey has none.
    bootstrap : RegionBootstrap
        Over the N rows.
    simulations : int
        Draws of the simulated null.
    seed : int
        Seed of these draws.
    """

    probability: np.ndarray
    detected: np.ndarray
    weight: np.ndarray
    bootstrap: RegionBootstrap
    simulations: int = 400
    seed: int = 0

    def observe(self, reduction: Reduction) -> np.ndarray:
        """A reduction of the rows as they are, with shape (...).

        A reduction takes detections and weights, both (b, N) or (1, N), and gives (b, ...).
        """
        observed: np.ndarray = reduction(self.detected[None], self.weight[None])[0]
        return observed

    def resample(self, reduction: Reduction) -> np.ndarray:
        """The reduction in every bootstrap replicate, (B, ...)."""
        detected, weight = self.detected[None], self.weight
        return self.bootstrap.replicate(lambda counts: reduction(detected, counts * weight))

    def simulate(self, reduction: Reduction) -> np.ndarray:
        """The reduction of every simulated draw, (S, ...); the same draws in every call."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 0xDE7]))
        rows, weight = len(self.probability), self.weight[None]
        size, parts = max(1, _VALUES_PER_BLOCK // rows), []
        for start in range(0, self.simulations, size):
            shape = (min(size, self.simulations - start), rows)
            detected = (rng.random(shape, np.float32) < self.probability).astype(np.float64)
            parts.append(reduction(detected, weight))
        return np.concatenate(parts)


def brier_score(probability: np.ndarray, detected: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared difference of probability and detection (Brier 1950), (b,).

    Parameters
    ----------
    probability : float array, shape (N,)
        In (0, 1).
    detected, weights : float arrays, shape (b, N) or (1, N)
        0 or 1, and non-negative.

    Returns
    -------
    float64 array, shape (b,)
    """
    return _mean((detected - probability) ** 2, weights)


def log_loss(probability: np.ndarray, detected: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean negative log-likelihood in nats; arguments and shape as :func:`brier_score`."""
    values = -(detected * np.log(probability) + (1 - detected) * np.log1p(-probability))
    return _mean(values, weights)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.sum(values * weights, axis=1) / np.sum(weights, axis=1)
    return mean


def auc(scores: Cells, detected: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve: P(a detected row scores above an undetected one), ties half.

    Parameters
    ----------
    scores : Cells
        Of the rows' scores, one cell per distinct value.
    detected, weights : float arrays, shape (b, N) or (1, N)
        0 or 1, and non-negative.

    Returns
    -------
    float64 array, shape (b,)
    """
    found, missed = scores.sums(detected * weights), scores.sums((1 - detected) * weights)
    below = np.cumsum(missed, axis=1) - 0.5 * missed
    area: np.ndarray = np.sum(found * below, axis=1) / (found.sum(axis=1) * missed.sum(axis=1))
    return area


def calibration_error(
    probability: np.ndarray, cells: Cells, detected: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Expected calibration error: mean over cells of |detected fraction - mean probability|.

    Parameters
    ----------
    probability : float array, shape (N,)
        In (0, 1).
    cells : Cells
        Bins of probability (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602).
    detected, weights : float arrays, shape (b, N) or (1, N)
        0 or 1, and non-negative.

    Returns
    -------
    float64 array, shape (b,)
        Cells count by their weight.
    """
    excess = cells.sums(weights * (detected - probability))
    error: np.ndarray = np.abs(excess).sum(axis=1) / np.sum(weights, axis=1)
    return error


def wilson_interval(fraction: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """95 % interval of a binomial fraction (Wilson 1927, doi:10.2307/2276774), (K, 2)."""
    z2 = 1.959964**2
    centre = (fraction + z2 / (2 * rows)) / (1 + z2 / rows)
    inside = fraction * (1 - fraction) / rows + z2 / (4 * rows**2)
    half = np.sqrt(z2 * inside) / (1 + z2 / rows)
    return np.stack([centre - half, centre + half], axis=-1)


def effective_rows(cells: Cells, weight: np.ndarray) -> np.ndarray:
    """Rows of equal weight that are worth as much as each cell's rows (Kish 1965), (K,)."""
    rows: np.ndarray = cells.sums(weight)[0] ** 2 / cells.sums(weight**2)[0]
    return rows


def reliability(sample: DetectionSample) -> dict[str, np.ndarray]:
    """Detected fraction against mean probability in bins of equal numbers of rows.

    Returns
    -------
    dict of str to array, shape (K, ...)
        ``rows``, ``probability``, ``detected`` and its Wilson ``interval``.
    """
    cells = Cells(equal_mass_cells(sample.probability, CALIBRATION_BINS))
    total = cells.sums(sample.weight)[0]
    fraction = cells.sums(sample.weight * sample.detected)[0] / total
    return {
        "rows": np.bincount(cells.index),
        "probability": cells.sums(sample.weight * sample.probability)[0] / total,
        "detected": fraction,
        "interval": wilson_interval(fraction, effective_rows(cells, sample.weight)),
    }


def clustering(
    sample: DetectionSample, cells: Cells, groups: dict[str, np.ndarray]
) -> dict[str, float]:
    """How much wider than binomial the counts of cells are, by what the rows share.

    Parameters
    ----------
    sample : DetectionSample
        The rows.
    cells : Cells
        Whose counts are meant.
    groups : dict of str to int array, shape (N,)
        For example ``{"parent": ..., "region": ...}``.

    Returns
    -------
    dict of str to float
        Sum of the squared excesses of (cell, group) over the binomial variance: 1 if rows are
        independent, the factor on the variance of the counts if groups are. A wrong probability
        adds to it.
    """
    excess = sample.weight * (sample.detected - sample.probability)
    variance = sample.weight**2 * sample.probability * (1 - sample.probability)
    result = {}
    for name, group in groups.items():
        shared = Cells(cells.index * (1 + int(group.max())) + group)
        result[name] = float(np.sum(shared.sums(excess) ** 2) / variance.sum())
    return result


def score_statistics(sample: DetectionSample) -> dict[str, Any]:
    """Brier score, log-loss, ROC AUC and calibration error over all rows.

    Returns
    -------
    dict
        Statistics with value, interval and null. The null of Brier score, log-loss and AUC is
        the mean of the simulated draws, with their central 95 % as ``null_interval``; that of the
        calibration error their 95 % quantile, with a p-value.
    """
    p = sample.probability
    scores = {
        "brier": partial(brier_score, p),
        "log_loss": partial(log_loss, p),
        "auc": partial(auc, Cells(p)),
    }
    result = {}
    for name, reduction in scores.items():
        null = sample.simulate(reduction)
        result[name] = statistic(
            sample.observe(reduction),
            sample.bootstrap.interval(sample.resample(reduction)),
            null=float(null.mean()),
            null_interval=np.quantile(null, [0.025, 0.975]).tolist(),
        )
    cells = Cells(equal_mass_cells(p, CALIBRATION_BINS))
    error = partial(calibration_error, p, cells)
    value = float(sample.observe(error))
    interval = sample.bootstrap.interval(sample.resample(error), value)
    result["ece"] = statistic(value, interval, **simulated_null(value, sample.simulate(error)))
    return result
