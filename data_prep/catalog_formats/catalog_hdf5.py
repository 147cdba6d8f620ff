"""Read HDF5 catalogues in bounded memory: groups of columns, compound tables, pandas tables."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.catalog_formats.catalog_base import Catalog, damaged, even_pieces
from data_prep.catalog_formats.hdf5_columns import (
    Hdf5Column,
    choose_rows,
    common_group,
    find_columns,
)
from data_prep.errors import BalrogError

__all__ = ["Hdf5Catalog"]

# A chunk that two batches share is kept uncompressed in between, if it is no larger.
_MOST_CACHE_BYTES = 1 << 24
_LEAST_CACHE_BYTES = 1 << 20


class Hdf5Catalog(Catalog):
    """The data sets of an HDF5 file that have the same number of rows.

    A column is called by its path below the group that all are in (``unsheared/flux_r``); any
    other part of the path that says which one is meant will do: ``flux_r`` if only one group has
    it, ``catalog/unsheared/flux_r``. Data sets with another number of rows are no columns.

    Raises
    ------
    BalrogError
        If the file is damaged or holds no data sets.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._cache_bytes = path, _LEAST_CACHE_BYTES
        with self._open() as file:
            found = find_columns(file)
            self.label = str(file.attrs.get("label", "") or "")
        if not found:
            raise BalrogError(f"{path} must hold data sets with one row per object; it has none")
        self.rows = choose_rows(found)
        top = common_group([column.path for column in found])
        chosen = [column for column in found if column.rows == self.rows]
        self._columns = {column.path.removeprefix(top): column for column in chosen}
        self._others = {column.path: column.rows for column in found if column.rows != self.rows}
        self.widths = {name: column.width for name, column in self._columns.items()}
        self.units = {name: column.unit for name, column in self._columns.items() if column.unit}
        largest = max(column.chunk_bytes for column in chosen)
        self._cache_bytes = int(np.clip(largest, _LEAST_CACHE_BYTES, _MOST_CACHE_BYTES))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import h5py

        try:
            with h5py.File(self.path, "r", rdcc_nbytes=self._cache_bytes) as file:
                yield file
        except BalrogError:
            raise
        except (
            AttributeError, LookupError, MemoryError, OSError, OverflowError, RuntimeError,
            TypeError, ValueError, pickle.UnpicklingError,
        ) as error:  # fmt: skip
            # The last: HDF5 looked for a filter's plugin where plugins are switched off.
            if any(words in str(error) for words in ("filter", "plugin", "open directory")):
                raise BalrogError(
                    f"{self.path} is compressed in a way that h5py cannot read ({error}); rewrite "
                    "it with gzip: h5repack -f GZIP=1"
                ) from error
            raise damaged(self.path, "HDF5", error) from error

    def resolve(self, name: str) -> str | None:
        """Name of the one column whose path is, or ends in, `name`."""
        name = name.strip("/")
        if name in self.widths:
            return name
        ends = [n for n, c in self._columns.items() if f"/{c.path}".endswith(f"/{name}")]
        return ends[0] if len(ends) == 1 else None

    def _remark(self, name: str) -> str:
        found = [(p, n) for p, n in self._others.items() if f"/{p}".endswith(f"/{name}")]
        if not found:
            return ""
        path, rows = found[0]
        return f"{path} has {rows:,} rows, but most columns have {self.rows:,}"

    def _lacks(self, name: str) -> bool:
        return self._columns[name].kind == "f"

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Ranges of whole chunks, as most columns are cut."""
        chunks = [column.chunk_rows for column in self._columns.values()]
        return even_pieces(self.rows, rows, max(set(chunks), key=lambda n: (chunks.count(n), n)))

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows; see :meth:`Catalog.batches`."""
        stop = self.rows if stop is None else stop
        tables: dict[str, list[str]] = {}
        for name in columns:
            column = self._columns[name]
            if column.field:
                tables.setdefault(column.dataset, []).append(column.field)
        with self._open() as file:
            for first in range(start, stop, batch_rows):
                rows = slice(first, min(first + batch_rows, stop))
                # The fields of a compound data set are read together: its rows lie in one piece.
                blocks = {
                    path: file[path].fields(sorted(set(fields)))[rows]
                    for path, fields in tables.items()
                }
                yield {name: _values(file, self._columns[name], rows, blocks) for name in columns}


def _values(
    file: Any, column: Hdf5Column, rows: slice, blocks: dict[str, np.ndarray]
) -> np.ndarray:
    """Some rows of a column, shape (N,) or (N, width), in native byte order."""
    if column.field:
        values = blocks[column.dataset][column.field]
        values = values if column.index is None else values[:, column.index]
    else:
        place = rows if column.index is None else (rows, column.index)
        values = file[column.dataset][place]
    shape = (len(values), column.width) if column.width > 1 else (len(values),)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("=")).reshape(shape)
