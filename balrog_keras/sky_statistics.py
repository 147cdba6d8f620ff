"""Where on the sky the emulator is off, and how detected counts follow each survey property."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.comparison import simulated_null, statistic
from balrog_keras.detection_statistics import Cells, DetectionSample
from balrog_keras.metrics import quantile_bins
from data_prep.schema import Schema

__all__ = ["density_statistics", "scatter_between_pixels", "sky_pixels", "sky_statistics"]

# The finest pixels in which half of the occupied ones still hold this many rows.
_ROWS_PER_PIXEL = 100
_FINEST_NSIDE = 512


def sky_pixels(position: np.ndarray) -> tuple[int, np.ndarray]:
    """Pixels that are as fine as the rows allow.

    Parameters
    ----------
    position : float array, shape (N, 2)
        Right ascension and declination, deg.

    Returns
    -------
    nside : int
        Power of 2, 512 at most; half of the occupied pixels hold at least 100 rows, if any
        resolution does that.
    pixel : int64 array, shape (N,)
        NESTED.
    """
    import healpy

    ra, dec = np.asarray(position, np.float64).T
    finest = healpy.ang2pix(_FINEST_NSIDE, ra, dec, nest=True, lonlat=True)
    nside, pixel = _FINEST_NSIDE, finest
    while nside > 1:
        if np.median(np.unique(pixel, return_counts=True)[1]) >= _ROWS_PER_PIXEL:
            break
        nside, pixel = nside // 2, pixel // 4
    return nside, pixel


def sky_statistics(
    position: np.ndarray,
    real: np.ndarray,
    emulated: np.ndarray,
    names: tuple[str, ...],
    nside: int | None = None,
) -> dict[str, Any]:
    """Bias of every measured column in pixels of the sky.

    Parameters
    ----------
    position : float array, shape (N, 2)
        Right ascension and declination, deg.
    real, emulated : float array, shape (N, M)
        Residuals of the same rows.
    names : tuple of str
        The M columns.
    nside : int, optional
        Resolution of the pixels; that of :func:`sky_pixels` by default.

    Returns
    -------
    dict
        ``nside``, ``ra`` and ``dec`` of the pixels' centres, ``rows``, and ``bias``: per column
        emulated minus real median residual over the real spread of all rows.
    """
    import healpy

    if nside is None:
        nside, pixel = sky_pixels(position)
    else:
        pixel = healpy.ang2pix(nside, *np.asarray(position, np.float64).T, nest=True, lonlat=True)
    cells = Cells(pixel)
    ra, dec = healpy.pix2ang(nside, cells.labels, nest=True, lonlat=True)
    low, high = np.quantile(real, [0.16, 0.84], axis=0)
    spread = np.where(high > low, 0.5 * (high - low), np.nan)
    order = np.argsort(cells.index, kind="stable")
    rows = np.bincount(cells.index)
    bias = np.empty((len(cells), len(names)))
    for k, at in enumerate(np.split(order, np.cumsum(rows)[:-1])):
        bias[k] = np.median(emulated[at], axis=0) - np.median(real[at], axis=0)
    bias /= spread
    columns = {name: bias[:, m] for m, name in enumerate(names)}
    return {"nside": nside, "ra": ra, "dec": dec, "rows": rows, "bias": columns}


def scatter_between_pixels(sky: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """Root mean square bias over pixels, weighted by their rows.

    The null is that of the null's own map: most of it is the noise of a median of so few rows.

    Parameters
    ----------
    sky : dict
        From :func:`sky_statistics`.
    seed : int
        Seed of the bootstrap over pixels.

    Returns
    -------
    dict
        Measured column -> statistic.
    """
    bootstrap = RegionBootstrap(np.arange(len(sky["rows"])), 200, seed)
    result = {}
    for name, bias in sky["bias"].items():
        rows = sky["rows"].astype(np.float64)
        sums = bootstrap.sums(np.stack([rows * bias**2, rows], axis=1))
        replicates = np.sqrt(sums[:, 0] / np.maximum(sums[:, 1], 1e-300))
        value = float(np.sqrt((rows * bias**2).sum() / rows.sum()))
        result[name] = statistic(value, bootstrap.interval(replicates))
    return result


def density_statistics(
    schema: Schema, condition: np.ndarray, sample: DetectionSample
) -> dict[str, Any]:
    """Detected fraction over its mean, N/<N>, against each survey property.

    Parameters
    ----------
    schema : Schema
        Names of the conditions.
    condition : float array, shape (N, C)
        Of all held-out injections.
    sample : DetectionSample
        The same rows with their probabilities of detection.

    Returns
    -------
    dict
        ``curves``: per survey property ``edges``, ``centre``, ``rows``, ``real``, ``emulated``,
        ``interval`` (of their difference, over regions) and ``null`` (the 95 % quantile of the
        absolute difference of a perfect model); ``worst``: the largest absolute difference with
        its interval, null and place. Empty without a survey property.
    """
    curves: dict[str, Any] = {}
    simulated, replicated = [], []
    for column in schema.survey:
        values = condition[:, schema.condition_names.index(column.name)]
        label, edges = quantile_bins(values, 10)
        cells = Cells(label)
        ratios = partial(_relative_fractions, cells)
        expected = ratios(sample.probability[None], sample.weight[None])[0]
        excess = partial(_excess, ratios, sample.probability)
        null, replicates = np.abs(sample.simulate(excess)), sample.resample(excess)
        curves[column.name] = {
            "edges": edges,
            "centre": np.array([np.median(values[label == k]) for k in cells.labels]),
            "rows": np.bincount(cells.index),
            "real": sample.observe(ratios),
            "emulated": expected,
            "interval": -sample.bootstrap.interval(replicates)[:, ::-1],
            "null": np.quantile(null, 0.95, axis=0),
        }
        simulated.append(null)
        replicated.append(np.abs(replicates))
    if not curves:
        return {}
    differences = {n: np.abs(c["emulated"] - c["real"]) for n, c in curves.items()}
    where = max(differences, key=lambda name: float(differences[name].max()))
    value = float(differences[where].max())
    k = int(differences[where].argmax())
    low, high = curves[where]["edges"][k : k + 2]
    worst = statistic(
        value,
        sample.bootstrap.interval(np.concatenate(replicated, axis=1).max(axis=1), value),
        **simulated_null(value, np.concatenate(simulated, axis=1).max(axis=1)),
        where=f"{where} in {low:.4g} to {high:.4g}",
    )
    return {"curves": curves, "worst": worst}


def _relative_fractions(cells: Cells, detected: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Detected fraction of every cell over that of all rows: (b, K)."""
    total = cells.sums(weights)
    found = cells.sums(weights * detected)
    overall = found.sum(axis=1, keepdims=True) / total.sum(axis=1, keepdims=True)
    relative = np.ones_like(found)
    np.divide(found, total * overall, out=relative, where=total > 0)
    return relative


def _excess(
    ratios: Any, probability: np.ndarray, detected: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Real minus expected N/<N> of every cell: (b, K)."""
    expected: np.ndarray = ratios(probability[None], weights)
    excess: np.ndarray = ratios(detected, weights) - expected
    return excess
