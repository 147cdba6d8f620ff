"""Columns of arrays as Arrow tables: NaN as null, units and where they come from as metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow

__all__ = ["arrow_table", "numpy_columns", "units_of"]


def arrow_table(
    columns: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    header: Mapping[str, str] | None = None,
) -> pyarrow.Table:
    """Arrow table of equal columns.

    Parameters
    ----------
    columns : mapping of str to array, shape (N,) or (N, width)
        Numbers; of one dimension, NaN becomes null.
    units : mapping of str to str
        Column -> unit, as metadata ``unit`` of its field.
    header : mapping of str to str, optional
        Metadata of the table.
    """
    import pyarrow as pa

    arrays = [_array(values) for values in columns.values()]
    fields = [
        pa.field(name, array.type, metadata={"unit": units[name]} if units.get(name) else None)
        for name, array in zip(columns, arrays, strict=True)
    ]
    return pa.table(arrays, pa.schema(fields, metadata=dict(header or {})))


def _array(values: np.ndarray) -> Any:
    import pyarrow as pa

    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    if values.ndim == 1:
        return pa.array(values, from_pandas=True)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def numpy_columns(table: pyarrow.Table) -> dict[str, np.ndarray]:
    """The way back: arrays of shape (N,) or (N, width), null as NaN."""
    found = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if hasattr(column.type, "list_size"):
            values = column.flatten().to_numpy(zero_copy_only=False)
            found[name] = values.reshape(-1, column.type.list_size)
        else:
            found[name] = column.to_numpy(zero_copy_only=False)
    return found


def units_of(schema: pyarrow.Schema) -> dict[str, str]:
    """Column -> unit, of those that have one."""
    units = {field.name: (field.metadata or {}).get(b"unit", b"") for field in schema}
    return {name: unit.decode() for name, unit in units.items() if unit}
