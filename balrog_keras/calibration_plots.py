"""Figures of calibration and of the classifier test; never shows, never saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balrog_keras.plots import COLOURS, Figure, new_figure, short

__all__ = ["bins_figure", "c2st_figure", "coverage_figure", "pit_figure"]

_MARKERS = "osD^vP"


def pit_figure(pit: np.ndarray, names: Sequence[str], label: str) -> Figure:
    """Histogram of the PIT of every column.

    Parameters
    ----------
    pit : float array, shape (N, M)
        Randomised ranks.
    names : sequence of str
        The M measured columns.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Flat is calibrated; the grey band holds 95 % of the bars of a perfect emulator.
    """
    figure, axes = new_figure(1, len(names), label, "PIT: rank of the measured value in the draws")
    bins = 25
    expected = len(pit) / bins
    half = 1.96 * np.sqrt(expected * (1 - 1 / bins)) / expected
    for k, (axis, name) in enumerate(zip(axes[0], names, strict=True)):
        counts, edges = np.histogram(pit[:, k], bins, (0, 1))
        axis.axhspan(1 - half, 1 + half, color=COLOURS["null"], alpha=0.3, lw=0)
        axis.stairs(counts / expected, edges, baseline=None, color=COLOURS["emulated"], lw=1.4)
        axis.axhline(1, color="black", lw=0.8)
        axis.set_ylim(*_around_one(counts / expected))
        axis.set_xlabel(f"PIT of {short(name)}", fontsize=9)
    axes[0, 0].set_ylabel("density", fontsize=9)
    return figure


def _around_one(values: np.ndarray) -> tuple[float, float]:
    reach = max(0.3, 1.15 * float(np.max(np.abs(values - 1))))
    return max(0.0, 1 - reach), 1 + reach


def coverage_figure(bins: list[dict[str, Any]], names: Sequence[str], label: str) -> Figure:
    """Coverage of the central 68 and 95 % intervals in bins of every condition.

    Parameters
    ----------
    bins : list of dict
        ``calibration_bins`` of an evaluation's statistics.
    names : sequence of str
        Measured columns.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Grey bands hold 95 % of the points of a perfect emulator.
    """
    figure, axes = new_figure(
        2, 1, label, "Coverage in bins of every condition", width=9.6, height=2.3
    )
    rows = np.array([entry["rows"] for entry in bins])
    for axis, level in zip(axes[:, 0], (0.68, 0.95), strict=True):
        half = 1.96 * np.sqrt(level * (1 - level) / np.maximum(rows, 1))
        _band(axis, level - half, level + half)
        axis.axhline(level, color="black", lw=0.8)
        axis.use_sticky_edges = False
        _points(axis, [entry[f"coverage_{100 * level:.0f}"] for entry in bins], names)
        axis.set_ylabel(f"{100 * level:.0f} % interval", fontsize=9)
    _name_conditions(axes, bins)
    return figure


def bins_figure(bins: list[dict[str, Any]], worst: dict[str, Any], limit: float, label: str) -> Any:
    """KS distance of the PIT from uniform in bins of every condition.

    Parameters
    ----------
    bins : list of dict
        ``calibration_bins`` of an evaluation's statistics.
    worst : dict
        Their ``pit`` / ``worst_bin`` statistic.
    limit : float
        The bar on the worst bin.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        The grey band is each bin's own 95 % null.
    """
    names = list(bins[0]["pit_ks"])
    figure, axes = new_figure(
        1, 1, label, "PIT KS in bins of every condition", width=9.6, height=2.8
    )
    axis = axes[0, 0]
    null = np.array([max(entry["pit_ks_null"].values()) for entry in bins])
    _band(axis, np.zeros(len(bins)), null)
    axis.axhline(limit, color="black", lw=1.2, label="bar")
    axis.axhline(worst["null"], color="black", lw=0.9, ls=":", label="95 % null of the worst bin")
    _points(axis, [entry["pit_ks"] for entry in bins], names)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("KS distance", fontsize=9)
    _name_conditions(axes, bins)
    return figure


def _band(axis: Any, low: np.ndarray, high: np.ndarray) -> None:
    x = np.arange(len(low))
    axis.bar(x, high - low, 0.9, low, color=COLOURS["null"], alpha=0.3, lw=0)


def _points(axis: Any, entries: list[dict[str, float]], names: Sequence[str]) -> None:
    shades = list(COLOURS.values())[:2] + ["#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
    for k, name in enumerate(names):
        x = np.arange(len(entries)) + (k - 0.5 * (len(names) - 1)) * 0.8 / len(names)
        y = [entry[name] for entry in entries]
        style = {"marker": _MARKERS[k % len(_MARKERS)], "color": shades[k % len(shades)]}
        axis.plot(x, y, ls="", ms=4, label=short(name), **style)


def _name_conditions(axes: np.ndarray, bins: list[dict[str, Any]]) -> None:
    """Separate the conditions, name them under the last row, one legend on top of the first."""
    conditions = [entry["condition"] for entry in bins]
    starts = [k for k, name in enumerate(conditions) if k == 0 or conditions[k - 1] != name]
    ends = [*starts[1:], len(conditions)]
    middles = [0.5 * (start + end - 1) for start, end in zip(starts, ends, strict=True)]
    for axis in axes[:, 0]:
        for start in starts[1:]:
            axis.axvline(start - 0.5, color="black", lw=0.4)
        axis.set_xlim(-0.6, len(conditions) - 0.4)
        axis.set_xticks(middles, [""] * len(middles))
    texts = [short(conditions[start]) for start in starts]
    axes[-1, 0].set_xticks(middles, texts, fontsize=8, rotation=20, ha="right")
    axes[-1, 0].set_xlabel("condition; its bins from low to high", fontsize=9)
    axes[0, 0].legend(fontsize=7, frameon=False, ncols=6, loc="lower left", bbox_to_anchor=(0, 1))


def c2st_figure(c2st: dict[str, Any], limit: float, null_name: str, label: str) -> Figure:
    """AUC of the classifiers with intervals, null and bar.

    Parameters
    ----------
    c2st : dict
        Of an evaluation's statistics.
    limit : float
        The bar.
    null_name : str
        What the null is.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = new_figure(1, 1, label, "Classifier two-sample test", width=6.4, height=2.2)
    axis = axes[0, 0]
    rows = []
    for name, entry in c2st["classifiers"].items():
        rows.append((f"{null_name}, {name}", entry["null"], entry["null_interval"], "null"))
        rows.append((f"emulator, {name}", entry["value"], entry["interval"], "emulated"))
    for y, (_, value, interval, colour) in enumerate(rows):
        if interval is not None:
            axis.plot(interval, [y, y], color=COLOURS[colour], lw=2)
        axis.plot(value, y, "o", color=COLOURS[colour])
    axis.axvline(0.5, color="black", lw=0.8)
    axis.axvline(limit, color="black", lw=1.2, ls="--")
    axis.text(limit, len(rows) - 0.4, " bar", fontsize=8, va="bottom", ha="center")
    axis.set_yticks(range(len(rows)), [row[0] for row in rows], fontsize=8)
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel("AUC, 0.5 = indistinguishable; lines are 95 % intervals over tiles", fontsize=9)
    return figure
