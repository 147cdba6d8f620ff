"""Write a table batch by batch to Parquet or FITS, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import atomic_path

__all__ = ["TableWriter", "check_format", "table_writer"]

_SUFFIXES = (".parquet", ".pq", ".fits", ".fit")


class TableWriter(Protocol):
    """Takes batches of equal columns."""

    def write(self, columns: Mapping[str, np.ndarray]) -> None:
        """Append one batch of columns, each of shape ``(rows,)`` or ``(rows, width)``."""


class _Parquet:
    def __init__(self, path: Path, units: Mapping[str, str], header: Mapping[str, str]) -> None:
        self._path, self._units, self._header = path, units, header
        self._writer: Any = None

    def write(self, columns: Mapping[str, np.ndarray]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = {name: self._array(values) for name, values in columns.items()}
        fields = [
            pa.field(name, array.type, metadata={"unit": self._units.get(name, "")})
            for name, array in arrays.items()
        ]
        schema = pa.schema(fields, metadata=dict(self._header))
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, schema)
        self._writer.write_table(pa.Table.from_arrays(list(arrays.values()), schema=schema))

    @staticmethod
    def _array(values: np.ndarray) -> Any:
        """Arrow array; NaN becomes null."""
        import pyarrow as pa

        values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
        if values.ndim == 1:
            return pa.array(values, from_pandas=True)
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Fits:
    def __init__(self, path: Path, units: Mapping[str, str], header: Mapping[str, str]) -> None:
        import fitsio

        self._units, self._header = units, header
        self._file = fitsio.FITS(path, "rw", clobber=True)
        self._started = False

    def write(self, columns: Mapping[str, np.ndarray]) -> None:
        names, arrays = list(columns), list(columns.values())
        if self._started:
            self._file[-1].append(arrays, names=names)
            return
        units = [self._units.get(name, "") for name in names]
        keywords = [{"name": key[:8].upper(), "value": text} for key, text in self._header.items()]
        self._file.write(arrays, names=names, units=units, header=keywords)
        self._started = True

    def close(self) -> None:
        self._file.close()


def check_format(path: Path) -> None:
    """Raise BalrogError unless the name ends as a format that can be written."""
    if path.suffix.lower() not in _SUFFIXES:
        raise BalrogError(
            f"output {path} must end in {', '.join(_SUFFIXES)}; found {path.suffix or 'no suffix'}"
        )


@contextmanager
def table_writer(
    path: Path, units: Mapping[str, str], header: Mapping[str, str]
) -> Iterator[TableWriter]:
    """Open `path` for writing; the finished file appears only if the block succeeds.

    Parameters
    ----------
    path : path
        Ends in ``.parquet``, ``.pq``, ``.fits`` or ``.fit``.
    units : mapping of str to str
        Unit of a column.
    header : mapping of str to str
        Parquet metadata, FITS keywords (first eight characters).

    Yields
    ------
    TableWriter

    Raises
    ------
    BalrogError
        If the ending is another one.
    OSError
        As raised by the write; an older file is untouched.
    """
    check_format(path)
    kind = _Parquet if path.suffix.lower() in (".parquet", ".pq") else _Fits
    with atomic_path(path) as partial:
        writer = kind(partial, units, header)
        try:
            yield writer
        finally:
            writer.close()
