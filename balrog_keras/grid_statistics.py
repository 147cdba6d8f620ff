"""Bias, spread, PIT and coverage of every measured column on a grid of magnitude x seeing."""

from __future__ import annotations

from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.calibration import coverage, ks_uniform
from balrog_keras.completeness import seeing_of
from balrog_keras.metrics import binned_bias_spread, quantile_bins
from balrog_keras.transforms import MAGNITUDES
from data_prep.schema import Column, Schema

__all__ = ["GRID_BINS", "Grid", "grid_statistics", "grids"]

# Magnitude bins, seeing bins.
GRID_BINS = (6, 4)
# A KS distance of n uniform values is below this over the root of n in 95 % of cases.
_KS_95 = 1.358


class Grid:
    """Cells of equal numbers in magnitude, times cells of equal numbers in seeing.

    Parameters
    ----------
    across, along : Column
        Truth magnitude and survey property.
    values : pair of float arrays, shape (N,)
        Of both.
    edges : pair of float arrays, optional
        Edges of an earlier grid, to put other rows in the same cells.
    """

    def __init__(
        self,
        across: Column,
        along: Column,
        values: tuple[np.ndarray, np.ndarray],
        edges: list[np.ndarray] | None = None,
    ) -> None:
        self.across, self.along = across, along
        bins: Any = GRID_BINS if edges is None else edges
        pairs = [quantile_bins(column, n) for column, n in zip(values, bins, strict=True)]
        self.edges = [edge for _, edge in pairs]
        self.shape = tuple(len(edge) - 1 for edge in self.edges)
        self.label = pairs[0][0] * self.shape[1] + pairs[1][0]

    @property
    def name(self) -> str:
        """For example ``true_mag_r, fwhm_r``."""
        return f"{self.across.name}, {self.along.name}"

    def cell_names(self) -> list[str]:
        """Every cell in words, in the order of the labels."""
        (a, b), names = self.edges, []
        for i in range(self.shape[0]):
            for k in range(self.shape[1]):
                names.append(
                    f"{self.across.name} in {a[i]:.4g} to {a[i + 1]:.4g} and "
                    f"{self.along.name} in {b[k]:.4g} to {b[k + 1]:.4g}"
                )
        return names


def grids(
    schema: Schema, condition: np.ndarray, like: dict[str, Grid] | None = None
) -> dict[str, Grid]:
    """The grid of each measured column.

    Its own truth magnitude, or the first one if it refers to none, times the seeing of that band.

    Parameters
    ----------
    schema : Schema
        Names and units.
    condition : float array, shape (N, C)
        Physical units.
    like : dict of Grid, optional
        Grids whose edges are used again.

    Returns
    -------
    dict of str to Grid
        Measured column -> grid; empty without a truth magnitude or a survey property.
    """
    magnitudes = {column.name: column for column in schema.truth if column.unit in MAGNITUDES}
    result: dict[str, Grid] = {}
    for measured in schema.measured if magnitudes else ():
        first = next(iter(magnitudes.values()))
        truth = magnitudes.get(measured.reference, first)
        survey = seeing_of(schema, truth)
        if survey is None:
            continue
        places = [schema.condition_names.index(column.name) for column in (truth, survey)]
        values = condition[:, places[0]], condition[:, places[1]]
        edges = None if like is None else like[measured.name].edges
        result[measured.name] = Grid(truth, survey, values, edges)
    return result


def grid_statistics(
    grid: Grid,
    residual_real: np.ndarray,
    residual_emulated: np.ndarray,
    pit: np.ndarray,
    bootstrap: RegionBootstrap,
) -> dict[str, Any]:
    """One measured column in the cells of its grid.

    Parameters
    ----------
    grid : Grid
        Over the N rows.
    residual_real, residual_emulated : float array, shape (N,)
        Residuals of the column.
    pit : float array, shape (N,)
        Randomised ranks of the real values.
    bootstrap : RegionBootstrap
        Gives the intervals.

    Returns
    -------
    dict
        ``grid`` (its name), ``edges``, and arrays of the grid's shape: ``rows``, ``bias`` (over the
        cell's real spread), ``spread_ratio``, ``pit_ks`` with its 95 % null for so many rows, and
        ``coverage_68``, ``coverage_95``; ``bias_interval`` and ``spread_ratio_interval`` have two
        entries per cell.
    """
    cells = int(np.prod(grid.shape))
    table = binned_bias_spread(
        residual_real, residual_emulated, grid.label, np.arange(cells + 1) - 0.5, bootstrap
    )
    spread = np.where(table["spread_real"] > 0, table["spread_real"], np.nan)
    inside = [pit[grid.label == k] for k in range(cells)]
    with np.errstate(divide="ignore"):
        null = _KS_95 / np.sqrt(table["rows"])
    found = {
        "rows": table["rows"],
        "bias": table["bias"] / spread,
        "bias_interval": table["bias_interval"] / spread[:, None],
        "spread_ratio": table["spread_ratio"],
        "spread_ratio_interval": table["spread_ratio_interval"],
        "pit_ks": np.array([ks_uniform(values)[0] for values in inside]),
        "pit_ks_null": null,
        **{
            f"coverage_{100 * level:.0f}": np.array(
                [coverage(v[:, None], level)[0, 0] if len(v) else np.nan for v in inside]
            )
            for level in (0.68, 0.95)
        },
    }
    shaped = {key: v.reshape(*grid.shape, *v.shape[1:]) for key, v in found.items()}
    return {"grid": grid.name, "edges": grid.edges, **shaped}
