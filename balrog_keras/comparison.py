"""Two samples of the same conditions compared: every statistic with its interval over tiles."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import numpy as np

from balrog_keras import metrics
from balrog_keras.bootstrap import RegionBootstrap, weighted_quantiles
from balrog_keras.residuals import colours, residuals, standardized
from balrog_keras.threads import on_all_cores
from data_prep.schema import Schema

__all__ = [
    "TAIL_PROBABILITIES",
    "beside",
    "binned_statistics",
    "binned_tables",
    "marginal_statistics",
    "simulated_null",
    "statistic",
]

TAIL_PROBABILITIES = (0.001, 0.01, 0.99, 0.999)
# A row is an outlier if it is further than this many conditional scales from its location.
OUTLIER_SCALES = 5.0

Statistic = dict[str, Any]


def statistic(value: Any, interval: Any = None, **more: Any) -> Statistic:
    """One number as the reports hold it: ``{"value", "interval", ...}``."""
    low_high = None if interval is None else [float(bound) for bound in np.asarray(interval)]
    return {"value": float(value), "interval": low_high, **more}


def simulated_null(value: float, null: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """Quantile of a one-sided simulated null, and the p-value of a statistic.

    Parameters
    ----------
    value : float
        The statistic.
    null : float array, shape (S,)
        Simulations of it.
    level : float
        Of the quantile, in (0, 1).

    Returns
    -------
    dict
        ``null`` and ``p_value``; the statistic counts as one of the simulations, so that no p-value
        is 0 (Davison & Hinkley 1997, eq. 4.11).
    """
    p_value = (1 + np.count_nonzero(null >= value)) / (1 + len(null))
    return {"null": float(np.quantile(null, level)), "p_value": float(p_value)}


def beside(statistics: dict[str, Any], null: dict[str, Any]) -> dict[str, Any]:
    """Put ``null`` and ``null_interval`` beside every value of a nested dict of statistics."""
    if "value" in statistics:
        return {**statistics, "null": null["value"], "null_interval": null["interval"]}
    return {key: beside(entry, null[key]) for key, entry in statistics.items()}


def marginal_statistics(
    schema: Schema,
    condition: np.ndarray,
    real: np.ndarray,
    emulated: np.ndarray,
    location_scale: tuple[np.ndarray, np.ndarray],
    bootstrap: RegionBootstrap,
) -> dict[str, Any]:
    """Distances between the distributions of residuals and colours over all rows.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    condition : float array, shape (N, C)
        Conditions of the rows.
    real, emulated : float array, shape (N, M)
        The two samples.
    location_scale : pair of float arrays, shape (N, M)
        Conditional location and scale of the transformed measured columns.
    bootstrap : RegionBootstrap
        Over the N rows.

    Returns
    -------
    dict
        ``wasserstein`` (W1 of the residual over its real spread), ``bias`` and ``tail_quantiles``
        (emulated minus real, over the real spread), ``spread_ratio``, ``outlier_fraction``
        (emulated), ``colour_ks``, ``rank_correlation`` (emulated minus real).
    """
    a = residuals(schema, condition, real)
    b = residuals(schema, condition, emulated)
    scaled_a = standardized(schema, real, *location_scale)
    scaled_b = standardized(schema, emulated, *location_scale)
    result: dict[str, Any] = {"wasserstein": {}, "bias": {}, "spread_ratio": {}}
    result |= {"tail_quantiles": {}, "outlier_fraction": {}}
    for index, name in enumerate(schema.measured_names):
        column = _column_statistics(a[:, index], b[:, index], bootstrap)
        column["outlier_fraction"] = _outliers(scaled_a[:, index], scaled_b[:, index], bootstrap)
        for key, entry in column.items():
            result[key][name] = entry
    result["colour_ks"] = _colour_statistics(schema, real, emulated, bootstrap)
    result["rank_correlation"] = _correlation_statistics(schema, a, b, bootstrap)
    return result


def _column_statistics(a: np.ndarray, b: np.ndarray, bootstrap: RegionBootstrap) -> dict[str, Any]:
    # No spread (a column of mostly equal values): unknown, not infinite.
    sigma = float(metrics.spread(a)) or np.nan
    distance, _ = metrics.cdf_distances(a, b)
    replicates = bootstrap.replicate(lambda w: metrics.cdf_distances(a, b, w)[0] / sigma)
    wasserstein = statistic(
        distance[0] / sigma, bootstrap.interval(replicates, distance[0] / sigma)
    )
    probabilities = np.array([0.16, 0.5, 0.84, *TAIL_PROBABILITIES])

    def summaries(weights: np.ndarray) -> np.ndarray:
        real = weighted_quantiles(a, weights, probabilities)
        emulated = weighted_quantiles(b, weights, probabilities)
        ratio = (emulated[:, 2] - emulated[:, 0]) / (real[:, 2] - real[:, 0])
        moved = (emulated - real) / sigma
        return np.column_stack([ratio, moved[:, 1], moved[:, 3:]])

    values = summaries(np.ones((1, len(a))))[0]
    intervals = bootstrap.interval(bootstrap.replicate(summaries))
    tails = {
        f"{100 * p:g}%": statistic(values[2 + k], intervals[2 + k])
        for k, p in enumerate(TAIL_PROBABILITIES)
    }
    return {
        "wasserstein": wasserstein,
        "spread_ratio": statistic(values[0], intervals[0]),
        "bias": statistic(values[1], intervals[1]),
        "tail_quantiles": tails,
    }


def _outliers(real: np.ndarray, emulated: np.ndarray, bootstrap: RegionBootstrap) -> Statistic:
    far = (np.abs(emulated) > OUTLIER_SCALES).astype(np.float64)
    replicates = bootstrap.replicate(lambda w: w @ far / w.sum(axis=1))
    fraction = float(np.mean(np.abs(real) > OUTLIER_SCALES))
    return statistic(far.mean(), bootstrap.interval(replicates), real=fraction)


def _colour_statistics(
    schema: Schema, real: np.ndarray, emulated: np.ndarray, bootstrap: RegionBootstrap
) -> dict[str, Statistic]:
    names, a = colours(schema, real)
    b = colours(schema, emulated)[1]
    result = {}
    for index, name in enumerate(names):
        first, second = a[:, index], b[:, index]
        distance = metrics.cdf_distances(first, second)[1][0]
        replicates = bootstrap.replicate(partial(_ks, first, second))
        result[name] = statistic(distance, bootstrap.interval(replicates, distance))
    return result


def _ks(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return metrics.cdf_distances(first, second, weights)[1]


def _correlation_statistics(
    schema: Schema, a: np.ndarray, b: np.ndarray, bootstrap: RegionBootstrap
) -> dict[str, Statistic]:
    real, emulated = metrics.rank_correlation(a)[0], metrics.rank_correlation(b)[0]
    replicates = bootstrap.replicate(
        lambda w: metrics.rank_correlation(b, w) - metrics.rank_correlation(a, w)
    )
    intervals = bootstrap.interval(replicates)
    names = schema.measured_names
    return {
        f"{names[i]} | {names[j]}": statistic(
            emulated[i, j] - real[i, j], intervals[i, j], real=real[i, j], emulated=emulated[i, j]
        )
        for i in range(len(names))
        for j in range(i + 1, len(names))
    }


def binned_tables(
    schema: Schema,
    condition: np.ndarray,
    real: np.ndarray,
    emulated: np.ndarray,
    bootstrap: RegionBootstrap,
    edges: dict[str, np.ndarray] | None = None,
) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Bias and spread of every measured column in deciles of every condition.

    Parameters
    ----------
    schema, condition, real, emulated, bootstrap
        As in :func:`marginal_statistics`.
    edges : dict, optional
        Bin edges per condition; deciles of these rows by default.

    Returns
    -------
    dict
        ``{condition: {measured: table of metrics.binned_bias_spread}}``
    """
    a = residuals(schema, condition, real)
    b = residuals(schema, condition, emulated)

    def table_of(pair: tuple[int, int]) -> dict[str, np.ndarray]:
        index, k = pair
        bins = 10 if edges is None else edges[schema.condition_names[index]]
        return metrics.binned_bias_spread(a[:, k], b[:, k], condition[:, index], bins, bootstrap)

    measured = schema.measured_names
    pairs = product(range(len(schema.condition_names)), range(len(measured)))
    tables = iter(on_all_cores(table_of, pairs))
    return {by: {name: next(tables) for name in measured} for by in schema.condition_names}


def binned_statistics(
    tables: dict[str, dict[str, Any]], null_tables: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Binned tables as plain lists, and their worst cells beside those of the null.

    Parameters
    ----------
    tables, null_tables : dict
        As :func:`binned_tables` gives them, with the same edges.

    Returns
    -------
    dict
        ``binned`` (tables with lists, ``null_bias`` and ``null_spread_ratio`` added),
        ``worst_binned_spread`` (largest |spread ratio - 1|) and ``worst_binned_bias`` (largest
        |bias| over the cell's real spread); the null of a worst cell is the null's worst cell.
    """
    binned = {
        by: {name: _plain(table, null_tables[by][name]) for name, table in columns.items()}
        for by, columns in tables.items()
    }
    result: dict[str, Any] = {"binned": binned}
    for key, distance in (("worst_binned_spread", _spread_off), ("worst_binned_bias", _bias_off)):
        value, interval, where = _worst_cell(tables, distance)
        null, _, _ = _worst_cell(null_tables, distance)
        result[key] = statistic(value, interval, null=null, null_interval=None, where=where)
    return result


def _plain(table: dict[str, np.ndarray], null: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    both = {**table, "null_bias": null["bias"], "null_spread_ratio": null["spread_ratio"]}
    return {key: values.tolist() for key, values in both.items()}


def _spread_off(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return table["spread_ratio"] - 1.0, table["spread_ratio_interval"] - 1.0


def _bias_off(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    sigma = np.where(table["spread_real"] > 0, table["spread_real"], np.nan)
    return table["bias"] / sigma, table["bias_interval"] / sigma[:, None]


def _worst_cell(tables: dict[str, dict[str, Any]], distance: Any) -> tuple[float, Any, str]:
    """Signed value furthest from zero of all cells, its interval, and where it is."""
    worst: tuple[float, Any, str] = (0.0, None, "")
    for by, columns in tables.items():
        for name, table in columns.items():
            values, intervals = distance(table)
            if not np.isfinite(values).any():
                continue
            k = int(np.nanargmax(np.abs(values)))
            if abs(values[k]) >= abs(worst[0]):
                low, high = table["edges"][k : k + 2]
                where = f"{name}, {by} in {low:.4g} to {high:.4g} ({table['rows'][k]} rows)"
                worst = (float(values[k]), intervals[k], where)
    return worst
