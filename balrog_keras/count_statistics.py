"""Number counts, selections and mean redshifts: what measured columns are used for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.comparison import statistic
from balrog_keras.measured_cuts import MeasuredCut, passes, read_cuts
from balrog_keras.residuals import colours, magnitude_families
from balrog_keras.transforms import MAGNITUDES
from data_prep.schema import Schema

__all__ = [
    "count_edges",
    "count_statistics",
    "default_selections",
    "ratio_statistic",
    "redshift_place",
    "selection_statistics",
    "shift_statistic",
]

MAGNITUDE_STEP = 0.25
_REDSHIFT = re.compile(r"redshift|(^|_)(zred|z_true|zspec|z_spec|zphot)($|_)")


def count_edges(schema: Schema, measured: np.ndarray) -> dict[str, np.ndarray]:
    """Bins of measured magnitudes, 0.25 mag wide, that hold 99.8 % of the rows.

    Parameters
    ----------
    schema : Schema
        Tells which measured columns are magnitudes of a truth column.
    measured : float array, shape (N, M)
        Real rows.

    Returns
    -------
    dict of str to float64 array
        Column -> edges.
    """
    edges = {}
    for index, column in enumerate(schema.measured):
        if column.unit in MAGNITUDES and column.reference:
            low, high = np.quantile(measured[:, index], [0.001, 0.999]) / MAGNITUDE_STEP
            # A column of one value has a bin too.
            last = max(np.ceil(high), np.floor(low) + 1)
            edges[column.name] = MAGNITUDE_STEP * np.arange(np.floor(low), last + 1)
    return edges


def count_statistics(
    real: np.ndarray,
    emulated: np.ndarray,
    names: tuple[str, ...],
    edges: dict[str, np.ndarray],
    bootstrap: RegionBootstrap,
) -> dict[str, dict[str, np.ndarray]]:
    """Rows in bins of each measured magnitude.

    Parameters
    ----------
    real, emulated : float array, shape (N, M)
        Measured columns.
    names : tuple of str
        The M columns.
    edges : dict
        From :func:`count_edges`.
    bootstrap : RegionBootstrap
        Over the N rows.

    Returns
    -------
    dict
        ``{column: {"edges", "real", "emulated", "excess", "excess_interval"}}``; the excess is
        emulated over real counts minus 1, NaN in a bin without real rows.
    """
    result = {}
    for name, bounds in edges.items():
        index, bins = names.index(name), len(bounds) - 1
        counts, replicated = [], []
        for values in (real[:, index], emulated[:, index]):
            label = np.searchsorted(bounds, values, side="right") - 1
            inside = [(label == k) for k in range(bins)]
            counts.append(np.array([np.count_nonzero(rows) for rows in inside]))
            replicated.append(bootstrap.sums(np.stack(inside, axis=1)))
        excess, replicates = (b / np.where(a > 0, a, np.nan) - 1.0 for a, b in (counts, replicated))
        result[name] = {
            "edges": bounds,
            "real": counts[0],
            "emulated": counts[1],
            "excess": excess,
            "excess_interval": bootstrap.interval(replicates),
        }
    return result


def default_selections(schema: Schema, measured: np.ndarray) -> dict[str, list[MeasuredCut]]:
    """Selections that stand for an analysis where the preset has no cut on measured columns.

    Brighter than the magnitude that a quarter, half and three quarters of the real rows are
    brighter than, in the middle band (to 0.1 mag), and redder than their median in the first colour
    (to 0.05 mag).

    Parameters
    ----------
    schema : Schema
        Names and units.
    measured : float array, shape (N, M)
        Real rows.

    Returns
    -------
    dict
        Name -> cuts.
    """
    bands = list(count_edges(schema, measured))
    texts = []
    if bands:
        middle = bands[(len(bands) - 1) // 2]
        limits = np.quantile(measured[:, schema.measured_names.index(middle)], [0.25, 0.5, 0.75])
        texts += [f"{middle} < {limit:.1f}" for limit in limits]
    if magnitude_families(schema):
        names, values = colours(schema, measured)
        texts.append(f"{names[0]} > {0.05 * np.round(np.median(values[:, 0]) / 0.05):.2f}")
    return {cut.text: [cut] for cut in read_cuts(list(dict.fromkeys(texts)), schema)}


def ratio_statistic(
    real: np.ndarray, emulated: np.ndarray, bootstrap: RegionBootstrap
) -> dict[str, Any]:
    """Emulated over real sum, minus 1.

    Parameters
    ----------
    real, emulated : array, shape (N,)
        What is summed: masks, or weights of the rows that pass.
    bootstrap : RegionBootstrap
        Over the N rows.

    Returns
    -------
    dict
        Statistic, NaN if nothing real is summed, with both sums in ``real`` and ``emulated``.
    """
    first, second = float(real.sum()), float(emulated.sum())
    sums = bootstrap.sums(np.stack([real, emulated], axis=1))
    replicates = sums[:, 1] / np.where(sums[:, 0] > 0, sums[:, 0], np.nan) - 1.0
    value = second / first - 1.0 if first else np.nan
    return statistic(value, bootstrap.interval(replicates), real=first, emulated=second)


def selection_statistics(
    selections: Mapping[str, Sequence[MeasuredCut]],
    names: tuple[str, ...],
    real: np.ndarray,
    emulated: np.ndarray,
    bootstrap: RegionBootstrap,
) -> dict[str, Any]:
    """Counts after each selection.

    Parameters
    ----------
    selections : mapping of str to sequence of MeasuredCut
        Name -> cuts, all of which a row must pass.
    names : tuple of str
        The M measured columns.
    real, emulated : float array, shape (N, M)
        Measured columns.
    bootstrap : RegionBootstrap
        Over the N rows.

    Returns
    -------
    dict
        Name -> emulated over real count, minus 1, with both counts.
    """
    return {
        name: ratio_statistic(passes(cuts, names, real), passes(cuts, names, emulated), bootstrap)
        for name, cuts in selections.items()
    }


def redshift_place(schema: Schema) -> int | None:
    """Place of the true redshift among the conditions.

    Parameters
    ----------
    schema : Schema
        A truth column is a redshift by its name, as ``true_redshift`` or ``zred``; magnitudes in z
        are none.

    Returns
    -------
    int or None
        None if the truth has no redshift.
    """
    for index, column in enumerate(schema.truth):
        if _REDSHIFT.search(column.name.lower()) and column.unit not in MAGNITUDES:
            return index
    return None


def shift_statistic(
    redshift: np.ndarray, real: np.ndarray, emulated: np.ndarray, bootstrap: RegionBootstrap
) -> dict[str, Any]:
    """Mean redshift of the rows that the emulated columns select, minus that of the real ones.

    Parameters
    ----------
    redshift : float array, shape (N,)
        True redshift; rows where it is NaN do not count.
    real, emulated : bool array, shape (N,)
        Rows that pass.
    bootstrap : RegionBootstrap
        Over the N rows.

    Returns
    -------
    dict
        Statistic, NaN if either selects no row, with both means in ``real`` and ``emulated``.
    """
    z = np.asarray(redshift, np.float64)
    known = np.isfinite(z)
    z, real, emulated = np.where(known, z, 0.0), real & known, emulated & known
    sums = bootstrap.sums(np.stack([real, emulated, real * z, emulated * z], axis=1))
    total = np.where(sums[:, :2] > 0, sums[:, :2], np.nan)
    means = sums[:, 2:] / total
    here = [float(z[rows].mean()) if rows.any() else np.nan for rows in (real, emulated)]
    interval = bootstrap.interval(means[:, 1] - means[:, 0])
    return statistic(here[1] - here[0], interval, real=here[0], emulated=here[1])
