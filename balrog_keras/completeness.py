"""Completeness: the detected fraction in bins of truth, real beside expected."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from balrog_keras.comparison import simulated_null, statistic
from balrog_keras.detection_statistics import (
    Cells,
    DetectionSample,
    effective_rows,
    equal_mass_cells,
    wilson_interval,
)
from balrog_keras.transforms import MAGNITUDES
from data_prep.schema import Column, Schema

__all__ = ["completeness_statistics", "joint_statistics", "seeing_of", "truth_bins"]

MAGNITUDE_STEP = 0.25
# Bins with fewer rows are shown and not judged; half a standard error is then at most 0.011.
LEAST_ROWS = 500
_QUANTILE_BINS = 20
# Magnitude bins, seeing bins, and bins of probability inside each of their cells.
_JOINT_BINS = (6, 4)
_PROBABILITY_BINS = 5


def truth_bins(column: Column, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins of a truth column: 0.25 mag wide, or of equal numbers where it is no magnitude.

    Parameters
    ----------
    column : Column
        Says the unit.
    values : float array, shape (N,)
        Physical units.

    Returns
    -------
    index : int array, shape (N,)
        Bin of each row.
    edges : float64 array, shape (bins + 1,)
    """
    values = np.asarray(values, np.float64)
    if column.unit in MAGNITUDES:
        number = np.floor(values / MAGNITUDE_STEP).astype(np.int64)
        first = int(number.min())
        edges = MAGNITUDE_STEP * np.arange(first, int(number.max()) + 2)
        return number - first, edges
    index = equal_mass_cells(values, _QUANTILE_BINS)
    return index, np.quantile(values, np.linspace(0, 1, _QUANTILE_BINS + 1))


def seeing_of(schema: Schema, truth: Column) -> Column | None:
    """The survey property that goes with a truth column as its seeing.

    One in arcsec of the same band (the name's last part) if there is one, otherwise any in
    arcsec, otherwise any; None if the schema has none.
    """
    band = truth.name.rpartition("_")[2]

    def order(column: Column) -> tuple[bool, bool]:
        return column.unit != "arcsec", column.name.rpartition("_")[2] != band

    return min(schema.survey, key=order, default=None)


def completeness_statistics(
    schema: Schema, condition: np.ndarray, sample: DetectionSample, parent: np.ndarray
) -> dict[str, Any]:
    """Detected against expected fractions and counts in bins of every truth magnitude.

    Parameters
    ----------
    schema : Schema
        Names and units; every truth column is binned if none is a magnitude.
    condition : float array, shape (N, C)
        Physical units.
    sample : DetectionSample
        The rows and their probabilities.
    parent : int array, shape (N,)
        Rows of one parent are not independent.

    Returns
    -------
    dict
        ``completeness``, per column the table of its bins; ``worst_completeness``, the largest
        |detected - expected fraction| over all judged bins of all columns; ``counts`` and
        ``counts_binomial``, the largest chi-squared per bin of detected counts over the columns,
        with the variance that rows of one parent give and with the binomial one.
    """
    magnitudes = [column for column in schema.truth if column.unit in MAGNITUDES]
    curves, simulated, replicated = {}, [], []
    for column in magnitudes or schema.truth:
        place = schema.condition_names.index(column.name)
        index, edges = truth_bins(column, condition[:, place])
        cells = Cells(index)
        errors = partial(_errors, sample.probability, cells)
        null, replicates = sample.simulate(errors), sample.resample(errors)
        table = _table(sample, cells, edges, parent)
        table["null"] = np.quantile(np.abs(null), 0.95, axis=0)
        table["error_interval"] = sample.bootstrap.interval(replicates)
        curves[column.name] = table
        simulated.append(null[:, table["judged"]])
        replicated.append(replicates[:, table["judged"]])
    return {
        "worst_completeness": _worst(curves, simulated, replicated, sample),
        "counts": _clustered_counts(curves),
        "counts_binomial": _binomial_counts(curves, simulated),
        "completeness": curves,
    }


def _errors(
    probability: np.ndarray, cells: Cells, detected: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Detected minus expected fraction of every cell, (b, K); 0 for a cell without weight."""
    total = cells.sums(weights)
    excess = cells.sums(weights * (detected - probability))
    errors = np.zeros_like(excess)
    np.divide(excess, total, out=errors, where=total > 0)
    return errors


def _table(
    sample: DetectionSample, cells: Cells, edges: np.ndarray, parent: np.ndarray
) -> dict[str, np.ndarray]:
    """The occupied bins of one column; arrays of shape (K,) or (K, 2)."""
    p, weight, rows = sample.probability, sample.weight, np.bincount(cells.index)
    total = cells.sums(weight)[0]
    fraction = cells.sums(weight * sample.detected)[0] / total
    shared = Cells(cells.index * (1 + int(parent.max())) + parent)
    squares = shared.sums(weight * (sample.detected - p))[0] ** 2
    # Of a bin in which all or none are detected the squares say nothing: rows of one parent do not
    # make a count more certain than independent ones.
    clustered = np.bincount(shared.labels // (1 + int(parent.max())), squares, len(cells))
    independent = cells.sums(weight**2 * p * (1 - p))[0]
    return {
        "low": edges[cells.labels],
        "high": edges[cells.labels + 1],
        "rows": rows,
        "detected": fraction,
        "interval": wilson_interval(fraction, effective_rows(cells, weight)),
        "expected": cells.sums(weight * p)[0] / total,
        # Where the table's error is e, its variance is one of these two.
        "variance_binomial": independent / total**2,
        "variance_clustered": np.maximum(clustered, independent) / total**2,
        # A test set smaller than that is judged by its fullest bin.
        "judged": rows >= min(LEAST_ROWS, rows.max()),
    }


def _worst(
    curves: dict[str, dict[str, np.ndarray]],
    simulated: list[np.ndarray],
    replicated: list[np.ndarray],
    sample: DetectionSample,
) -> dict[str, Any]:
    """The largest error over the judged bins of all columns, beside its null."""

    def largest(parts: list[np.ndarray]) -> np.ndarray:
        largest_error: np.ndarray = np.abs(np.concatenate(parts, axis=1)).max(axis=1)
        return largest_error

    errors = [table["detected"] - table["expected"] for table in curves.values()]
    kept = [
        (abs(error), f"{name} {low:g} to {high:g}", rows)
        for (name, table), column in zip(curves.items(), errors, strict=True)
        for error, low, high, rows, judged in zip(
            column, table["low"], table["high"], table["rows"], table["judged"], strict=True
        )
        if judged
    ]
    value, where, _ = max(kept)
    interval = sample.bootstrap.interval(largest(replicated), value)
    return statistic(
        value,
        interval,
        **simulated_null(value, largest(simulated)),
        where=where,
        bins=len(kept),
        bins_left_out=sum(len(table["rows"]) for table in curves.values()) - len(kept),
        least_rows=int(min(rows for *_, rows in kept)),
    )


def _chi_square(table: dict[str, np.ndarray], variance: str) -> float:
    """Chi-squared per judged bin of the detected counts."""
    judged = table["judged"] & (table[variance] > 0)
    error = (table["detected"] - table["expected"])[judged]
    return float(np.mean(error**2 / table[variance][judged])) if judged.any() else 0.0


def _clustered_counts(curves: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Chi-squared with the variance of counts whose independent units are parents.

    Where that is less than the binomial variance, as in bins that nearly all or nearly no rows are
    detected in, the binomial one is taken.

    The null is the 99 % quantile of the largest of the columns (Bonferroni), from chi-squared.
    """
    from scipy.stats import chi2

    tests = []
    for name, table in curves.items():
        value, bins = _chi_square(table, "variance_clustered"), int(table["judged"].sum())
        limit = float(chi2.isf(0.01 / len(curves), bins) / bins)
        p_value = min(1.0, len(curves) * float(chi2.sf(value * bins, bins)))
        tests.append((p_value, -value, name, limit))
    p_value, value, name, limit = min(tests)
    return statistic(-value, null=limit, p_value=p_value, where=name)


def _binomial_counts(
    curves: dict[str, dict[str, np.ndarray]], simulated: list[np.ndarray]
) -> dict[str, Any]:
    """Chi-squared with the binomial variance; the null is its simulated 99 % quantile."""
    values = {name: _chi_square(table, "variance_binomial") for name, table in curves.items()}
    null = [
        np.mean(errors**2 / np.maximum(table["variance_binomial"][table["judged"]], 1e-30), axis=1)
        for table, errors in zip(curves.values(), simulated, strict=True)
    ]
    where = max(values, key=lambda name: values[name])
    value = values[where]
    return statistic(value, **simulated_null(value, np.max(null, axis=0), 0.99), where=where)


def joint_statistics(
    schema: Schema, condition: np.ndarray, sample: DetectionSample
) -> dict[str, Any]:
    """Calibration error in bins of magnitude x seeing, one table per truth magnitude.

    Parameters
    ----------
    schema, condition, sample
        As for :func:`completeness_statistics`.

    Returns
    -------
    dict
        ``"true_mag_r, fwhm_r"`` -> ``edges`` of both, and arrays (6, 4) of ``rows``, ``ece``, its
        95 % ``null`` and ``excess``, detected minus expected count over its binomial error.
        Empty if the schema has no survey property.
    """
    result = {}
    p = sample.probability
    for truth in [c for c in schema.truth if c.unit in MAGNITUDES] or schema.truth:
        survey = seeing_of(schema, truth)
        if survey is None:
            continue
        places = [schema.condition_names.index(column.name) for column in (truth, survey)]
        pair = [np.asarray(condition[:, place], np.float64) for place in places]
        index = [equal_mass_cells(v, n) for v, n in zip(pair, _JOINT_BINS, strict=True)]
        grid = index[0] * _JOINT_BINS[1] + index[1]
        result[f"{truth.name}, {survey.name}"] = {
            "edges": [
                np.quantile(v, np.linspace(0, 1, n + 1))
                for v, n in zip(pair, _JOINT_BINS, strict=True)
            ],
            **_grid_table(sample, grid, p),
        }
    return result


def _grid_table(sample: DetectionSample, grid: np.ndarray, p: np.ndarray) -> dict[str, np.ndarray]:
    size = _JOINT_BINS[0] * _JOINT_BINS[1]
    fine = np.zeros(len(p), np.int64)
    for cell in np.unique(grid):
        fine[grid == cell] = equal_mass_cells(p[grid == cell], _PROBABILITY_BINS)
    cells = Cells(grid * _PROBABILITY_BINS + fine)
    parents = cells.labels // _PROBABILITY_BINS

    def errors(detected: np.ndarray, weights: np.ndarray) -> np.ndarray:
        excess = np.abs(cells.sums(weights * (detected - p)))
        into = np.zeros((len(parents), size))
        into[np.arange(len(parents)), parents] = 1.0
        total = np.stack([np.bincount(grid, row, size) for row in np.atleast_2d(weights)])
        error = np.zeros((len(excess), size))
        np.divide(excess @ into, total, out=error, where=total > 0)
        return error

    excess = np.bincount(grid, sample.weight * (sample.detected - p), size)
    variance = np.bincount(grid, sample.weight**2 * p * (1 - p), size)
    table = {
        "rows": np.bincount(grid, minlength=size),
        "ece": sample.observe(errors),
        "null": np.quantile(sample.simulate(errors), 0.95, axis=0),
        "excess": excess / np.sqrt(np.maximum(variance, 1e-30)),
    }
    return {key: values.reshape(_JOINT_BINS) for key, values in table.items()}
