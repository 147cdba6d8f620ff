"""Figures on grids of magnitude x seeing, of the sky, and of N/<N>; never shows, never saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balrog_keras.plots import COLOURS, Figure, new_figure, short

__all__ = ["density_figure", "grid_figure", "sky_figure"]

# Quantity of a grid -> its title, what is subtracted, its factor, and where its colours end.
_GRIDS = {
    "bias": ("bias / spread [%]", 0.0, 100.0, 20.0),
    "spread_ratio": ("spread ratio - 1 [%]", 1.0, 100.0, 20.0),
    "pit_ks": ("PIT KS / its 95 % null", 0.0, 1.0, 3.0),
    "coverage_68": ("coverage - 68 % [%]", 0.68, 100.0, 10.0),
    "coverage_95": ("coverage - 95 % [%]", 0.95, 100.0, 5.0),
}


def grid_figure(
    grids: dict[str, Any], quantities: Sequence[str], null_name: str, label: str
) -> Figure:
    """Some quantities of every measured column in magnitude x seeing.

    Parameters
    ----------
    grids : dict
        ``grids`` of the science statistics.
    quantities : sequence of str
        Of ``bias``, ``spread_ratio``, ``pit_ks``, ``coverage_68``, ``coverage_95``; one row each.
    null_name : str
        What the numbers in brackets are of.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Bias and spread have the null's value in brackets; bold ones have an interval over tiles
        that leaves out what is right.
    """
    title = "Cells of true magnitude and seeing"
    if any(f"null_{key}" in next(iter(grids.values())) for key in quantities):
        title += f" (in brackets: {null_name})"
    figure, axes = new_figure(len(quantities), len(grids), label, title, height=2.5)
    for row, key in zip(axes, quantities, strict=True):
        text, right, factor, limit = _GRIDS[key]
        for axis, (name, table) in zip(row, grids.items(), strict=True):
            across, along = table["grid"].split(", ")
            _heat_map(axis, table, key, (right, factor, limit))
            axis.set_title(f"{short(name)}: {text}", fontsize=9)
            axis.set_xlabel(short(along), fontsize=8)
            axis.set_ylabel(short(across), fontsize=8)
            for set_ticks, edges in zip(
                (axis.set_yticks, axis.set_xticks), table["edges"], strict=True
            ):
                ticks = np.arange(len(edges)) - 0.5
                set_ticks(ticks, [f"{edge:.2f}" for edge in edges], fontsize=7)
            axis.tick_params(axis="x", rotation=30)
    return figure


def _heat_map(
    axis: Any, table: dict[str, Any], key: str, scale: tuple[float, float, float]
) -> None:
    right, factor, limit = scale
    cells = factor * (np.asarray(table[key], np.float64) - right)
    if key == "pit_ks":
        cells = cells / np.asarray(table["pit_ks_null"], np.float64)
    axis.set_facecolor("0.8")
    style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    if key == "pit_ks":
        style = {"cmap": "Oranges", "vmin": 0.0, "vmax": limit}
    axis.imshow(np.ma.masked_invalid(cells), aspect="auto", **style)
    null = table.get(f"null_{key}")
    for (i, k), value in np.ndenumerate(cells):
        if not np.isfinite(value):
            continue
        text = f"{value:.1f}" if limit <= 5 else f"{value:+.0f}"
        if null is not None:
            text += f" ({factor * (null[i][k] - right):+.0f})"
        low, high = table[f"{key}_interval"][i][k] if f"{key}_interval" in table else (right, right)
        sure = low > right or high < right
        colour = "white" if abs(value) > 0.7 * limit else "black"
        font = {"fontsize": 7, "color": colour, "fontweight": "bold" if sure else "normal"}
        axis.text(k, i, text, ha="center", va="center", **font)


def sky_figure(sky: dict[str, Any], label: str) -> Figure:
    """Bias of every measured column on the sky.

    Parameters
    ----------
    sky : dict
        ``sky`` of the science statistics.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Pixels are points; the bias is in units of the noise of a difference of two medians of so
        many normal values, so that few points of an exact emulator are beyond 2.
    """
    title = f"Bias over its noise in pixels of nside {sky['nside']}"
    figure, axes = new_figure(1, len(sky["bias"]), label, title, height=3.0)
    # The right ascension may pass through 0: a gap of more than half the circle is not shown.
    ra = np.asarray(sky["ra"], np.float64)
    ra = np.where(ra > 180, ra - 360, ra) if np.ptp(ra) > 180 else ra
    noise = 1.2533 * np.sqrt(2 / np.asarray(sky["rows"], np.float64))
    for axis, (name, bias) in zip(axes[0], sky["bias"].items(), strict=True):
        points = axis.scatter(
            ra, sky["dec"], c=bias / noise, s=14, cmap="RdBu_r", vmin=-4, vmax=4, lw=0
        )
        axis.set_title(short(name), fontsize=9)
        axis.set_xlabel("right ascension [deg]", fontsize=9)
        axis.invert_xaxis()
    axes[0, 0].set_ylabel("declination [deg]", fontsize=9)
    figure.colorbar(points, ax=axes[0].tolist(), label="bias / noise", shrink=0.9)
    return figure


def density_figure(curves: dict[str, Any], label: str) -> Figure:
    """Detected fraction over its mean, N/<N>, against every survey property.

    Parameters
    ----------
    curves : dict
        ``curves`` of :func:`balrog_keras.sky_statistics.density_statistics`.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Below, the difference: lines are 95 % intervals over tiles, the grey band holds 95 % of
        the differences of a perfect model with independent rows.
    """
    figure, axes = new_figure(
        2, len(curves), label, "N/<N> against survey properties", width=2.6, height=2.0
    )
    for (upper, lower), (name, curve) in zip(axes.T, curves.items(), strict=True):
        x = np.asarray(curve["centre"])
        for key in ("real", "emulated"):
            upper.plot(x, curve[key], marker="o", ms=3, lw=1.2, color=COLOURS[key], label=key)
        null = np.asarray(curve["null"], np.float64)
        lower.fill_between(x, -null, null, color=COLOURS["null"], alpha=0.3, lw=0)
        difference = np.asarray(curve["emulated"]) - np.asarray(curve["real"])
        bounds = np.abs(np.asarray(curve["interval"], np.float64) - difference[:, None]).T
        style = {"fmt": "o", "ms": 3, "lw": 1.2, "color": COLOURS["emulated"]}
        lower.errorbar(x, difference, yerr=bounds, **style)
        lower.axhline(0, color="black", lw=0.8)
        lower.set_xlabel(short(name), fontsize=9)
    axes[0, 0].set_ylabel("N / <N>", fontsize=9)
    axes[1, 0].set_ylabel("emulated - real", fontsize=9)
    axes[0, 0].legend(fontsize=7, frameon=False)
    return figure
