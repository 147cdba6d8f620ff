"""Figures of tails, counts, colours, selections and telling features; never shows, never saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.plots import COLOURS, Figure, new_figure, short

__all__ = [
    "colour_figure",
    "counts_figure",
    "selections_figure",
    "tails_figure",
    "telling_figure",
]

_COLOUR_BINS = 40


def tails_figure(tails: dict[str, Any], null_name: str, label: str) -> Figure:
    """Fraction of rows beyond some conditional scales, and the relative difference.

    Parameters
    ----------
    tails : dict
        ``tails`` of the science statistics.
    null_name : str
        What the null is.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Bands and lines are 95 % bootstrap intervals over tiles.
    """
    figure, axes = new_figure(
        2, len(tails), label, "Tails: rows far from their location", height=2.2
    )
    for (upper, lower), (name, entries) in zip(axes.T, tails.items(), strict=True):
        x = np.array([float(key.removeprefix("> ")) for key in entries])
        value = {
            key: np.array([entry[key] for entry in entries.values()], np.float64)
            for key in ("real", "emulated", "value", "null")
        }
        for key in ("real", "emulated"):
            shown = np.where(value[key] > 0, value[key], np.nan)
            upper.plot(x, shown, marker="o", ms=3, color=COLOURS[key], label=key)
        bounds = np.array([entry["interval"] for entry in entries.values()], np.float64)
        unit = np.where(value["real"] > 0, value["real"], np.nan)
        lower.fill_between(x, *(bounds / unit[:, None]).T, color=COLOURS["emulated"], alpha=0.25)
        lower.plot(x, value["null"] / unit, "--", color=COLOURS["null"], label=null_name)
        lower.plot(x, value["value"] / unit, marker="o", ms=3, color=COLOURS["emulated"])
        lower.axhline(0, color="black", lw=0.8)
        upper.set_yscale("log")
        for axis in (upper, lower):
            axis.set_xscale("log")
            axis.set_xticks(x, [f"{scale:g}" for scale in x])
            axis.minorticks_off()
        upper.set_title(short(name), fontsize=9)
        lower.set_xlabel("distance / conditional scale", fontsize=9)
    _name_rows(axes, "fraction beyond", "emulated / real - 1")
    return figure


def counts_figure(counts: dict[str, Any], null_name: str, label: str) -> Figure:
    """Number counts in each measured magnitude, and the relative difference.

    Parameters
    ----------
    counts : dict
        ``counts`` of the science statistics.
    null_name : str
        What the null is.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        The band is a 95 % bootstrap interval over tiles.
    """
    figure, axes = new_figure(2, len(counts), label, "Counts of detected rows", height=2.2)
    for (upper, lower), (name, table) in zip(axes.T, counts.items(), strict=True):
        edges = np.asarray(table["edges"])
        centre = 0.5 * (edges[1:] + edges[:-1])
        for key in ("real", "emulated"):
            upper.stairs(table[key], edges, color=COLOURS[key], label=key, lw=1.3)
        upper.set_yscale("log")
        interval = np.asarray(table["excess_interval"], np.float64)
        lower.fill_between(centre, *interval.T, color=COLOURS["emulated"], alpha=0.25, lw=0)
        null = np.asarray(table["null_excess"], np.float64)
        lower.plot(centre, null, "--", color=COLOURS["null"], lw=1.2, label=null_name)
        lower.plot(centre, table["excess"], marker="o", ms=3, color=COLOURS["emulated"], lw=1.2)
        lower.axhline(0, color="black", lw=0.8)
        lower.set_ylim(-0.4, 0.4)
        lower.set_xlabel(short(name), fontsize=9)
    _name_rows(axes, "rows per bin", "emulated / real - 1")
    return figure


def colour_figure(
    samples: dict[str, np.ndarray],
    reference: np.ndarray,
    names: Sequence[str],
    bootstrap: RegionBootstrap,
    label: str,
) -> Figure:
    """Distribution of every colour, and the difference in per cent of the rows.

    Parameters
    ----------
    samples : dict
        ``{"real" | "emulated" | name of the null: colours (n, K)}``, the null last.
    reference : float array, shape (n, K)
        The real colours of the null's rows.
    names : sequence of str
        The K colours.
    bootstrap : RegionBootstrap
        Over the real rows.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        The band is a 95 % bootstrap interval over tiles.
    """
    figure, axes = new_figure(2, len(names), label, "Colours", height=2.2)
    (_, real), (_, emulated), (null_name, null) = samples.items()
    for k, ((upper, lower), name) in enumerate(zip(axes.T, names, strict=True)):
        low, high = np.quantile(real[:, k], [0.002, 0.998])
        edges = np.linspace(low, high, _COLOUR_BINS + 1)
        centre = 0.5 * (edges[1:] + edges[:-1])
        for key, values in (("real", real), ("emulated", emulated)):
            share = np.histogram(values[:, k], edges)[0] / len(values)
            upper.stairs(share, edges, color=COLOURS[key], label=key, lw=1.3)
        difference, replicates = _shares(real[:, k], emulated[:, k], edges, bootstrap)
        lower.fill_between(
            centre, *bootstrap.interval(replicates).T, color=COLOURS["emulated"], alpha=0.25, lw=0
        )
        other = np.histogram(null[:, k], edges)[0] - np.histogram(reference[:, k], edges)[0]
        lower.plot(
            centre, 100 * other / len(null), "--", color=COLOURS["null"], lw=1.2, label=null_name
        )
        lower.plot(centre, difference, color=COLOURS["emulated"], lw=1.3)
        lower.axhline(0, color="black", lw=0.8)
        lower.set_xlabel(short(name), fontsize=9)
    _name_rows(axes, "share of the rows", "emulated - real, % of rows")
    return figure


def _name_rows(axes: np.ndarray, *texts: str) -> None:
    """Label and legend of the first panel of each row."""
    for axis, text in zip(axes[:, 0], texts, strict=True):
        axis.set_ylabel(text, fontsize=9)
        axis.legend(fontsize=7, frameon=False)


def _shares(
    real: np.ndarray, emulated: np.ndarray, edges: np.ndarray, bootstrap: RegionBootstrap
) -> tuple[np.ndarray, np.ndarray]:
    """Emulated minus real share of every bin in per cent: (K,) and replicates (B, K)."""
    labels = [np.searchsorted(edges, values, side="right") - 1 for values in (real, emulated)]
    bins = range(len(edges) - 1)
    moved = np.stack([1.0 * (labels[1] == k) - (labels[0] == k) for k in bins], axis=1)
    sums = bootstrap.sums(np.column_stack([moved, np.ones(len(moved))]))
    return 100 * moved.mean(axis=0), 100 * sums[:, :-1] / np.maximum(sums[:, -1:], 1)


def selections_figure(
    entries: dict[str, Any], null_name: str, title: str, quantity: str, label: str
) -> Figure:
    """One line per selection: its statistic with interval, beside the null's.

    Parameters
    ----------
    entries : dict
        Selection -> statistic.
    null_name : str
        What the null is.
    title, quantity : str
        Heading, and text of the axis.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Lines are 95 % bootstrap intervals over tiles.
    """
    height = 0.8 + 0.42 * len(entries)
    figure, axes = new_figure(1, 1, label, title, width=7.4, height=height)
    axis = axes[0, 0]
    for y, entry in enumerate(entries.values()):
        for colour, key, bounds, at in (
            ("emulated", "value", "interval", y),
            ("null", "null", "null_interval", y + 0.25),
        ):
            if entry.get(bounds) is not None:
                axis.plot(entry[bounds], [at, at], color=COLOURS[colour], lw=2)
            name = {"emulated": "emulator", "null": null_name}[colour] if y == 0 else None
            axis.plot(entry[key], at, "o", color=COLOURS[colour], label=name)
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(np.arange(len(entries)) + 0.1, list(entries), fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(quantity, fontsize=9)
    axis.legend(fontsize=7, frameon=False)
    return figure


def telling_figure(telling: dict[str, Any], label: str) -> Figure:
    """Importance of the most telling features, and the AUC in quartiles of every condition.

    Parameters
    ----------
    telling : dict
        From :func:`balrog_keras.telling_features.telling_features`.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Lines are 95 % bootstrap intervals over tiles.
    """
    shown = dict(list(telling["groups"].items())[:10])
    height = 0.8 + 0.3 * len(shown)
    title = f"What gives emulated rows away ({telling['classifier']})"
    figure, axes = new_figure(1, 2, label, title, width=4.8, height=height)
    left, right = axes[0]
    for y, entry in enumerate(shown.values()):
        if entry["interval"] is not None:
            left.plot(entry["interval"], [y, y], color=COLOURS["emulated"], lw=2)
        left.plot(entry["value"], y, "o", color=COLOURS["emulated"], label="" if y else "emulator")
        if entry.get("null_interval") is not None:
            left.plot(entry["null_interval"], [y + 0.3, y + 0.3], color=COLOURS["null"], lw=1)
            left.plot(
                entry["null"], y + 0.3, "o", ms=3, color=COLOURS["null"], label="" if y else "null"
            )
    left.axvline(0, color="black", lw=0.8)
    left.set_yticks(range(len(shown)), [short(name) for name in shown], fontsize=8)
    left.invert_yaxis()
    left.set_xlabel("fall of the AUC when shuffled", fontsize=9)
    left.legend(fontsize=7, frameon=False)
    conditions = list(dict.fromkeys(entry["condition"] for entry in telling["bins"]))
    for y, name in enumerate(conditions):
        cells = [entry for entry in telling["bins"] if entry["condition"] == name]
        for k, entry in enumerate(cells):
            at = y + 0.17 * (k - 0.5 * (len(cells) - 1))
            if entry["interval"] is not None:
                right.plot(entry["interval"], [at, at], color=COLOURS["emulated"], lw=1)
            right.plot(entry["value"], at, "o", ms=3, color=COLOURS["emulated"])
    right.axvline(0.5, color="black", lw=0.8)
    right.set_yticks(range(len(conditions)), [short(name) for name in conditions], fontsize=8)
    right.invert_yaxis()
    right.set_xlabel("AUC in quartiles (first on top), 0.5 = indistinguishable", fontsize=8)
    return figure
