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
from scipy.special import ndtri

from balrog_keras.comparison import simulated_null
from balrog_keras.metrics import quantile_bins
from balrog_keras.threads import on_all_cores
from data_prep.schema import Schema

__all__ = [
    "LEAST_REGIONS",
    "Cell",
    "cells_of",
    "condition_quartiles",
    "exchanges",
    "normal_scores",
    "worst_cell",
    "worst_ratio",
]

# 2^20 exchanges of regions are enough for a 95 % quantile; with fewer, rows are exchanged.
LEAST_REGIONS = 20
# A rank of exactly 0 has no normal score.
_LEAST_RANK = 1e-6


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


def normal_scores(rank: np.ndarray) -> np.ndarray:
    """Standard normal quantiles of randomised ranks in (0, 1): bounded by the number of draws."""
    scores: np.ndarray = ndtri(np.clip(rank, _LEAST_RANK, 1.0 - _LEAST_RANK))
    return scores


class _Moments:
    """Sums of scores and of their squares in one cell, for the two samples after any exchange."""

    def __init__(self, real: np.ndarray, emulated: np.ndarray, rows: np.ndarray) -> None:
        first, second = (np.stack([z, z * z], axis=1) for z in (real[rows], emulated[rows]))
        self._rows, self._moved = rows, second - first
        self._first, self._total = first.sum(axis=0), (first + second).sum(axis=0)

    def differences(self, swaps: np.ndarray) -> np.ndarray:
        """Bias over the first sample's spread, and spread ratio - 1; NaN without a spread.

        `swaps` is bool (S, N), the result (S, 2).
        """
        first = self._first + swaps[:, self._rows].astype(np.float64) @ self._moved
        (mean, spread), (other_mean, other_spread) = (
            self._mean_and_spread(sums) for sums in (first, self._total - first)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            both = np.stack([(other_mean - mean) / spread, other_spread / spread - 1.0], axis=1)
        found: np.ndarray = np.where(np.isfinite(both), both, np.nan)
        return found

    def _mean_and_spread(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, square = (sums / len(self._rows)).T
        variance = square - mean**2
        # Equal scores leave a rounding error.
        return mean, np.sqrt(np.where(variance > 1e-9 * square, variance, 0.0))


def worst_cell(
    cells: list[Cell],
    real: np.ndarray,
    emulated: np.ndarray,
    region: np.ndarray,
    simulations: int = 100,
    seed: int = 0,
) -> dict[str, dict[str, float | str | int]]:
    """Largest bias and spread error of any cell, beside the largest under exchange.

    The spread here is the root mean square of :func:`normal_scores` about their mean, 1 for a
    perfect emulator in every cell. Ranks among draws of the row's own condition weigh all rows
    alike, the noisiest too, and normal scores lose nothing to a normal distribution's own moments
    (van der Waerden 1952): a fault is found with half as many rows as by 16-84 % ranges.

    Parameters
    ----------
    cells : list of Cell
        From :func:`condition_quartiles` or :func:`cells_of`.
    real, emulated : float array, shape (N, M)
        Randomised ranks, in (0, 1), of the real row and of one emulated row, each among the same
        other draws of its condition.
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
    real, emulated = normal_scores(real), normal_scores(emulated)
    none = np.zeros((1, len(real)), bool)
    swaps = np.concatenate([none, *(s[None] for s in exchanges(region, simulations, seed))])
    found = np.array(on_all_cores(
        lambda cell: _Moments(real[:, cell.column], emulated[:, cell.column], cell.rows)
        .differences(swaps), cells))  # fmt: skip
    here, null = found[:, 0], np.abs(found[:, 1:])
    if not np.isfinite(here).any():
        return {}
    result: dict[str, dict[str, float | str | int]] = {}
    for values, simulated, key in zip(
        here.T, np.nanmax(null, axis=0).T, ("bias", "spread"), strict=True
    ):
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
