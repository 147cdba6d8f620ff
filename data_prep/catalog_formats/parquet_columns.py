"""Columns of Arrow tables as arrays of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["has_nulls", "kind_of", "list_width", "numbers_of", "width_of"]


def width_of(kind: Any) -> int | None:
    """Elements per row of an Arrow type: 0 if no numbers, None for lists of unstated length."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return width_of(kind.value_type)
    if types.is_fixed_size_list(kind):
        return int(kind.list_size) if width_of(kind.value_type) == 1 else 0
    if types.is_list(kind) or types.is_large_list(kind):
        return None if width_of(kind.value_type) == 1 else 0
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return int(number or types.is_boolean(kind))


def kind_of(kind: Any) -> str:
    """``f`` for floats and decimals, ``i`` for whole numbers and booleans, ``""`` for others."""
    import pyarrow.types as types

    if types.is_floating(kind) or types.is_decimal(kind):
        return "f"
    return "i" if types.is_integer(kind) or types.is_boolean(kind) else ""


def has_nulls(metadata: Any, name: str) -> set[bool | None]:
    """Whether a flat column has nulls in the row groups of a file, None where that is not said."""
    found: set[bool | None] = set()
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if chunk.path_in_schema == name:
                said = chunk.statistics
                found.add(said.null_count > 0 if said and said.has_null_count else None)
    return found


def list_width(column: Any) -> int:
    """Length of the first list that is not null; 0 if all are."""
    import pyarrow.compute as compute

    lengths = compute.drop_null(compute.list_value_length(column))
    return int(lengths[0].as_py()) if len(lengths) else 0


def numbers_of(column: Any, width: int, where: str, first_row: int) -> np.ndarray:
    """Numbers of a column.

    Parameters
    ----------
    column : pyarrow.Array
        Numbers, booleans or lists of `width` of them, perhaps dictionary-encoded.
    width : int
        Elements per row.
    where : str
        File and column, for messages.
    first_row : int
        Row number of the column's first, for messages.

    Returns
    -------
    array, shape (N,) or (N, width)
        Of the column's type; floats with NaN if a value is null.

    Raises
    ------
    BalrogError
        If a list is of another length.
    """
    import pyarrow.types as types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not hasattr(column.type, "value_type"):
        return _flat_numbers(column)
    _require_lengths(column, width, where, first_row)
    values = _flat_numbers(column.flatten()).reshape(-1, width)
    if column.null_count:
        present = column.is_valid().to_numpy(zero_copy_only=False)
        found, values = values, np.full((len(column), width), np.nan)
        values[present] = found
    return values[:, 0] if width == 1 else values


def _require_lengths(column: Any, width: int, where: str, first_row: int) -> None:
    import pyarrow.compute as compute

    lengths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
    wrong = (lengths != width) & ~np.isnan(lengths)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BalrogError(
            f"{where} must hold {width} numbers in every row; row {first_row + row} has "
            f"{lengths[row]:g}"
        )


def _flat_numbers(column: Any) -> np.ndarray:
    import pyarrow
    import pyarrow.types as types

    nulls = types.is_boolean(column.type) and column.null_count
    if nulls or types.is_decimal(column.type):
        column = column.cast(pyarrow.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False))
