"""Values of conditions as users have them: masked, nullable, of any type of number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["condition_array", "floats"]


def floats(values: Any, what: str) -> np.ndarray:
    """Numbers as floats; what is masked or null is NaN.

    NumPy alone would take the number that lies under a mask.

    Parameters
    ----------
    values : array_like
        Also a masked array of NumPy or astropy, or a series or data frame of pandas.
    what : str
        Their name, for messages.

    Returns
    -------
    array of float32 or float64
        Of the same shape; float32 stays so, float64 is wide enough for every other.

    Raises
    ------
    BalrogError
        If they are no numbers, or no array. Text that looks like numbers is none.

    Examples
    --------
    >>> floats(np.ma.array([22, -99], mask=[False, True]), "true_mag_r")
    array([22., nan])
    """
    mask = getattr(values, "mask", None)
    try:
        found = np.asarray(getattr(values, "unmasked", values))
    except ValueError as error:  # rows of different lengths
        raise BalrogError(f"{what} must be an array of numbers; found none: {error}") from None
    # Text would be parsed, the imaginary part of complex numbers dropped.
    number = found.dtype.kind in "biufO" and not (
        found.dtype.kind == "O" and any(isinstance(each, str | bytes) for each in found.flat)
    )
    try:
        if number and found.dtype.kind == "O" and hasattr(values, "to_numpy"):
            found = values.to_numpy(np.float64, na_value=np.nan)
        elif number and found.dtype != np.float32:
            found = found.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        number = False
    if not number:
        raise BalrogError(
            f"{what} must be numbers; found {found.dtype}, shape {found.shape}; convert it, for "
            "example with .astype('float64')"
        )
    if isinstance(mask, np.ndarray) and mask.any():
        return np.where(mask, found.dtype.type(np.nan), found)
    return found


def condition_array(condition: Any, names: Sequence[str]) -> np.ndarray:
    """Conditions as every client of an emulator takes them: float32, shape (N, C).

    Parameters
    ----------
    condition : array_like, shape (N, C)
        Physical units; null and masked values become NaN.
    names : sequence of str
        Its columns.

    Raises
    ------
    BalrogError
        If it has another shape, or holds anything but numbers.
    """
    values = floats(condition, "condition")
    if values.ndim != 2 or values.shape[1] != len(names):
        raise BalrogError(
            f"condition must have shape (N, {len(names)}) with columns {', '.join(names)}; found "
            f"shape {values.shape}"
        )
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)
