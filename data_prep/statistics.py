"""Statistics of columns that are gathered in pieces and merged."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["QUANTILE_LEVELS", "SAMPLE_ROWS", "ColumnStatistics"]

QUANTILE_LEVELS = (0.001, 0.01, 0.05, 0.16, 0.25, 0.5, 0.75, 0.84, 0.95, 0.99, 0.999)
SAMPLE_ROWS = 131_072
_BLOCK_ROWS = 16_384


class ColumnStatistics:
    """Count, mean, variance, extremes and quantiles of several columns.

    Means and sums of squared deviations are merged by the pairwise update of Chan, Golub &
    LeVeque (1983, doi:10.1080/00031305.1983.10483115). Quantiles are those of a bottom-k sample:
    the rows with the `sample_rows` lowest keys. With keys that are random bits this is a uniform
    sample without replacement, whatever the order and the grouping of the rows; it holds all
    rows, and the quantiles are exact, as long as there are no more than `sample_rows`. Beyond,
    the rank of a quantile q is off by sqrt(q (1 - q) / sample_rows) (one standard error): 0.14 %
    for the median of 131,072 rows.

    Parameters
    ----------
    columns : int
        Number of columns.
    sample_rows : int
        Size of the sample.
    """

    def __init__(self, columns: int, sample_rows: int = SAMPLE_ROWS) -> None:
        self.sample_rows = sample_rows
        self.count = 0
        self.mean = np.zeros(columns)
        self.squares = np.zeros(columns)
        self.minimum = np.full(columns, np.inf)
        self.maximum = np.full(columns, -np.inf)
        self.keys = np.empty(0, np.uint64)
        self.sample = np.empty((0, columns), np.float32)

    def update(self, values: np.ndarray, keys: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        values : float32 array, shape (N, columns)
            Finite.
        keys : uint64 array, shape (N,)
            Random bits of each row.
        """
        if not len(values):
            return
        part = ColumnStatistics(values.shape[1], self.sample_rows)
        part.count = len(values)
        part.mean = values.mean(axis=0, dtype=np.float64)
        for start in range(0, len(values), _BLOCK_ROWS):
            part.squares += ((values[start : start + _BLOCK_ROWS] - part.mean) ** 2).sum(axis=0)
        part.minimum = values.min(axis=0).astype(np.float64)
        part.maximum = values.max(axis=0).astype(np.float64)
        part.keys, part.sample = _lowest(keys, values, self.sample_rows)
        self.merge(part)

    def merge(self, other: ColumnStatistics) -> None:
        """Add the rows of another part."""
        if not other.count:
            return
        count = self.count + other.count
        step = other.mean - self.mean
        self.mean = self.mean + step * (other.count / count)
        self.squares = self.squares + other.squares
        self.squares += step**2 * (self.count * other.count / count)
        self.count = count
        self.minimum = np.minimum(self.minimum, other.minimum)
        self.maximum = np.maximum(self.maximum, other.maximum)
        self.keys, self.sample = _lowest(
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.sample, other.sample]),
            self.sample_rows,
        )

    def describe(self) -> list[dict[str, Any]]:
        """For each column count, mean, std, min, max and quantiles (JSON-able)."""
        if not self.count:
            return [{"count": 0} for _ in self.mean]
        quantiles = np.quantile(self.sample.astype(np.float64), QUANTILE_LEVELS, axis=0)
        std = np.sqrt(self.squares / self.count)
        return [
            {
                "count": self.count,
                "mean": float(self.mean[k]),
                "std": float(std[k]),
                "min": float(self.minimum[k]),
                "max": float(self.maximum[k]),
                "quantiles": dict(
                    zip(map(str, QUANTILE_LEVELS), quantiles[:, k].tolist(), strict=True)
                ),
            }
            for k in range(len(self.mean))
        ]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays that :meth:`from_arrays` restores, for :func:`numpy.savez`."""
        return {
            "count": np.array([self.count, self.sample_rows]),
            "moments": np.stack([self.mean, self.squares, self.minimum, self.maximum]),
            "keys": self.keys,
            "sample": self.sample,
        }

    @classmethod
    def from_arrays(cls, arrays: Any) -> ColumnStatistics:
        """Inverse of :meth:`to_arrays`."""
        restored = cls(arrays["moments"].shape[1], int(arrays["count"][1]))
        restored.count = int(arrays["count"][0])
        restored.mean, restored.squares, restored.minimum, restored.maximum = arrays["moments"]
        restored.keys, restored.sample = arrays["keys"], arrays["sample"]
        return restored


def _lowest(keys: np.ndarray, values: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    if len(keys) > rows:
        chosen = np.argpartition(keys, rows)[:rows]
        keys, values = keys[chosen], values[chosen]
    return keys, np.asarray(values, np.float32)
