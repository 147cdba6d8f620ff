"""Which rows stay: cuts and bad values, every dropped row counted under one reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_prep.errors import BalrogError
from data_prep.photometry import flux_to_mag
from data_prep.schema import Column

__all__ = ["Selection", "drop_bad_values", "require_plausible_unit", "to_schema_unit"]


class Selection:
    """The rows of a table that stay, and why the others went.

    Attributes
    ----------
    keep : bool array, shape (N,)
        Rows that stay.
    dropped : dict of str to int
        Reason -> rows that went for it; a row counts under the first reason only.
    bad_values : int
        Of the dropped rows, those that went for a bad value and not for a cut.
    """

    def __init__(self, rows: int) -> None:
        self.keep = np.ones(rows, bool)
        self.dropped: dict[str, int] = {}
        self.bad_values = 0

    def drop(self, rows: np.ndarray, reason: str, bad_value: bool = False) -> None:
        """Drop rows (bool array, shape (N,)) that are still kept, under `reason`."""
        gone = self.keep & rows
        count = int(np.count_nonzero(gone))
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            self.bad_values += count if bad_value else 0
            self.keep &= ~gone


def drop_bad_values(
    selection: Selection,
    values: np.ndarray,
    converted: np.ndarray,
    column: Column,
    sentinels: Sequence[float] = (),
) -> None:
    """Drop rows whose value is a sentinel, not finite, without magnitude, or out of range.

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
    sentinels : sequence of float
        Values of the catalogue that mean "none".
    """
    name = column.name
    selection.drop(~np.isfinite(values), f"{name} is not finite", bad_value=True)
    for sentinel in sentinels:
        # Catalogues pass through float32, which stores 9.999e9 as 9998999552.
        same = np.abs(values - sentinel) <= 1e-6 * abs(sentinel)
        selection.drop(same, f"{name} is the sentinel {sentinel:g}", bad_value=True)
    selection.drop(~np.isfinite(converted), f"{name} has a flux that is not positive", True)
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    outside = (converted < low) | (converted > high)
    selection.drop(outside, f"{name} is out of range [{low:g}, {high:g}]", bad_value=True)


def to_schema_unit(
    values: np.ndarray, column: Column, unit: str, zero_point: float, where: str
) -> np.ndarray:
    """Convert catalogue values to the schema's unit.

    Parameters
    ----------
    values : float array, shape (N,)
        As in the catalogue.
    column : Column
        What they become.
    unit : str
        Unit in the catalogue.
    zero_point : float
        AB magnitude of unit flux.
    where : str
        Catalogue column, for the message.

    Returns
    -------
    float32 array, shape (N,)
        NaN where a flux has no magnitude.

    Raises
    ------
    BalrogError
        If there is no such conversion.
    """
    if unit == column.unit:
        return values.astype(np.float32, copy=False)
    if (unit, column.unit) == ("flux", "mag"):
        return flux_to_mag(values, zero_point).astype(np.float32)
    raise BalrogError(
        f"{where}: {column.name} must be in {column.unit} (or flux, if that is mag); the preset "
        f"or --unit says {unit}"
    )


def require_plausible_unit(
    values: np.ndarray, unit: str, sentinels: Sequence[float], where: str
) -> None:
    """Raise BalrogError if values said to be magnitudes are plainly fluxes, or the reverse.

    Parameters
    ----------
    values : float array, shape (N,)
        As in the catalogue.
    unit : str
        Said unit; only ``"mag"`` and ``"flux"`` are judged.
    sentinels : sequence of float
        Values to leave out.
    where : str
        Catalogue column, for the message.
    """
    good = np.isfinite(values) & ~np.isin(values, np.asarray(sentinels, values.dtype))
    if unit not in ("mag", "flux") or np.count_nonzero(good) < 10:
        return
    low, median, high = np.percentile(values[good], [5, 50, 95])
    numbers = f"5 %, 50 % and 95 % of its values are {low:.4g}, {median:.4g} and {high:.4g}"
    if unit == "mag" and not (5 < median < 50 and low > 0):
        raise BalrogError(
            f"{where} is said to hold magnitudes, but {numbers}: these look like fluxes; give "
            "--unit flux (or the right source_unit in the preset)"
        )
    # Galaxies that span some magnitudes span a factor of tens in flux, a factor below 2 in mag.
    if unit == "flux" and low > 5 and high < 50 and high < 2.5 * low:
        raise BalrogError(
            f"{where} is said to hold fluxes, but {numbers}: these look like magnitudes; give "
            "--unit mag (or the right source_unit in the preset)"
        )
