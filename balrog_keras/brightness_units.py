"""Drawn brightness in further units: flux, nJy, magnitude, asinh magnitude of the same draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.errors import BalrogError
from data_prep.photometry import convert
from data_prep.schema import NJY_ZERO_POINT, PHOTOMETRIC_UNITS, Column, Schema

__all__ = ["in_units", "unit_columns"]

_LARGEST = float(np.finfo(np.float64).max)


def unit_columns(schema: Schema, units: Sequence[str]) -> dict[str, tuple[Column, str]]:
    """Columns that give the measured brightness in further units.

    Parameters
    ----------
    schema : Schema
        A measured column is a brightness if it has a photometric unit and a reference; an error of
        a magnitude has no reference.
    units : sequence of {"mag", "flux", "nJy", "asinh mag"}
        Each measured brightness gets a column in each of these but its own.

    Returns
    -------
    dict of str to (Column, str)
        Name, for example ``"meas_mag_r_flux"`` -> the measured column it is made of, and the unit.

    Raises
    ------
    BalrogError
        If a unit is unknown, no measured column is a brightness, or one has no zero point or
        softening to convert it with.
    """
    if isinstance(units, str):
        raise BalrogError(f"units must be a sequence, such as ({units!r},); found {units!r}")
    wrong = [unit for unit in units if unit not in PHOTOMETRIC_UNITS]
    if wrong:
        raise BalrogError(
            f"units of brightness are {', '.join(PHOTOMETRIC_UNITS)}; found {', '.join(wrong)}"
        )
    bright = [each for each in schema.measured if each.reference and each.unit in PHOTOMETRIC_UNITS]
    if units and not bright:
        raise BalrogError(
            "units of brightness need a measured column in one, with a reference; schema "
            f"{schema.name} measures "
            f"{', '.join(f'{each.name} ({each.unit})' for each in schema.measured)}"
        )
    columns = {}
    for column in bright:
        for unit in units:
            if unit != column.unit:
                _require_convertible(column, unit)
                columns[f"{column.name}_{unit.replace(' ', '_')}"] = (column, unit)
    return columns


def _require_convertible(column: Column, unit: str) -> None:
    if unit == "asinh mag":
        raise BalrogError(
            f"{column.name} cannot be given as asinh mag: it is drawn as {column.unit}, and its "
            "schema states no softening. Emulators of asinh magnitudes give all other units"
        )
    absolute = column.unit == "nJy" or (column.unit, unit) == ("mag", "nJy")
    if column.zero_point is None and not absolute:
        hint = "; nJy needs none" if column.unit == "mag" else ""
        raise BalrogError(
            f"{column.name} cannot be given as {unit}: its schema states no zero point{hint}"
        )


def in_units(
    drawn: Mapping[str, np.ndarray], columns: Mapping[str, tuple[Column, str]]
) -> dict[str, np.ndarray]:
    """Drawn columns, and the brightness of each draw in further units.

    Parameters
    ----------
    drawn : mapping of str to array, shape (N,)
        By name, with the measured columns.
    columns : mapping of str to (Column, str)
        From :func:`unit_columns`.

    Returns
    -------
    dict of str to array, shape (N,)
        The new ones in float64, because fluxes of asinh magnitudes may pass float32. Finite for
        every finite drawn value (at most 1.8e308), but for an ordinary magnitude of a flux that is
        not positive: NaN.
    """
    more = {name: _converted(drawn[column.name], column, unit)
            for name, (column, unit) in columns.items()}  # fmt: skip
    return {**drawn, **more}


def _converted(values: np.ndarray, column: Column, unit: str) -> np.ndarray:
    """By way of the flux, so that what passes float64 is the same value in all units."""
    zero_point = NJY_ZERO_POINT if column.zero_point is None else column.zero_point
    with np.errstate(over="ignore"):
        for before, after in ((column.unit, "flux"), ("flux", unit)):
            values = convert(
                values,
                before,
                after,
                zero_point=zero_point,
                to_zero_point=zero_point,
                softening=column.softening,
            )
            values = np.where(np.isinf(values), np.copysign(_LARGEST, values), values)
    return values
