"""Figures for TensorBoard: the validation split, measured beside emulated."""

from __future__ import annotations

from typing import Any

import numpy as np

from balrog_keras.plots import colour_magnitude_figure
from balrog_keras.residuals import magnitude_families
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
        By name, one for each kind of magnitude; empty with none in two bands.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    families = magnitude_families(validator.schema)
    emulated = validator.one_realization(generator) if families else validator.measured
    images = {}
    for number, family in enumerate(families):
        places = list(family.values())
        figure = colour_magnitude_figure(
            validator.measured[:, places], emulated[:, places], list(family), label
        )
        images[f"colours_{number}" if number else "colours"] = as_image(figure)
    return images
