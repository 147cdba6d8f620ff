"""A null that needs no oracle: real and emulated columns exchanged, row by row or by region.

If the emulator is perfect, the real and the emulated columns of one condition come from one
distribution, and exchanging them changes nothing. Every exchange is therefore one simulated value
of any statistic of the pair, with the same rows, bins and maximum (a permutation test within
pairs). Whole regions are exchanged where there are enough of them, because real rows of a region
share noise that emulated ones do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from balrog_keras.comparison import simulated_null
from balrog_keras.metrics import quantile_bins
from data_prep.schema import Schema

__all__ = [
    "LEAST_REGIONS",
    "Cell",
    "cells_of",
    "condition_quartiles",
    "exchanges",
    "worst_cell",
    "worst_ratio",
]

# 2^20 exchanges of regions are enough for a 95 % quantile; with fewer, rows are exchanged.
LEAST_REGIONS = 20


def exchanges(region: np.ndarray, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Which rows to exchange in each of `count` simulations.

    Parameters
    ----------
    region : int array, shape (N,)
        Sky region of each row.
    count : int
        Number of simulations.
    seed : int
        Seed.

    Yields
    ------
    bool array, shape (N,)
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xE8C4]))
    distinct, index = np.unique(region, return_inverse=True)
    if len(distinct) < LEAST_REGIONS:
        index = np.arange(len(region))
    for _ in range(count):
        yield (rng.random(1 + int(index.max())) < 0.5)[index]


class Cell(NamedTuple):
    """Rows of one measured column that are judged together.

    Parameters
    ----------
    column : int
        Place of the measured column.
    where : str
        Column and cell in words.
    rows : int array
        The rows.
    """

    column: int
    where: str
    rows: np.ndarray


def cells_of(
    label: np.ndarray, names: list[str], column: int, title: str, least_rows: int = 1
) -> list[Cell]:
    """Cells of one measured column.

    Parameters
    ----------
    label : int array, shape (N,)
        Cell of each row, from 0.
    names : list of str
        Of the cells.
    column : int
        Place of the measured column.
    title : str
        Its name.
    least_rows : int
        Cells with fewer rows are not judged: they are left out.

    Returns
    -------
    list of Cell
    """
    rows = [np.flatnonzero(label == k) for k in range(1 + int(label.max()))]
    return [
        Cell(column, f"{title}, {name}", at)
        for name, at in zip(names, rows, strict=False)
        if len(at) >= least_rows
    ]


class _SortedPair:
    """Two samples of one cell and column, sorted together once for any exchange."""

    def __init__(self, real: np.ndarray, emulated: np.ndarray, rows: np.ndarray) -> None:
        pooled = np.concatenate([real[rows], emulated[rows]])
        order = np.argsort(pooled, kind="stable")
        self._values, self._row = pooled[order], np.tile(rows, 2)[order]
        self._emulated = order >= len(rows)

    def differences(self, swap: np.ndarray) -> tuple[float, float]:
        """Bias over the first sample's spread, and spread ratio - 1; NaN without a spread."""
        second = self._emulated ^ swap[self._row]
        a, b = (_quantiles(self._values[chosen]) for chosen in (~second, second))
        spread = a[2] - a[0]
        if not spread > 0:
            return np.nan, np.nan
        return (b[1] - a[1]) / (0.5 * spread), (b[2] - b[0]) / spread - 1.0


def _quantiles(ordered: np.ndarray) -> np.ndarray:
    """The 16, 50 and 84 % quantiles of sorted values, as ``numpy.quantile``."""
    place = np.array([0.16, 0.5, 0.84]) * (len(ordered) - 1)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, len(ordered) - 1)
    found: np.ndarray = ordered[low] + (place - low) * (ordered[high] - ordered[low])
    return found


def condition_quartiles(schema: Schema, condition: np.ndarray) -> list[Cell]:
    """Every measured column in the quartiles of every condition.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition : float array, shape (N, C)
        Physical units.

    Returns
    -------
    list of Cell
        At most 4 C M; fewer where many values of a condition are equal.
    """
    cells = []
    for condition_name, values in zip(schema.condition_names, condition.T, strict=True):
        label, edges = quantile_bins(values, 4)
        names = [f"{condition_name} in {a:.4g} to {b:.4g}" for a, b in pairwise(edges)]
        for column, title in enumerate(schema.measured_names):
            cells += cells_of(label, names, column, title)
    return cells


def worst_cell(
    cells: list[Cell],
    real: np.ndarray,
    emulated: np.ndarray,
    region: np.ndarray,
    simulations: int = 100,
    seed: int = 0,
) -> dict[str, dict[str, float | str | int]]:
    """Largest bias and spread error of any cell, beside the largest under exchange.

    Parameters
    ----------
    cells : list of Cell
        From :func:`condition_quartiles` or :func:`cells_of`.
    real, emulated : float array, shape (N, M)
        Measured columns of the same rows, less their conditional location over their conditional
        scale: otherwise the noisiest rows decide.
    region : int array, shape (N,)
        Sky region of each row.
    simulations : int
        Exchanges of the null.
    seed : int
        Seed of the exchanges.

    Returns
    -------
    dict
        ``bias`` (over the cell's real spread) and ``spread`` (ratio minus 1): absolute ``value``,
        ``signed``, 95 % ``null``, ``p_value``, ``where`` and its ``rows``. Empty if no cell has a
        spread.
    """
    pairs = [_SortedPair(real[:, c.column], emulated[:, c.column], c.rows) for c in cells]

    def differences(swap: np.ndarray) -> np.ndarray:
        return np.array([pair.differences(swap) for pair in pairs]).T

    here = differences(np.zeros(len(real), bool))
    if not np.isfinite(here).any():
        return {}
    null = np.array(
        [
            np.nanmax(np.abs(differences(swap)), axis=1)
            for swap in exchanges(region, simulations, seed)
        ]
    )
    result: dict[str, dict[str, float | str | int]] = {}
    for values, simulated, key in zip(here, null.T, ("bias", "spread"), strict=True):
        k = int(np.nanargmax(np.abs(values)))
        signed = float(values[k])
        result[key] = {
            "value": abs(signed),
            "signed": signed,
            **simulated_null(abs(signed), simulated),
            "where": cells[k].where,
            "rows": len(cells[k].rows),
        }
    return result


def worst_ratio(
    real: np.ndarray,
    emulated: np.ndarray,
    names: list[str],
    region: np.ndarray,
    simulations: int = 100,
    seed: int = 0,
) -> dict[str, float | str]:
    """Largest error of a count, emulated over real minus 1, beside the largest under exchange.

    Parameters
    ----------
    real, emulated : bool array, shape (N, S)
        Rows that pass each selection.
    names : list of str
        Of the S selections.
    region, simulations, seed
        As in :func:`worst_cell`.

    Returns
    -------
    dict
        ``value``, ``signed``, ``null``, ``p_value`` and ``where``; empty if no real row passes any,
        or so few that exchanging them leaves none.
    """
    moved = emulated.astype(np.float64) - real
    count = real.sum(axis=0).astype(np.float64)
    if not count.any():
        return {}

    def errors(swap: np.ndarray) -> np.ndarray:
        # Exchanged rows are counted as real: they move both counts.
        gained = moved[swap].sum(axis=0)
        first = np.where(count + gained > 0, count + gained, np.nan)
        relative_error: np.ndarray = (moved.sum(axis=0) - 2 * gained) / first
        return relative_error

    here = errors(np.zeros(len(real), bool))
    simulated = [np.abs(errors(swap)) for swap in exchanges(region, simulations, seed)]
    if not np.isfinite(simulated).any(axis=1).all():
        return {}
    null = np.nanmax(simulated, axis=1)
    k = int(np.nanargmax(np.abs(here)))
    value = float(abs(here[k]))
    return {
        "value": value,
        "signed": float(here[k]),
        **simulated_null(value, null),
        "where": names[k],
    }
