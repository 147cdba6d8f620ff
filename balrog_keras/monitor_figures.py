"""Figures for TensorBoard: the validation split, measured beside emulated."""

from __future__ import annotations

from typing import Any

import numpy as np

from balrog_keras.calibration_plots import pit_figure
from balrog_keras.plots import colour_magnitude_figure, new_figure, short
from balrog_keras.residuals import magnitude_families
from balrog_keras.validation import Validation, Validator
from data_prep.errors import require

__all__ = ["as_image", "bins_figure", "validation_figures"]


def as_image(figure: Any) -> np.ndarray:
    """Render a matplotlib figure: uint8 array, shape (height, width, 4)."""
    agg = require("matplotlib.backends.backend_agg", "report")
    canvas = agg.FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def validation_figures(
    validator: Validator, result: Validation, label: str
) -> dict[str, np.ndarray]:
    """Colours of one realization beside the measured rows, PIT, and bias and spread in bins.

    Parameters
    ----------
    validator : Validator
        Holds the validation rows.
    result : Validation
        Of the generator that is shown.
    label : str
        Provenance, shown in the figures.

    Returns
    -------
    dict of str to uint8 array, shape (height, width, 4)
        ``pit``, ``bins``, and ``colours`` for each kind of magnitude in two or more bands.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    names = validator.schema.measured_names
    figures = {
        "pit": pit_figure(result.pit, names, label),
        "bins": bins_figure(result, validator.schema.condition_names, names, label),
    }
    for number, family in enumerate(magnitude_families(validator.schema)):
        places = list(family.values())
        figures[f"colours_{number}" if number else "colours"] = colour_magnitude_figure(
            validator.measured[:, places], result.realization[:, places], list(family), label
        )
    return {name: as_image(figure) for name, figure in figures.items()}


def bins_figure(
    result: Validation, conditions: tuple[str, ...], measured: tuple[str, ...], label: str
) -> Any:
    """Spread ratio and bias of every measured column in quantile bins of every condition.

    Parameters
    ----------
    result : Validation
        Holds both.
    conditions, measured : tuple of str
        Names of the C conditions and M measured columns.
    label : str
        What the data are.

    Returns
    -------
    matplotlib.figure.Figure
        White cells are right, grey ones unknown; the colours end at 20 %.
    """
    title = "Emulated against measured in quintiles of each condition, in per cent"
    height = 0.5 + 0.23 * len(conditions)
    figure, axes = new_figure(2, len(measured), label, title, width=3.0, height=height)
    quantities = {
        "spread ratio - 1": 100 * (result.spread_ratio - 1),
        "bias / spread": 100 * result.bias,
    }
    for row, (quantity, cells) in zip(axes, quantities.items(), strict=True):
        row[0].set_ylabel(quantity, fontsize=9)
        for axis, name, values in zip(row, measured, np.moveaxis(cells, -1, 0), strict=True):
            _heat_map(axis, values)
            axis.set_title(short(name), fontsize=9)
            axis.set_yticks(range(len(conditions)), [""] * len(conditions))
        row[0].set_yticks(range(len(conditions)), [short(name) for name in conditions])
    return figure


def _heat_map(axis: Any, values: np.ndarray, limit: float = 20.0) -> None:
    """Cells (C, K) with their values written in."""
    axis.set_facecolor("0.8")
    axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for (i, k), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            axis.text(
                k, i, f"{round(value):+d}", ha="center", va="center", fontsize=7, color=colour
            )
    axis.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1))
