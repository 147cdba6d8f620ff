"""A picture of the sky: right ascension to the left, zoomed on what there is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from data_prep.errors import require
from data_prep.files import atomic_path
from data_prep.inspection.footprint import Bounds

__all__ = ["PLOT_SUFFIXES", "draw_sky", "sky_plot"]

PLOT_SUFFIXES = (".png", ".pdf", ".svg")

_POINTS = 900
_MARGIN = 0.04
# Nearer to a pole a degree of right ascension is drawn no narrower than this.
_LEAST_COS = 0.15


def sky_plot(
    path: str | os.PathLike[str],
    bounds: Bounds,
    values_at: Callable[[np.ndarray, np.ndarray], np.ndarray],
    title: str,
    unit: str,
) -> None:
    """Draw values on the sky and save the picture.

    Parameters
    ----------
    path : path
        Ends with one of :data:`PLOT_SUFFIXES`.
    bounds : Bounds
        Part of the sky to draw, with a margin added.
    values_at : callable
        Gives the values at ra and dec in degrees, arrays of shape (N,); NaN is left white.
    title : str
        Heading.
    unit : str
        Label of the colour bar.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figures = require("matplotlib.figure", "report")
    figure = figures.Figure(figsize=_size(*_grid(bounds)), dpi=150, layout="constrained")
    axes = figure.subplots()
    draw_sky(axes, bounds, values_at, unit)
    axes.set(title=title)
    axes.set(xlabel="right ascension (deg)", ylabel="declination (deg)")
    with atomic_path(path) as partial:
        figure.savefig(partial)


def draw_sky(
    axes: Any,
    bounds: Bounds,
    values_at: Callable[[np.ndarray, np.ndarray], np.ndarray],
    unit: str,
    points: int = _POINTS,
) -> None:
    """Draw values on the sky into a panel, with a colour bar from their 1 % to their 99 %.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The panel; of a figure of its own or with others.
    bounds, values_at, unit
        As for :func:`sky_plot`.
    points : int
        Resolution: number of points along the longer side.
    """
    ra, dec = _grid(bounds, points)
    points_ra, points_dec = np.meshgrid((ra[:-1] + ra[1:]) / 2, (dec[:-1] + dec[1:]) / 2)
    values = values_at(points_ra.ravel() % 360, points_dec.ravel()).reshape(points_ra.shape)
    shown = values[np.isfinite(values)]
    low, high = np.percentile(shown, [1, 99]) if shown.size else (0, 1)
    mesh = axes.pcolormesh(ra, dec, values, vmin=low, vmax=high, rasterized=True)
    axes.figure.colorbar(mesh, ax=axes, label=unit, extend="both", shrink=0.9)
    axes.set(xlim=(ra[-1], ra[0]), ylim=(dec[0], dec[-1]))
    axes.set_aspect(1 / _cos(dec))
    axes.xaxis.set_major_formatter(lambda value, _: f"{round(value % 360, 6) % 360:g}")


def _cos(dec: Sequence[float] | np.ndarray) -> float:
    return max(float(np.cos(np.radians((dec[0] + dec[-1]) / 2))), _LEAST_COS)


def _grid(bounds: Bounds, points: int = _POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the picture's points: ra going on beyond 360, and dec."""
    start = bounds.ra_start - _MARGIN * bounds.ra_width
    width = (1 + 2 * _MARGIN) * bounds.ra_width
    if width >= 360:
        start, width = bounds.ra_start, 360.0
    margin = _MARGIN * (bounds.dec_max - bounds.dec_min)
    low, high = max(bounds.dec_min - margin, -90.0), min(bounds.dec_max + margin, 90.0)
    ra, dec = (start, start + width), (low, high)
    step = max(width * _cos(dec), high - low) / points
    columns, rows = max(int(width * _cos(dec) / step), 1), max(int((high - low) / step), 1)
    return np.linspace(*ra, columns + 1), np.linspace(*dec, rows + 1)


def _size(ra: np.ndarray, dec: np.ndarray) -> tuple[float, float]:
    """Inches: 9 by 6 at most, in the shape of the sky."""
    shape = np.ptp(ra) * _cos(dec) / np.ptp(dec)
    width = min(7.0, 5.0 * shape)
    return max(width, 3.0) + 1.8, min(max(width / shape, 2.0), 5.0) + 0.9
