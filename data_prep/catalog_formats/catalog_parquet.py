"""Read Parquet files, directories of them, and HATS catalogues in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.catalog_formats.catalog_base import Catalog, damaged, rebatched, whole_pieces
from data_prep.catalog_formats.hats_layout import list_parquet_files
from data_prep.catalog_formats.parquet_columns import (
    has_nulls,
    kind_of,
    list_width,
    numbers_of,
    width_of,
)
from data_prep.errors import BalrogError

__all__ = ["ParquetCatalog"]

# Column chunks are read in steps, not at once: they may be as long as the file.
_OPTIONS: dict[str, Any] = {
    "buffer_size": 1 << 18,
    "pre_buffer": False,
    "page_checksum_verification": True,
}
_LIST_SAMPLE_ROWS = 1024


class ParquetCatalog(Catalog):
    """A Parquet file, a directory of Parquet files with the same columns, or a HATS catalogue.

    Raises
    ------
    BalrogError
        If a file is damaged, has other columns than the first, or rows are missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files, stated = list_parquet_files(path) if path.is_dir() else ([path], None)
        groups: list[tuple[int, int, int]] = []
        for number, file in enumerate(self._files):
            with self._open(number) as opened:
                if number == 0:
                    first = opened.schema_arrow
                    self.widths = self._widths(opened)
                    self._kinds = {field.name: kind_of(field.type) for field in first}
                _require_same(opened.schema_arrow, first, file, self._files[0])
                info = opened.metadata
                sizes = [info.row_group(index).num_rows for index in range(info.num_row_groups)]
            groups += [(number, index, rows) for index, rows in enumerate(sizes)]
        # Row groups: number of the file, number in the file; and the first row of each.
        self._groups = np.array([group[:2] for group in groups], np.int32).reshape(-1, 2)
        self._starts = np.cumsum([0, *(rows for *_, rows in groups)])
        self.rows = int(self._starts[-1])
        if stated not in (None, self.rows):
            raise BalrogError(
                f"{path} must have {stated:,} rows, as its properties say; its partitions have "
                f"{self.rows:,}; fetch it anew"
            )
        self.label = (first.metadata or {}).get(b"label", b"").decode(errors="replace")
        units = {field.name: (field.metadata or {}).get(b"unit", b"") for field in first}
        self.units = {name: unit.decode(errors="replace") for name, unit in units.items() if unit}

    def _widths(self, file: Any) -> dict[str, int]:
        widths = {field.name: width_of(field.type) for field in file.schema_arrow}
        lists = [name for name, width in widths.items() if width is None]
        if lists:
            batch = next(file.iter_batches(batch_size=_LIST_SAMPLE_ROWS, columns=lists), None)
            for name in lists:
                widths[name] = list_width(batch.column(name)) if batch else 0
        return {name: width or 0 for name, width in widths.items()}

    @contextmanager
    def _open(self, number: int) -> Iterator[Any]:
        import pyarrow
        import pyarrow.parquet

        path = self._files[number]
        try:
            with pyarrow.parquet.ParquetFile(path, **_OPTIONS) as file:
                yield file
        except (pyarrow.ArrowException, OSError) as error:
            raise damaged(path, "Parquet", error) from error

    def _lacks(self, name: str) -> bool | None:
        if self._kinds[name] == "f":
            return True
        if self._kinds[name] != "i":
            return None
        found: set[bool | None] = set()
        for number in range(len(self._files)):
            with self._open(number) as file:
                found |= has_nulls(file.metadata, name)
        return True if True in found else None if None in found else False

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Ranges of whole row groups."""
        return whole_pieces(self._starts, rows)

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows; see :meth:`Catalog.batches`."""
        stop = self.rows if stop is None else stop
        return rebatched(self._parts(columns, batch_rows, start, stop), batch_rows)

    def _parts(
        self, columns: Sequence[str], batch_rows: int, start: int, stop: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """Rows of the range, file by file."""
        wanted = (self._starts[:-1] < stop) & (self._starts[1:] > start)
        for number in np.unique(self._groups[wanted, 0]).tolist():
            groups = np.flatnonzero(wanted & (self._groups[:, 0] == number))
            row = int(self._starts[groups[0]])
            with self._open(number) as file:
                batches = file.iter_batches(
                    batch_size=batch_rows,
                    row_groups=self._groups[groups, 1].tolist(),
                    columns=list(columns),
                )
                for batch in batches:
                    inside = slice(max(start - row, 0), max(stop - row, 0))
                    part = batch.slice(inside.start, inside.stop - inside.start)
                    if part.num_rows:
                        yield {name: self._array(part, name, row) for name in columns}
                    row += batch.num_rows

    def _array(self, batch: Any, name: str, first_row: int) -> np.ndarray:
        where = f"{self.path}: column {name}"
        return numbers_of(batch.column(name), self.widths[name], where, first_row)


def _require_same(schema: Any, first: Any, path: Path, first_path: Path) -> None:
    """Raise unless two files have the same columns of numbers."""
    if schema.equals(first):
        return
    types = {field.name: field.type for field in schema}
    expected = {field.name: field.type for field in first}
    for name in [*expected, *types]:
        found, wanted = types.get(name), expected.get(name)
        numbers = any(kind is not None and width_of(kind) != 0 for kind in (found, wanted))
        if found != wanted and numbers:
            raise BalrogError(
                f"{path}: column {name} must be {wanted or 'absent'}, as in {first_path}; found "
                f"{found or 'none'}; write the files of a catalogue with the same columns"
            )
