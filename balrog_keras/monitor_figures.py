"""Figures for TensorBoard: the validation split, measured beside emulated."""

from __future__ import annotations

from typing import Any

import numpy as np

from balrog_keras.plots import colour_magnitude_figure
from balrog_keras.validation import Validator
from data_prep.errors import require

__all__ = ["as_image", "validation_figures"]


def as_image(figure: Any) -> np.ndarray:
    """Render a matplotlib figure: uint8 array, shape (height, width, 4)."""
    agg = require("matplotlib.backends.backend_agg", "report")
    canvas = agg.FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def validation_figures(validator: Validator, generator: Any, label: str) -> dict[str, np.ndarray]:
    """Colour-magnitude and colour-colour diagrams of one realization beside the measured rows.

    Parameters
    ----------
    validator : Validator
        Holds the validation rows.
    generator : Generator
        Draws the realization.
    label : str
        Provenance, shown in the figure.

    Returns
    -------
    dict of str to uint8 array, shape (height, width, 4)
        By name; empty with fewer than two measured magnitudes.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    schema = validator.schema
    index = [i for i, column in enumerate(schema.measured) if column.unit == "mag"]
    if len(index) < 2:
        return {}
    bands = [schema.measured_names[i].rsplit("_", 1)[-1] for i in index]
    emulated = validator.one_realization(generator)[:, index]
    figure = colour_magnitude_figure(validator.measured[:, index], emulated, bands, label)
    return {"colours": as_image(figure)}
