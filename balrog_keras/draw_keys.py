"""What an endpoint that draws takes besides the conditions: row id, seed, realization, member."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["draw_keys", "member_input"]


def draw_keys(
    name: str,
    inputs: Collection[str],
    row_id: np.ndarray,
    seed: int,
    draw: int,
    member: dict[str, Any],
) -> Callable[[slice], dict[str, Any]]:
    """Inputs of an endpoint besides the conditions, for a slice of rows.

    Parameters
    ----------
    name : str
        The emulator's, for messages.
    inputs : collection of str
        What the endpoint takes; older emulators have no input ``draw``.
    row_id : int64 array, shape (N,)
        Identity of each row.
    seed, draw : int
        Key of the noise, and number of the realization.
    member : dict
        As :func:`member_input` gives it.

    Raises
    ------
    BalrogError
        If there is no such realization.
    """
    if draw < 0:
        raise BalrogError(f"realizations must be numbered from 0, found {draw}")
    if draw and "draw" not in inputs:
        raise BalrogError(
            f"emulator {name} was exported before emulators had realizations: export it anew, or "
            "give each realization its own seed"
        )
    number = {"draw": np.int64(draw)} if "draw" in inputs else {}
    ids = np.asarray(row_id, np.int64)
    fixed = {"seed": np.int64(seed), **number, **member}
    return lambda rows: {"row_id": ids[rows], **fixed}


def member_input(name: str, members: int, member: int) -> dict[str, Any]:
    """The input `member`, which only an emulator of several has; BalrogError if there is none."""
    if not 0 <= member < members:
        raise BalrogError(f"member of {name} must be from 0 to {members - 1}, found {member}")
    return {"member": np.int64(member)} if members > 1 else {}
