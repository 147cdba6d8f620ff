"""A figure of a report with its place and its words."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["NamedFigure"]


class NamedFigure(NamedTuple):
    """A figure, its place in the report and what it shows in words.

    Parameters
    ----------
    section : str
        Heading of the report under which it stands.
    text : str
        Caption, and alternative text of the image.
    figure : matplotlib.figure.Figure
        The figure.
    """

    section: str
    text: str
    figure: Any
