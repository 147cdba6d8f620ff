"""How columns, their units and their values are written in tables, cards and figures."""

from __future__ import annotations

from balrog_keras.transforms import reference_indices
from data_prep.schema import Column, Schema

__all__ = ["axis_label", "residual_labels", "unit_text", "value_text"]


def value_text(value: float) -> str:
    """A value in a column's unit: three decimals, or four digits if it is tiny or huge."""
    return f"{value:.3f}" if value == 0 or 0.1 <= abs(value) < 1e6 else f"{value:.4g}"


def unit_text(column: Column) -> str:
    """A column's unit, with what is particular to it.

    Examples
    --------
    >>> unit_text(Column("size", "arcsec", "truth", minimum=0.01, transform="log10"))
    'arcsec (log10)'
    """
    notes = []
    if column.softening is not None:
        notes.append(f"b = {column.softening:g}, zero point {column.zero_point:g}")
    if column.transform != "identity":
        notes.append(column.transform)
    return f"{column.unit} ({', '.join(notes)})" if notes else column.unit


def axis_label(column: Column) -> str:
    """A column's name and unit for an axis: ``fwhm r [arcsec]``."""
    return _with_unit(_words(column.name), column.unit)


def residual_labels(schema: Schema) -> dict[str, str]:
    """What each measured column's residual is, with its unit, for an axis.

    Parameters
    ----------
    schema : Schema
        Names, units, transforms and references of the columns.

    Returns
    -------
    dict of str to str
        Measured column -> for example ``"residual of meas mag r [mag]"``, or, without a
        reference, ``"log10 of meas size [dex]"``.
    """
    labels = {}
    for column, reference in zip(schema.measured, reference_indices(schema), strict=True):
        text, unit = _words(column.name), column.unit
        if reference >= 0:
            text = f"residual of {text}"
        elif column.transform != "identity":
            text = f"{column.transform} of {text}"
        if column.transform != "identity":
            unit = "dex" if column.transform == "log10" else f"{column.transform} {unit}"
        labels[column.name] = _with_unit(text, unit)
    return labels


def _words(name: str) -> str:
    return name.replace("_", " ")


def _with_unit(text: str, unit: str) -> str:
    return f"{text} [{unit.strip()}]" if unit.strip() else text
