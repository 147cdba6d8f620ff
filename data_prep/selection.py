"""Which rows stay: cuts and bad values, every dropped row counted under one reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_prep.errors import BalrogError
from data_prep.photometry import convert
from data_prep.schema import PHOTOMETRIC_UNITS, Column

__all__ = [
    "Selection",
    "drop_bad_values",
    "drop_sentinels",
    "is_sentinel",
    "require_plausible_unit",
    "to_schema_unit",
]


class Selection:
    """The rows of a table that stay, and why the others went.

    Attributes
    ----------
    reason : uint16 array, shape (N,)
        0 for a row that stays, else the place in :attr:`reasons` of the first reason it went for.
    reasons : list of str
        Reasons, in the order in which they were first given; the first is no reason.
    bad_reasons : set of str
        Those that are a bad value and not a cut.
    """

    def __init__(self, rows: int) -> None:
        self.reason = np.zeros(rows, np.uint16)
        self.reasons = [""]
        self.bad_reasons: set[str] = set()

    @property
    def keep(self) -> np.ndarray:
        """Bool array, shape (N,): rows that stay."""
        kept: np.ndarray = self.reason == 0
        return kept

    @property
    def dropped(self) -> dict[str, int]:
        """Reason -> rows that went for it; a row counts under the first reason only."""
        counts = np.bincount(self.reason, minlength=len(self.reasons)).tolist()
        return {reason: n for reason, n in zip(self.reasons[1:], counts[1:], strict=True) if n}

    @property
    def bad_values(self) -> int:
        """Rows that went for a bad value and not for a cut."""
        return sum(n for reason, n in self.dropped.items() if reason in self.bad_reasons)

    def drop(self, rows: np.ndarray, reason: str, bad_value: bool = False) -> None:
        """Drop rows (bool array, shape (N,)) that are still kept, under `reason`."""
        gone = rows & (self.reason == 0)
        if not gone.any():
            return
        if reason not in self.reasons:
            self.reasons.append(reason)
        if bad_value:
            self.bad_reasons.add(reason)
        self.reason[gone] = self.reasons.index(reason)


def is_sentinel(values: np.ndarray, sentinels: Sequence[float]) -> np.ndarray:
    """Which values mean "none", bool array of the shape of `values`.

    Parameters
    ----------
    values : array
        As in the catalogue, of any numeric dtype: a sentinel that it cannot hold is no value's.
    sentinels : sequence of float
        Values of the catalogue that mean "none".

    Examples
    --------
    >>> is_sentinel(np.array([37, 0, 99], np.uint16), [37.5, -9999, 99])
    array([False, False,  True])
    """
    plain = np.asarray(values, np.float64)
    found = np.zeros(plain.shape, bool)
    for sentinel in sentinels:
        # Catalogues pass through float32, which stores 9.999e9 as 9998999552.
        found |= np.abs(plain - sentinel) <= 1e-6 * abs(sentinel)
    return found


def drop_sentinels(
    selection: Selection, values: np.ndarray, name: str, sentinels: Sequence[float]
) -> None:
    """Drop rows whose value in the catalogue is not finite or means "none".

    Parameters
    ----------
    selection : Selection
        Changed in place.
    values : array, shape (N,)
        As in the catalogue.
    name : str
        Of the column, for the reason.
    sentinels : sequence of float
        Values of the catalogue that mean "none".
    """
    selection.drop(~np.isfinite(values), f"{name} is not finite", bad_value=True)
    for sentinel in sentinels:
        same = is_sentinel(values, [sentinel])
        selection.drop(same, f"{name} is the sentinel {sentinel:g}", bad_value=True)


def drop_bad_values(
    selection: Selection, values: np.ndarray, converted: np.ndarray, column: Column
) -> None:
    """Drop rows whose value has no counterpart in the schema's unit, or is out of range.

    Parameters
    ----------
    selection : Selection
        Changed in place.
    values : float array, shape (N,)
        As in the catalogue.
    converted : float array, shape (N,)
        The same in the schema's unit; NaN where it has none.
    column : Column
        Name and valid range.
    """
    name = column.name
    selection.drop(~np.isfinite(values), f"{name} is not finite", bad_value=True)
    selection.drop(~np.isfinite(converted), f"{name} has a flux that is not positive", True)
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    outside = (converted < low) | (converted > high)
    selection.drop(outside, f"{name} is out of range [{low:g}, {high:g}]", bad_value=True)


def to_schema_unit(
    values: np.ndarray,
    column: Column,
    unit: str,
    zero_point: float,
    where: str,
    softening: float | None = None,
) -> np.ndarray:
    """Convert catalogue values to the schema's unit.

    Parameters
    ----------
    values : array, shape (N,)
        As in the catalogue.
    column : Column
        What they become.
    unit : str
        Unit in the catalogue.
    zero_point : float
        AB magnitude of unit flux in the catalogue.
    where : str
        Catalogue column, for the message.
    softening : float or None
        Of asinh magnitudes in the catalogue, for a column that is none.

    Returns
    -------
    float32 array, shape (N,)
        NaN where a flux has no magnitude.

    Raises
    ------
    BalrogError
        If there is no such conversion.
    """
    if unit == column.unit and unit != "flux":
        return values.astype(np.float32, copy=False)
    if not {unit, column.unit} <= set(PHOTOMETRIC_UNITS):
        raise BalrogError(
            f"{where}: {column.name} must be in {column.unit}; the preset or --unit says "
            f"{unit or 'no unit'}, and only {', '.join(PHOTOMETRIC_UNITS)} are converted: give the "
            "preset's column the same unit, or an expression and source_unit"
        )
    softening = column.softening if column.unit == "asinh mag" else softening
    if "asinh mag" in (unit, column.unit) and softening is None:
        raise BalrogError(f"{where}: {column.name} needs the softening of its asinh magnitudes")
    converted = convert(
        values,
        unit,
        column.unit,
        zero_point=zero_point,
        to_zero_point=zero_point if column.zero_point is None else column.zero_point,
        softening=softening,
    )
    return converted.astype(np.float32)


def require_plausible_unit(
    values: np.ndarray, unit: str, sentinels: Sequence[float], where: str
) -> None:
    """Raise BalrogError if values said to be magnitudes are plainly fluxes, or the reverse.

    Parameters
    ----------
    values : float array, shape (N,)
        As in the catalogue.
    unit : str
        Said unit; only ``"mag"``, ``"flux"`` and ``"nJy"`` are judged.
    sentinels : sequence of float
        Values to leave out.
    where : str
        Catalogue column, for the message.
    """
    good = np.isfinite(values) & ~is_sentinel(values, sentinels)
    if unit not in ("mag", "flux", "nJy") or np.count_nonzero(good) < 10:
        return
    low, median, high = np.percentile(values[good], [5, 50, 95])
    numbers = f"5 %, 50 % and 95 % of its values are {low:.4g}, {median:.4g} and {high:.4g}"
    if unit == "mag" and not (5 < median < 50 and low > 0):
        raise BalrogError(
            f"{where} is said to hold magnitudes, but {numbers}: these look like fluxes; give "
            "--unit flux (or the right source_unit in the preset)"
        )
    # Galaxies that span some magnitudes span a factor of tens in flux, a factor below 2 in mag.
    if unit != "mag" and low > 5 and high < 50 and high < 2.5 * low:
        raise BalrogError(
            f"{where} is said to hold fluxes, but {numbers}: these look like magnitudes; give "
            "--unit mag (or the right source_unit in the preset)"
        )
