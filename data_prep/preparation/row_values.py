"""Values of a catalogue's rows that are no measurement: whole numbers, and what was detected."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data_prep.catalogs import Element
from data_prep.errors import BalrogError
from data_prep.expressions import evaluate
from data_prep.sources import Source

__all__ = ["detected_flags", "whole_numbers"]

# Beyond it a float64 no longer tells neighbouring whole numbers apart.
_MOST_IN_FLOAT = 2**53


def whole_numbers(values: np.ndarray, rows: np.ndarray, where: str) -> np.ndarray:
    """Ids as int64.

    Parameters
    ----------
    values : array, shape (N,)
        As in the catalogue.
    rows : int array, shape (N,)
        Their rows in the catalogue, for the message.
    where : str
        File and column, for the message.

    Returns
    -------
    int64 array, shape (N,)

    Raises
    ------
    BalrogError
        If one is no whole number, or too large for its dtype or for int64.
    """
    good, limit = np.ones(len(values), bool), ""
    if values.dtype.kind == "f":
        good = (values == np.floor(values)) & (np.abs(values) <= _MOST_IN_FLOAT)
        limit = (
            f", in a column of floats none beyond 2^53 = {_MOST_IN_FLOAT:,} (floats do not tell "
            "larger ones apart)"
        )
    elif values.dtype == np.uint64:
        good, limit = values < 2**63, " below 2^63"
    if not good.all():
        bad = int(np.argmin(good))
        raise BalrogError(
            f"{where} must hold whole numbers{limit}; row {rows[bad]} has {values[bad]}; store "
            "them as 64-bit integers, or number the rows anew in every catalogue"
        )
    return values.astype(np.int64)


def detected_flags(
    batch: Mapping[str, np.ndarray],
    elements: Mapping[str, Element],
    detected: Source,
    rows: np.ndarray,
    where: str,
) -> np.ndarray:
    """Which injections were detected.

    Parameters
    ----------
    batch : mapping of str to array, shape (N,) or (N, width)
        Columns of the catalogue.
    elements : mapping of str to Element
        Alias -> catalogue column, for the inputs of `detected`.
    detected : Source
        What the preset says.
    rows : int array, shape (N,)
        Rows in the catalogue, for the message.
    where : str
        The catalogue, for the message.

    Returns
    -------
    bool array, shape (N,)

    Raises
    ------
    BalrogError
        If a value is neither 0 nor 1 (false nor true): what is not known is no non-detection.
    """
    inputs = {}
    for alias, element in elements.items():
        values = batch[element.column]
        vector = element.index is not None and values.ndim == 2
        inputs[alias] = values[:, element.index] if vector else values
    if detected.expression:
        values = evaluate(detected.expression, inputs, f"{where}: detected")
        what = f"the expression {detected.expression} of `detected`"
    else:
        values = next(iter(inputs.values()))
        what = f"column {next(iter(elements.values()))} (`detected`)"
    flags: np.ndarray = values == 1
    known = flags | (values == 0)
    if not known.all():
        bad = int(np.argmin(known))
        raise BalrogError(
            f"{where}: {what} must be 0 or 1 (false or true) in every row; row {rows[bad]} has "
            f"{values[bad]}, one of {np.count_nonzero(~known):,} such rows read at once; drop "
            "rows of which it is not known, or give the preset an expression that is true where "
            "an injection was detected, as `detected: {inputs: {d: NAME}, expression: "
            '"d > 0"}`'
        )
    return flags
