"""Tables of the kinds that users have: data frames, Arrow and astropy tables, dicts of arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from balrog_keras.arrow_columns import arrow_table
from balrog_keras.stated_units import conversion
from data_prep.errors import BalrogError

__all__ = ["columns_of", "same_kind"]

_KINDS = "a pandas data frame, a pyarrow or astropy table, or a dict of arrays"


class _Columns(Mapping[str, np.ndarray]):
    """Columns of which those that are asked for become arrays."""

    def __init__(self, names: Sequence[str], read: Callable[[str], np.ndarray]) -> None:
        self._names, self._read = names, read

    def __getitem__(self, name: str) -> np.ndarray:
        if self._names.count(name) > 1:
            raise BalrogError(
                f"the table must have one column {name!r}, found {self._names.count(name)}; rename "
                "or drop the others"
            )
        return self._read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def columns_of(table: Any, units: Mapping[str, str]) -> Mapping[str, np.ndarray]:
    """Columns of a table as arrays, null and masked as NaN.

    Parameters
    ----------
    table : pandas.DataFrame, pyarrow.Table, astropy.table.Table or mapping of str to array_like
        With N rows.
    units : mapping of str to str
        Column -> unit wanted; a column of astropy in another one is converted. Where astropy does
        not know one of the two, the values are taken as they are, with a warning.

    Returns
    -------
    mapping of str to array, shape (N,)
        A column that is there twice, or has a unit that cannot be converted, raises BalrogError
        when it is asked for.

    Raises
    ------
    BalrogError
        If it is no such table.
    """
    if _is(table, "pandas", "DataFrame"):
        return _Columns(list(table.columns), lambda name: _of_series(table[name]))
    if _is(table, "pyarrow", "Table"):
        return _Columns(table.column_names, lambda name: table[name].to_numpy())
    if _is(table, "astropy.table", "Table"):
        return _Columns(table.colnames, lambda name: _of_array(table[name], name, units))
    if isinstance(table, Mapping):
        return _Columns(list(table), lambda name: _of_array(table[name], name, units))
    raise BalrogError(f"the table must be {_KINDS}; found {type(table).__name__}")


def same_kind(
    table: Any, columns: Mapping[str, np.ndarray], source: np.ndarray, units: Mapping[str, str]
) -> Any:
    """Columns as a table of the kind of `table`.

    Parameters
    ----------
    table : any
        As :func:`columns_of` takes it.
    columns : mapping of str to array, shape (R,)
        What the new table holds; NaN is null in Arrow and masked in astropy tables.
    source : int64 array, shape (R,)
        Row of `table` that each row belongs to: a data frame gets its index.
    units : mapping of str to str
        Column -> unit, attached where the kind of table can have one.
    """
    if _is(table, "pandas", "DataFrame"):
        import pandas as pd

        return pd.DataFrame(dict(columns), index=table.index[source])
    if _is(table, "pyarrow", "Table"):
        return arrow_table(columns, units)
    if _is(table, "astropy.table", "Table"):
        return _astropy_table(columns, units)
    return dict(columns)


def _is(table: Any, module: str, name: str) -> bool:
    """Whether it is of a class of a module, which nobody can have made unless it is imported."""
    return module in sys.modules and isinstance(table, getattr(sys.modules[module], name))


def _of_series(series: Any) -> np.ndarray:
    if series.dtype.kind in "iuf" and series.hasnans:
        return np.asarray(series.to_numpy(np.float64, na_value=np.nan))
    return np.asarray(series.to_numpy())


def _of_array(column: Any, name: str, units: Mapping[str, str]) -> np.ndarray:
    """A column that may have a mask or a unit, as those of astropy and NumPy's masked arrays."""
    values = getattr(column, "value", column)
    mask = getattr(values, "mask", False)
    if isinstance(mask, np.ndarray) and mask.any():
        values = np.where(mask, np.nan, np.asarray(getattr(values, "unmasked", values), np.float64))
    values, unit = np.asarray(values), getattr(column, "unit", None)
    if unit is None:
        return values
    return conversion(unit, units.get(name, ""), f"column {name!r}")(values)


def _astropy_table(columns: Mapping[str, np.ndarray], units: Mapping[str, str]) -> Any:
    from astropy.table import Column, MaskedColumn, Table
    from astropy.units import Unit

    made = Table()
    for name, values in columns.items():
        unit = Unit(units[name], parse_strict="silent") if units.get(name) else None
        missing = values.dtype.kind == "f" and np.isnan(values)
        column = MaskedColumn(values, mask=missing) if np.any(missing) else Column(values)
        column.unit = unit
        made[name] = column
    return made
