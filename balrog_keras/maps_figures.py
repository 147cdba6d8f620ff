"""Painted maps -> a matplotlib Figure of skies; never shows, never saves."""

from __future__ import annotations

from typing import Any

import numpy as np

from balrog_keras.maps import PaintedMaps
from balrog_keras.plots import new_figure, short
from data_prep.inspection.footprint import Bounds, Footprint
from data_prep.inspection.sky_plot import draw_sky

__all__ = ["overview_figure"]

Figure = Any

_MOST_COLUMNS = 4
# Of a panel, about one for each pixel of the picture.
_POINTS = 400
_TEXTS = {
    "depth": ("10σ depth", "mag"),
    "bias": ("mean bias", "mag"),
    "scatter": ("scatter", "mag"),
}


def overview_figure(painted: PaintedMaps, label: str) -> Figure:
    """Every map of a sky in one figure.

    The first panels have the fractions (completeness, its Monte Carlo error, what else there is);
    then there is a row each for depth, bias and scatter, with a panel for each magnitude.

    Parameters
    ----------
    painted : PaintedMaps
        At least one pixel.
    label : str
        What the emulator was trained on.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = _rows(painted)
    bounds = _bounds(painted)
    columns = max(len(row) for row in rows)
    figure, axes = new_figure(len(rows), columns, label, "Painted by the emulator", width=3.6)
    for panels, row in zip(axes, rows, strict=True):
        for panel, entry in zip(panels, [*row, *[None] * (columns - len(row))], strict=True):
            if entry is None:
                panel.set_axis_off()
            else:
                _draw(panel, painted, bounds, *entry)
    for panel in axes[:, 0]:
        panel.set_ylabel("declination (deg)", fontsize=8)
    for panel in axes[-1]:
        panel.set_xlabel("right ascension (deg)", fontsize=8)
    return figure


def _rows(painted: PaintedMaps) -> list[list[tuple[str, str, str]]]:
    """(map, title, unit) of each panel."""
    names = list(painted.values)
    fractions = [("completeness", "completeness", ""), ("completeness_error", "its error", "")]
    fractions += [(name, short(name), "") for name in ("selected", "coverage", "in_domain")
                  if name in names]  # fmt: skip
    rows = _wrapped(fractions)
    for kind, (text, unit) in _TEXTS.items():
        columns = [name.removeprefix("bias_") for name in names
                   if name.startswith("bias_") and not name.endswith("_error")]  # fmt: skip
        row = [(f"{kind}_{name}", f"{text}, {short(name)}", unit) for name in columns]
        rows += _wrapped(row)
    return rows


def _wrapped(row: list[tuple[str, str, str]]) -> list[list[tuple[str, str, str]]]:
    return [row[start : start + _MOST_COLUMNS] for start in range(0, len(row), _MOST_COLUMNS)]


def _bounds(painted: PaintedMaps) -> Bounds:
    footprint = Footprint(painted.nside)
    footprint.add_pixels(painted.pixels, painted.nside)
    bounds = footprint.bounds()
    return bounds or Bounds(0.0, 360.0, -90.0, 90.0)


def _draw(
    panel: Any, painted: PaintedMaps, bounds: Bounds, name: str, title: str, unit: str
) -> None:
    draw_sky(panel, bounds, lambda ra, dec: painted.values_at(name, ra, dec), unit, _POINTS)
    error = painted.values.get(f"{name}_error")
    if error is not None and np.isfinite(error).any():
        title += f"\nMonte Carlo error {np.nanmedian(error):.2g}"
    panel.set_title(title, fontsize=9)
