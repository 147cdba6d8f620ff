"""Arrays -> matplotlib Figures of real beside emulated columns; never shows, never saves.

Every figure carries the label of its data. Only the object interface of matplotlib is used, so
that importing or calling this module changes nothing global.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_prep.errors import require

__all__ = [
    "COLOURS",
    "binned_figure",
    "colour_magnitude_figure",
    "correlation_figure",
    "new_figure",
    "residual_figure",
    "short",
]

Figure = Any

# Okabe & Ito's palette: told apart by every kind of colour vision.
COLOURS = {"real": "#0072B2", "emulated": "#D55E00", "null": "#7A7A7A"}
_BINS = 60


def new_figure(
    rows: int, columns: int, label: str, title: str, *, width: float = 3.3, height: float = 2.7
) -> tuple[Figure, np.ndarray]:
    """A labelled figure with a grid of axes.

    Parameters
    ----------
    rows, columns : int
        Size of the grid.
    label : str
        What the data are; printed under the title.
    title : str
        Heading.
    width, height : float
        Of one panel, in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : array of Axes, shape (rows, columns)
    """
    module = require("matplotlib.figure", "report")
    figure = module.Figure(
        figsize=(width * columns + 0.4, height * rows + 0.7), layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(f"{title}\n{label}", fontsize=10)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def short(name: str) -> str:
    """A column's name as axis text: ``meas_mag_r`` -> ``meas mag r``."""
    return name.replace("_", " ")


def colour_magnitude_figure(
    real: np.ndarray, emulated: np.ndarray, bands: Sequence[str], label: str
) -> Figure:
    """Colour-magnitude and colour-colour diagrams of real and emulated magnitudes.

    For bands r, i, z the two diagrams are (r - i) against i and (r - i) against (i - z); for more
    bands there is one pair of diagrams per three neighbours. The last column of panels is the
    difference in units of its Poisson error.

    Parameters
    ----------
    real, emulated : float array, shape (N, K)
        Measured magnitudes, one column per band, at least two.
    bands : sequence of str
        Names of the K bands.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    diagrams = _diagrams(bands)
    figure, axes = new_figure(len(diagrams), 3, label, "Measured colours and magnitudes")
    for row, (x_text, x_of, y_text, y_of) in zip(axes, diagrams, strict=True):
        points = [(x_of(sample), y_of(sample)) for sample in (real, emulated)]
        x_edges, y_edges = (_edges(points[0][k]) for k in (0, 1))
        counts = [np.histogram2d(x, y, bins=(x_edges, y_edges))[0].T for x, y in points]
        top = max(count.max() for count in counts)
        for axis, count, name in zip(row, counts, ("real", "emulated"), strict=False):
            shown = np.ma.masked_less(count, 1)
            mesh = axis.pcolormesh(x_edges, y_edges, np.sqrt(shown), cmap="viridis", vmin=0)
            mesh.set_clim(0, np.sqrt(top))
            axis.set_title(name, fontsize=9)
        figure.colorbar(mesh, ax=row[1], label="√ galaxies per cell")
        both = counts[0] + counts[1]
        pull = np.ma.masked_where(both < 1, counts[1] - counts[0]) / np.sqrt(np.maximum(both, 1))
        mesh = row[2].pcolormesh(x_edges, y_edges, pull, cmap="RdBu_r", vmin=-4, vmax=4)
        row[2].set_title("emulated - real", fontsize=9)
        figure.colorbar(mesh, ax=row[2], label="difference / σ")
        for axis in row:
            axis.set_xlabel(x_text, fontsize=9)
        row[0].set_ylabel(y_text, fontsize=9)
    return figure


def _diagrams(bands: Sequence[str]) -> list[tuple[str, Any, str, Any]]:
    """Axis texts and functions (x, y) of the diagrams of neighbouring bands."""

    def colour(k: int) -> tuple[str, Any]:
        return f"{bands[k]} - {bands[k + 1]}", lambda sample: sample[:, k] - sample[:, k + 1]

    def magnitude(k: int) -> tuple[str, Any]:
        return bands[k], lambda sample: sample[:, k]

    result = []
    for k in range(max(1, len(bands) - 2)):
        result.append((*magnitude(k + 1), *colour(k)))
        if k + 2 < len(bands):
            result.append((*colour(k + 1), *colour(k)))
    return result


def _edges(values: np.ndarray) -> np.ndarray:
    """Bin edges over the central 99.6 % of the values and a margin."""
    low, high = np.quantile(values, [0.002, 0.998])
    margin = 0.05 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, _BINS + 1)


def binned_figure(
    tables: dict[str, dict[str, np.ndarray]],
    null_tables: dict[str, dict[str, np.ndarray]],
    titles: Mapping[str, str],
    by: str,
    null_name: str,
    label: str,
) -> Figure:
    """Median, spread and spread ratio of every residual in bins of one condition.

    Parameters
    ----------
    tables, null_tables : dict
        ``{measured column: table of metrics.binned_bias_spread}`` of the emulator and the null.
    titles : mapping of str to str
        Measured column -> what its residual is, with its unit.
    by : str
        The binned condition, with its unit.
    null_name : str
        What the null is, for the legend.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        Bands are 95 % bootstrap intervals.
    """
    title = f"Residuals against {short(by)}"
    figure, axes = new_figure(3, len(tables), label, title, height=2.1)
    for column, (name, table) in zip(axes.T, tables.items(), strict=True):
        null, x = null_tables[name], table["centre"]
        for axis, quantity in zip(column, ("median", "spread"), strict=False):
            low, high = table[f"{quantity}_real_interval"].T
            axis.fill_between(x, low, high, color=COLOURS["real"], alpha=0.25, lw=0)
            _line(axis, x, table[f"{quantity}_real"], "real", "real")
            _line(axis, x, null[f"{quantity}_emulated"], "null", null_name, "--")
            _line(axis, x, table[f"{quantity}_emulated"], "emulated", "emulated")
        low, high = table["spread_ratio_interval"].T
        column[2].fill_between(x, low, high, color=COLOURS["emulated"], alpha=0.25, lw=0)
        _line(column[2], x, null["spread_ratio"], "null", null_name, "--")
        _line(column[2], x, table["spread_ratio"], "emulated", "emulated")
        column[2].axhline(1, color="black", lw=0.8)
        column[2].set_xlabel(short(by), fontsize=9)
        column[0].set_title(titles[name], fontsize=9)
    for axis, text in zip(
        axes[:, 0], ("median", "half 16-84 % range", "spread ratio"), strict=True
    ):
        axis.set_ylabel(text, fontsize=9)
    axes[0, 0].legend(fontsize=7, frameon=False)
    return figure


def _line(
    axis: Any, x: np.ndarray, y: np.ndarray, colour: str, name: str, style: str = "-"
) -> None:
    axis.plot(x, y, style, color=COLOURS[colour], marker="o", ms=3, lw=1.3, label=name)


def residual_figure(samples: dict[str, np.ndarray], titles: Sequence[str], label: str) -> Figure:
    """Distribution of every residual out to its tails, both axes compressed.

    Parameters
    ----------
    samples : dict
        ``{"real" | "emulated" | name of the null: residuals (n, M)}``, the null last.
    titles : sequence of str
        What the M residuals are, with their units.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    ticker = require("matplotlib.ticker", "report")
    figure, axes = new_figure(1, len(titles), label, "Residuals, with tails")
    colours = dict(zip(samples, COLOURS.values(), strict=False))
    real = next(iter(samples.values()))
    for k, (axis, title) in enumerate(zip(axes[0], titles, strict=True)):
        low, middle, high = np.quantile(real[:, k], [0.16, 0.5, 0.84])
        sigma = 0.5 * (high - low) or 1.0
        reach = np.arcsinh((real[:, k] - middle) / sigma)
        edges = middle + sigma * np.sinh(np.linspace(reach.min() - 0.3, reach.max() + 0.3, _BINS))
        for sample, values in samples.items():
            density = np.histogram(values[:, k], edges)[0] / (np.diff(edges) * len(values))
            axis.stairs(density, edges, color=colours[sample], label=sample, lw=1.4)
        axis.set_xscale("asinh", linear_width=sigma)
        axis.set_xticks(_asinh_ticks(edges, sigma))
        axis.minorticks_off()
        axis.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axis.set_yscale("log")
        axis.set_xlabel(title, fontsize=9)
    axes[0, 0].set_ylabel("density", fontsize=9)
    axes[0, 0].legend(fontsize=7, frameon=False)
    return figure


def _asinh_ticks(edges: np.ndarray, sigma: float) -> list[float]:
    """Zero and the powers of ten outside the linear part of an asinh axis."""
    powers = 10.0 ** np.arange(np.ceil(np.log10(sigma)), 1 + np.log10(np.abs(edges).max()))
    return sorted(tick for tick in (*-powers, 0.0, *powers) if edges[0] <= tick <= edges[-1])


def correlation_figure(
    correlations: dict[str, np.ndarray], names: Sequence[str], label: str
) -> Figure:
    """Rank correlations of the residuals between columns.

    Parameters
    ----------
    correlations : dict
        ``{"real": (M, M), "emulated": (M, M)}``; their difference is drawn too, and any further
        entry as the difference of a null.
    names : sequence of str
        The M measured columns.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    real, emulated = correlations["real"], correlations["emulated"]
    panels = {"real": real, "emulated": emulated, "emulated - real": emulated - real}
    panels |= {f"{name} - real": v for name, v in correlations.items() if name not in panels}
    # Room for the number in every cell.
    size = {"width": max(3.3, 0.6 * len(names)), "height": max(2.7, 0.5 * len(names))}
    figure, axes = new_figure(1, len(panels), label, "Rank correlation of residuals", **size)
    for axis, (title, matrix) in zip(axes[0], panels.items(), strict=True):
        limit = 0.1 if "-" in title else 1.0
        image = axis.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
        for (i, j), value in np.ndenumerate(matrix):
            dark = abs(value) > 0.6 * limit
            text = {"ha": "center", "va": "center", "fontsize": 8}
            axis.text(j, i, f"{value:.3f}", color="white" if dark else "black", **text)
        ticks = [short(name) for name in names]
        axis.set_xticks(range(len(names)), ticks, rotation=30, ha="right")
        axis.set_yticks(range(len(names)), ticks if axis is axes[0, 0] else [""] * len(names))
        axis.set_title(title, fontsize=9)
        figure.colorbar(image, ax=axis, shrink=0.8)
    return figure
