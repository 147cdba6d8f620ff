"""Distances between two samples of the same conditions, and their null."""

from __future__ import annotations

import numpy as np

from balrog_keras import metrics
from balrog_keras.comparison import TAIL_PROBABILITIES
from balrog_keras.residuals import colours, residuals
from data_prep.schema import Schema

__all__ = ["TwoSample"]

_CELLS = 10


class TwoSample:
    """Distances between two samples of the same conditions, each zero for a perfect emulator.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition : float array, shape (N, C)
        Conditions of the rows; deciles of each are the bins.
    """

    def __init__(self, schema: Schema, condition: np.ndarray) -> None:
        self.schema, self.condition = schema, condition
        self._cells = []
        for column in condition.T:
            label, edges = metrics.quantile_bins(column, _CELLS)
            self._cells += [np.flatnonzero(label == k) for k in range(len(edges) - 1)]

    def distances(self, real: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """Every distance of measured columns `other` from `real`, both (N, M).

        Returns
        -------
        dict of str to float
            Per column ``w1/NAME`` (over the real spread), ``bias``, ``spread``, ``tail P/NAME``
            (quantile of the residual, other minus real, over the real spread); ``colour/NAME``
            (KS); ``correlation/NAME`` (Spearman's, of residuals); ``binned bias`` and
            ``binned spread``, the worst decile of any condition; of each kind with several
            members ``worst KIND`` and ``mean KIND`` of their sizes.
        """
        a, b = (residuals(self.schema, self.condition, values) for values in (real, other))
        result = self._marginal(a, b) | self._joint(a, b, real, other) | self._binned(a, b)
        for kind in ("w1", "tail", "bias", "spread", "colour", "correlation"):
            sizes = [abs(value) for name, value in result.items() if name.startswith(kind)]
            if sizes:
                result |= {f"worst {kind}": max(sizes), f"mean {kind}": np.mean(sizes)}
        return {name: float(value) for name, value in result.items()}

    def _marginal(self, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        sigma, result = metrics.spread(a), {}
        probabilities = np.array(TAIL_PROBABILITIES)
        tails = np.quantile(b, probabilities, axis=0) - np.quantile(a, probabilities, axis=0)
        bias, ratio = metrics.bias(a, b), metrics.spread_ratio(a, b)
        for index, name in enumerate(self.schema.measured_names):
            distance = metrics.cdf_distances(a[:, index], b[:, index])[0][0]
            result[f"w1/{name}"] = distance / sigma[index]
            result[f"bias/{name}"] = bias[index] / sigma[index]
            result[f"spread/{name}"] = ratio[index] - 1
            for p, shift in zip(TAIL_PROBABILITIES, tails[:, index], strict=True):
                result[f"tail {100 * p:g}%/{name}"] = shift / sigma[index]
        return result

    def _joint(
        self, a: np.ndarray, b: np.ndarray, real: np.ndarray, other: np.ndarray
    ) -> dict[str, float]:
        result, names = {}, self.schema.measured_names
        (pairs, first), (_, second) = colours(self.schema, real), colours(self.schema, other)
        for name, x, y in zip(pairs, first.T, second.T, strict=True):
            result[f"colour/{name}"] = metrics.cdf_distances(x, y)[1][0]
        difference = (metrics.rank_correlation(b) - metrics.rank_correlation(a))[0]
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
            result[f"correlation/{names[i]} | {names[j]}"] = difference[i, j]
        return result

    def _binned(self, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        probabilities = [0.16, 0.5, 0.84]
        bias, spread = [], []
        for cell in self._cells:
            low, middle, high = np.quantile(a[cell], probabilities, axis=0, method="hazen")
            low_b, middle_b, high_b = np.quantile(b[cell], probabilities, axis=0, method="hazen")
            bias.append(2 * (middle_b - middle) / (high - low))
            spread.append((high_b - low_b) / (high - low) - 1)
        return {"binned bias": np.abs(bias).max(), "binned spread": np.abs(spread).max()}

    def null(
        self, real: np.ndarray, other: np.ndarray, swaps: int, seed: int = 0
    ) -> dict[str, float]:
        """The 95 % quantile of every distance's size over random swaps of the rows' pairs."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5A4B]))
        sizes: dict[str, list[float]] = {}
        for _ in range(swaps):
            swap = rng.random((len(real), 1)) < 0.5
            swapped = np.where(swap, other, real), np.where(swap, real, other)
            for name, value in self.distances(*swapped).items():
                sizes.setdefault(name, []).append(abs(value))
        return {name: float(np.quantile(values, 0.95)) for name, values in sizes.items()}
