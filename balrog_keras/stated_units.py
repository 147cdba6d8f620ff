"""Units that a catalogue states for its columns, and the conversion to those that are expected."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["Conversion", "conversion"]

logger = logging.getLogger(__name__)

# AB magnitudes are what "mag" means here.
_SAME = {("mag(AB)", "mag")}


@dataclass(frozen=True)
class Conversion:
    """From one unit of astropy to another; none of both leaves values as they are."""

    found: Any = None
    wanted: Any = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values in the wanted unit, of the same shape."""
        if self.found is None:
            return values
        return np.asarray(self.found.to(self.wanted, np.asarray(values, np.float64)))

    def __str__(self) -> str:
        return "" if self.found is None else f"{self.found} -> {self.wanted}"


def conversion(stated: str, wanted: str, where: str) -> Conversion:
    """Conversion of a column's values from the unit that the file states.

    Parameters
    ----------
    stated : str
        Unit in the file, ``""`` if it has none.
    wanted : str
        Unit that is expected.
    where : str
        The file and the column, for messages.

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
    stated = stated.strip()
    if not stated or stated.casefold() == wanted.casefold() or (stated, wanted) in _SAME:
        return Conversion()
    from astropy import units

    found, target = (units.Unit(text, parse_strict="silent") for text in (stated, wanted))
    if isinstance(found, units.UnrecognizedUnit) or isinstance(target, units.UnrecognizedUnit):
        logger.warning("%s has the unit %r: its values are taken as %s", where, stated, wanted)
        return Conversion()
    if found == target:
        return Conversion()
    try:
        found.to(target, 1.0)
    except units.UnitConversionError:
        raise BalrogError(
            f"{where} must be in {wanted}, or in a unit that converts to it; found {stated}; "
            "convert the column, or correct its unit in the file"
        ) from None
    return Conversion(found, target)
