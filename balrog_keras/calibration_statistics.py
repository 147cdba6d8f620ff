"""PIT and coverage statistics of an emulator, overall and in bins of every condition."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.calibration import CalibrationBins, coverage, ks_uniform
from balrog_keras.comparison import simulated_null, statistic
from balrog_keras.threads import on_all_cores
from data_prep.schema import Schema

__all__ = ["LEVELS", "calibration_statistics"]

LEVELS = (0.68, 0.95)


def calibration_statistics(
    schema: Schema,
    condition: np.ndarray,
    pit: np.ndarray,
    exchanged: np.ndarray,
    bootstrap: RegionBootstrap,
) -> dict[str, Any]:
    """KS distance of the PIT from uniform, and coverage of the central intervals.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition : float array, shape (N, C)
        Conditions; calibration is tested in quartile bins of each.
    pit : float array, shape (N, M)
        Randomised ranks of the measured values.
    exchanged : float array, shape (D, N, M)
        Those of each draw in the place of the measured value, the simulated null.
    bootstrap : RegionBootstrap
        Over the N rows.

    Returns
    -------
    dict
        ``pit`` (``overall`` per column, ``worst_bin``), ``coverage`` (per level and column,
        ``worst_gap``) and ``calibration_bins``, the list of all bins. The null of a KS distance
        and of a worst bin is the 95 % quantile of its simulations; of a coverage, its level.
    """
    names = schema.measured_names
    bins = CalibrationBins.of(condition, schema.condition_names)
    cells = bins.ks(pit)
    null_cells = np.stack(on_all_cores(bins.ks, exchanged))
    overall = {}
    for index, name in enumerate(names):
        column = pit[:, index]
        value = ks_uniform(column)[0]
        null = np.concatenate(on_all_cores(ks_uniform, exchanged[:, :, index]))
        replicates = bootstrap.replicate(partial(ks_uniform, column))
        interval = bootstrap.interval(replicates, value)
        overall[name] = statistic(value, interval, **simulated_null(value, null))
    worst, where = _worst(cells, bins, names)
    interval = bootstrap.interval(bins.worst_ks(pit, bootstrap), worst)
    null_worst = np.nanmax(null_cells, axis=(1, 2, 3))
    null_quantile = np.quantile(null_cells, 0.95, axis=0)
    return {
        "pit": {
            "overall": overall,
            "worst_bin": statistic(
                worst, interval, **simulated_null(worst, null_worst), where=where
            ),
        },
        "coverage": {
            f"{100 * level:.0f}%": _coverage(level, pit, exchanged, bins, names, bootstrap)
            for level in LEVELS
        },
        "calibration_bins": _bin_list(bins, names, pit, cells, null_quantile),
    }


def _worst(cells: np.ndarray, bins: CalibrationBins, names: tuple[str, ...]) -> tuple[float, str]:
    """Largest of (C, K, M) cells and where it is, in words."""
    c, k, m = np.unravel_index(np.nanargmax(cells), cells.shape)
    return float(cells[c, k, m]), f"{names[m]}, {bins.describe(int(c), int(k))}"


def _coverage(
    level: float,
    pit: np.ndarray,
    exchanged: np.ndarray,
    bins: CalibrationBins,
    names: tuple[str, ...],
    bootstrap: RegionBootstrap,
) -> dict[str, Any]:
    value = coverage(pit, level)[0]
    interval = bootstrap.interval(bootstrap.replicate(partial(coverage, pit, level)))
    null = np.concatenate(on_all_cores(partial(coverage, level=level), exchanged))
    bounds = np.quantile(null, [0.025, 0.975], axis=0)
    result: dict[str, Any] = {
        name: statistic(value[m], interval[m], null=level, null_interval=bounds[:, m].tolist())
        for m, name in enumerate(names)
    }
    gap, where = _worst(np.abs(bins.coverage(pit, level) - level), bins, names)

    def gap_of(values: np.ndarray) -> float:
        return float(np.nanmax(np.abs(bins.coverage(values, level) - level)))

    null_gap = simulated_null(gap, np.array(on_all_cores(gap_of, exchanged)))
    result["worst_gap"] = statistic(gap, **null_gap, where=where)
    return result


def _bin_list(
    bins: CalibrationBins,
    names: tuple[str, ...],
    pit: np.ndarray,
    cells: np.ndarray,
    null: np.ndarray,
) -> list[dict[str, Any]]:
    inside = {f"coverage_{100 * level:.0f}": bins.coverage(pit, level) for level in LEVELS}
    columns = {"pit_ks": cells, "pit_ks_null": null, **inside}
    rows = bins.rows()
    result = []
    for c, condition in enumerate(bins.names):
        for k in range(len(bins.edges[c]) - 1):
            low, high = bins.bounds(c, k)
            entry = {"condition": condition, "low": low, "high": high, "rows": int(rows[c, k])}
            for key, values in columns.items():
                entry[key] = dict(zip(names, values[c, k].tolist(), strict=True))
            result.append(entry)
    return result
