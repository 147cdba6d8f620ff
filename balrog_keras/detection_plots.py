"""Figures of a detection probability; never shows, never saves."""

from __future__ import annotations

from typing import Any

import numpy as np

from balrog_keras.plots import COLOURS, Figure, new_figure, short

__all__ = ["completeness_figure", "joint_figure", "reliability_figure"]


def reliability_figure(table: dict[str, np.ndarray], label: str) -> Figure:
    """Detected fraction against probability, and the difference of the two.

    Parameters
    ----------
    table : dict
        ``reliability`` of a detection evaluation's statistics.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Lines are 95 % binomial intervals of the detected fraction.
    """
    title = "Reliability of P(detected | condition)"
    figure, axes = new_figure(1, 2, label, title, width=4.0, height=3.2)
    x, y = table["probability"], table["detected"]
    low, high = np.abs(table["interval"] - y[:, None]).T
    style = {"fmt": "o", "color": COLOURS["emulated"], "ms": 4, "lw": 1.3}
    for axis, reference in zip(axes[0], (0.0, x), strict=True):
        axis.errorbar(x, y - reference, yerr=(low, high), **style)
        axis.set_xlabel("probability of detection, mean of the bin", fontsize=9)
    axes[0, 0].plot([0, 1], [0, 1], color="black", lw=0.8)
    axes[0, 0].set_ylabel("detected fraction", fontsize=9)
    axes[0, 1].axhline(0, color="black", lw=0.8)
    axes[0, 1].set_ylabel("detected fraction - probability", fontsize=9)
    return figure


def completeness_figure(curves: dict[str, dict[str, np.ndarray]], label: str) -> Figure:
    """Completeness against every truth magnitude, real and emulated, and the difference.

    Parameters
    ----------
    curves : dict
        ``completeness`` of a detection evaluation's statistics.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Lines are 95 % Wilson intervals above, and intervals of a bootstrap over regions below;
        grey holds 95 % of the differences of a perfect model with independent rows. Bins with too
        few rows to be judged are left out.
    """
    figure, axes = new_figure(2, len(curves), label, "Completeness", height=2.4)
    for column, (name, table) in zip(axes.T, curves.items(), strict=True):
        shown = {key: values[table["judged"]] for key, values in table.items()}
        x, real = 0.5 * (shown["low"] + shown["high"]), shown["detected"]
        low, high = np.abs(shown["interval"] - real[:, None]).T
        style = {"fmt": "o", "color": COLOURS["real"], "ms": 3, "lw": 1.2}
        column[0].errorbar(x, real, yerr=(low, high), label="real", **style)
        column[0].plot(x, shown["expected"], ".-", color=COLOURS["emulated"], label="emulated")
        error = real - shown["expected"]
        column[1].fill_between(x, -shown["null"], shown["null"], color=COLOURS["null"], alpha=0.3)
        column[1].vlines(x, *shown["error_interval"].T, color=COLOURS["real"], lw=1.2)
        column[1].plot(x, error, "o", color=COLOURS["real"], ms=3)
        column[1].axhline(0, color="black", lw=0.8)
        column[1].set_xlabel(short(name), fontsize=9)
    axes[0, 0].set_ylabel("detected fraction", fontsize=9)
    axes[1, 0].set_ylabel("real - emulated", fontsize=9)
    axes[0, 0].legend(fontsize=7, frameon=False)
    return figure


def joint_figure(tables: dict[str, dict[str, Any]], label: str) -> Figure:
    """Calibration error in bins of magnitude x seeing, and the excess of detections.

    Parameters
    ----------
    tables : dict
        ``joint`` of a detection evaluation's statistics; not empty.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Each cell has its calibration error and, in brackets, the 95 % null of that; its colour is
        detected minus expected counts over their binomial error.
    """
    title = "Calibration error in bins of magnitude and seeing"
    figure, axes = new_figure(1, len(tables), label, title, width=4.2, height=3.0)
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        image = axis.imshow(table["excess"].T, cmap="RdBu", vmin=-4, vmax=4, aspect="auto")
        for place, value in np.ndenumerate(table["ece"]):
            text = f"{value:.3f}\n({table['null'][place]:.3f})"
            colour = "white" if abs(table["excess"][place]) > 2.5 else "black"
            axis.text(*place, text, ha="center", va="center", fontsize=6, color=colour)
        for edges, set_ticks in zip(
            table["edges"], (axis.set_xticks, axis.set_yticks), strict=True
        ):
            set_ticks(np.arange(len(edges)) - 0.5, [f"{edge:.2f}" for edge in edges])
        axis.tick_params(axis="x", rotation=30)
        across, along = name.split(", ")
        axis.set_xlabel(short(across), fontsize=9)
        axis.set_ylabel(short(along), fontsize=9)
    figure.colorbar(image, ax=axes[0].tolist(), label="(detected - expected) / σ", shrink=0.9)
    return figure
