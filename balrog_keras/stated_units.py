"""Units that catalogues and tables state for columns, and the conversion to those expected."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["Conversion", "conversion"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversion:
    """From one unit of astropy to another; none of both leaves values as they are."""

    found: Any = None
    wanted: Any = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values in the wanted unit, of the same shape."""
        if self.found is None:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):  # a flux has no magnitude everywhere
            return np.asarray(self.found.to(self.wanted, np.asarray(values, np.float64)))

    def __str__(self) -> str:
        return "" if self.found is None else f"{self.found} -> {self.wanted}"


def conversion(stated: Any, wanted: str, where: str) -> Conversion:
    """Conversion of a column's values from the unit that a file or a table states.

    Magnitudes are AB: ``mag`` and ``mag(AB)`` are the same, and a flux density becomes one.

    Parameters
    ----------
    stated : str or astropy.units.Unit
        Unit of the column, ``""`` if it has none.
    wanted : str
        Unit that is expected, ``""`` if any will do.
    where : str
        The column, and its file if it has one, for messages.

    Returns
    -------
    Conversion
        That changes nothing if nothing is stated, or, with a warning, if astropy does not know one
        of the units.

    Raises
    ------
    BalrogError
        If the stated unit is known and does not convert to the other.
    """
    if isinstance(stated, str):
        stated = stated.strip()
        if not stated or stated.casefold() == wanted.casefold():
            return Conversion()
    from astropy import units

    found, target = (units.Unit(each, parse_strict="silent") for each in (stated, wanted))
    if not wanted or found == target:
        return Conversion()
    if any(isinstance(each, units.UnrecognizedUnit) for each in (found, target)):
        logger.warning(
            "%s has the unit %s, which astropy cannot convert to %s: its values are taken to be in "
            "%s",
            where, stated, wanted, wanted,
        )  # fmt: skip
        return Conversion()
    magnitudes = (units.mag, units.ABmag, units.AB * units.mag)
    if found in magnitudes and target in magnitudes:
        return Conversion()
    if target == units.mag and not found.is_equivalent(target):
        target = units.ABmag
    try:
        found.to(target, 1.0)
    except units.UnitsError:
        raise BalrogError(
            f"{where} must be in {wanted}, or in a unit that converts to it; found "
            f"{str(stated) or 'a pure number'}. Convert the column, or correct its unit"
        ) from None
    return Conversion(found, target)
