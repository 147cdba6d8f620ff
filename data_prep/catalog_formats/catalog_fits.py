"""Read FITS binary tables, gzipped or not, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from data_prep.catalog_formats.catalog_base import Catalog, damaged, even_pieces
from data_prep.catalog_formats.fits_table import find_table
from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import is_gzipped, open_stream, require_checksums

__all__ = ["FitsCatalog"]

# Whole rows are read in pieces of this size and the wanted columns copied out of them: that is
# several times faster than asking CFITSIO for the columns, and a gzipped file needs no more memory.
_READ_BYTES = 1 << 21


class FitsCatalog(Catalog):
    """The first binary table of a FITS file.

    Raises
    ------
    BalrogError
        If there is none, or the file is truncated, damaged, or fails the checksum in its header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._whole():
            self._table, self._gzipped = find_table(path), is_gzipped(path)
            self._require_length()
            require_checksums(path)
        self.rows, self.label = self._table.rows, self._table.label
        columns = self._table.columns
        self.widths = {name: column.width for name, column in columns.items()}
        self.units = {name: column.unit for name, column in columns.items() if column.unit}

    def _require_length(self) -> None:
        size = self.path.stat().st_size
        needed = self._table.start + self._table.rows * self._table.dtype.itemsize
        if not self._gzipped and size < needed:
            raise EOFError(f"{needed:,} bytes are expected, {size:,} found")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except BalrogError:
            raise
        except (
            ArithmeticError, EOFError, LookupError, OSError, TypeError, ValueError, zlib.error
        ) as error:  # fmt: skip
            raise damaged(self.path, "FITS", error) from error

    def _lacks(self, name: str) -> bool | None:
        column = self._table.columns[name]
        return None if column.null is not None else column.holds_floats

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Even ranges; one for a gzipped file, which is read from its beginning."""
        return [(0, self.rows)] if self._gzipped else even_pieces(self.rows, rows)

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows; see :meth:`Catalog.batches`."""
        stop = self.rows if stop is None else stop
        with self._whole(), open_stream(self.path) as stream:
            stream.seek(self._table.start + start * self._table.dtype.itemsize)
            for first in range(start, stop, batch_rows):
                yield self._read(stream, columns, min(batch_rows, stop - first))
            # gzip compares its checksum at the end of the file only.
            while self._gzipped and stop == self.rows and stream.read(_READ_BYTES):
                pass

    def _read(self, stream: IO[bytes], columns: Sequence[str], rows: int) -> dict[str, np.ndarray]:
        """The next rows of the table."""
        dtype = self._table.dtype
        raw = {name: np.empty(rows, dtype[name].newbyteorder("=")) for name in columns}
        step = max(_READ_BYTES // dtype.itemsize, 1)
        for done in range(0, rows, step):
            count = min(step, rows - done)
            content = stream.read(count * dtype.itemsize)
            if len(content) < count * dtype.itemsize:
                raise EOFError("the rows break off")
            block = np.frombuffer(content, dtype)
            for name, values in raw.items():
                values[done : done + count] = block[name]
        return {name: self._table.columns[name].decode(values) for name, values in raw.items()}
