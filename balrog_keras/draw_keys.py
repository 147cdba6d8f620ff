"""What an endpoint that draws takes besides the conditions: row id, seed, realization, member."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["checked_keys", "draw_keys", "member_input", "row_ids", "whole_number"]

_END = 2**63


def whole_number(name: str, value: Any, least: int = -_END) -> int:
    """A signed whole number of 64 bits.

    Parameters
    ----------
    name : str
        What it is, for messages.
    value : any
        As given by the user; a float is refused, not cut.
    least : int
        Smallest that is allowed.

    Raises
    ------
    BalrogError
        If it is no whole number, or out of range.

    Examples
    --------
    >>> whole_number("seed", np.int32(7))
    7
    """
    wanted = "(-2**63 to 2**63 - 1)" if least == -_END else f"of at least {least}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number < _END:
        raise BalrogError(f"{name} must be a 64-bit whole number {wanted}, found {value!r}")
    return number


def row_ids(row_id: Any, rows: int | None = None, first: int = 0) -> np.ndarray:
    """Ids of rows as int64, shape (N,).

    Parameters
    ----------
    row_id : array_like of int, shape (N,)
        As given by the user. Ids that are no whole numbers, unknown or past int64 are refused,
        because what is made of them is not the id that the caller has.
    rows : int, optional
        N, if known.
    first : int
        Number of the first of the rows, for messages.

    Raises
    ------
    BalrogError
        If they are not whole numbers of int64, one for each row, or some are masked.

    Examples
    --------
    >>> row_ids([3, 1, 2], rows=3)
    array([3, 1, 2])
    """
    # Columns of data frames and of astropy tables know their name.
    name = getattr(row_id, "name", None)
    what = f"row_id (column {name!r})" if isinstance(name, str) else "row_id"
    mask = getattr(row_id, "mask", False)
    if isinstance(mask, np.ndarray) and mask.any():
        raise BalrogError(
            f"{what} must be known for each row; {np.count_nonzero(mask):,} are masked, the first "
            f"in row {first + np.argmax(mask.ravel()):,}: leave these rows out or give them ids"
        )
    ids = np.asarray(row_id)
    wrong_shape = ids.ndim != 1 or (rows is not None and len(ids) != rows)
    # An empty list has no type of its own.
    if wrong_shape or (ids.dtype.kind not in "iu" and ids.size):
        count = "" if rows is None else f"{rows:,} "
        raise BalrogError(
            f"{what} must be {count}whole numbers (int64), one for each row; found shape "
            f"{ids.shape}, dtype {ids.dtype}. Give a column of integers without nulls, or the row "
            "numbers"
        )
    if ids.dtype.kind == "u" and ids.size and ids.max() >= _END:
        row = int(np.argmax(ids >= _END))
        raise BalrogError(
            f"{what} must be below 2**63 (int64), found {ids[row]} in row {first + row:,}; draw "
            "with the same bits as signed numbers, ids.astype('int64'), and join the output on them"
        )
    return ids.astype(np.int64, copy=False)


def checked_keys(
    row_id: Any, seed: int, draw: int, condition: Any = None
) -> tuple[np.ndarray, int, int]:
    """What keys the noise, checked in the same way for every client.

    Parameters
    ----------
    row_id : array_like of int, shape (N,)
        Identity of each row.
    seed, draw : int
        Key of the noise, and number of the realization.
    condition : array_like, shape (N, C), optional
        Whose rows they are.

    Returns
    -------
    row_id : int64 array, shape (N,)
    seed, draw : int

    Raises
    ------
    BalrogError
        If one is no whole number or out of range, or ids are not one for each row.
    """
    # A scalar has no rows, and is refused where it is used.
    rows = None if condition is None else sum(np.shape(condition)[:1])
    ids = row_ids(row_id, rows)
    return ids, whole_number("seed", seed), whole_number("draw", draw, 0)


def draw_keys(
    name: str,
    inputs: Collection[str],
    keys: tuple[np.ndarray, int, int],
    member: dict[str, Any],
) -> Callable[[slice], dict[str, Any]]:
    """Inputs of an endpoint besides the conditions, for a slice of rows.

    Parameters
    ----------
    name : str
        The emulator's, for messages.
    inputs : collection of str
        What the endpoint takes; older emulators have no input ``draw``.
    keys : (int64 array, shape (N,); int; int)
        As :func:`checked_keys` gives them.
    member : dict
        As :func:`member_input` gives it.

    Raises
    ------
    BalrogError
        If there is no such realization.
    """
    ids, seed, draw = keys
    if draw and "draw" not in inputs:
        raise BalrogError(
            f"emulator {name} was exported before emulators had realizations: export it anew, or "
            "give each realization its own seed"
        )
    number = {"draw": np.int64(draw)} if "draw" in inputs else {}
    fixed = {"seed": np.int64(seed), **number, **member}
    return lambda rows: {"row_id": ids[rows], **fixed}


def member_input(name: str, members: int, member: int) -> dict[str, Any]:
    """The input `member`, which only an emulator of several has; BalrogError if there is none."""
    what = f"member of {name}"
    number = whole_number(what, member)
    if not 0 <= number < members:
        raise BalrogError(f"{what} must be from 0 to {members - 1}, found {member}")
    return {"member": np.int64(number)} if members > 1 else {}
