"""Magnification responses -> a matplotlib Figure; never shows, never saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from balrog_keras.magnification import AREA_RESPONSE, Response
from balrog_keras.plots import COLOURS, new_figure, short

__all__ = ["response_figure"]

Figure = Any


def response_figure(
    column: str, limits: Sequence[float], responses: Sequence[Response], label: str
) -> Figure:
    """Response of samples with a magnitude limit, against the limit.

    Beside it, what the slope of the counts alone would say: 5 d log10 N / dm between the limits,
    which is the response if nothing but the limit selects and measured magnitudes have no errors.

    Parameters
    ----------
    column : str
        Measured magnitude that is limited.
    limits : sequence of float
        Ascending.
    responses : sequence of Response
        One for each limit.
    label : str
        What the emulator was trained on.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = new_figure(1, 1, label, "Response to magnification", width=5.5, height=3.6)
    panel = axes[0, 0]
    values = [response.c_sample for response in responses]
    errors = [response.c_sample_error for response in responses]
    panel.errorbar(
        limits, values, errors, fmt="o-", ms=4, lw=1, capsize=2, color=COLOURS["emulated"],
        label="emulated: d ln N / dκ",
    )  # fmt: skip
    numbers, edges = np.log10([response.selected for response in responses]), np.asarray(limits)
    slopes = 5 * np.diff(numbers) / np.diff(edges)
    panel.plot(
        (edges[1:] + edges[:-1]) / 2, slopes, "--", lw=1, color=COLOURS["real"],
        label="slope of the counts: 5 d log$_{10}$N / dm",
    )  # fmt: skip
    panel.axhline(-AREA_RESPONSE, lw=0.8, color=COLOURS["null"], label="dilution cancels it")
    panel.set(xlabel=f"limit of {short(column)} (mag)", ylabel="$C_{sample}$ = 2α")
    panel.legend(fontsize=8, frameon=False)
    return figure
