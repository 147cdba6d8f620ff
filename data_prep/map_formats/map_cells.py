"""The numbers of one FITS table column, or of a raw file, at known places: looked up or streamed.

Looking up maps a window of the file at a time into memory and lets it go again, so that only
pages with a wanted number are read and none stays resident.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.map_formats.fits_stream import Hdu, open_stream

__all__ = ["Cells", "stream_cells", "table_cells"]

_WINDOW_BYTES = 1 << 26
_STREAM_BYTES = 1 << 23
_FORMAT = re.compile(r"(\d*)([LXBIJKAEDCMPQ])")
_DTYPES = {"B": "|u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_WIDTHS = {"L": 1, "A": 1, "C": 8, "M": 16, "P": 8, "Q": 16}


@dataclass(frozen=True)
class Cells:
    """Numbers in rows of constant width.

    Attributes
    ----------
    path : path
        The file.
    start, rows, row_bytes : int
        First byte of the first row, number of rows, bytes of each.
    offset, repeat : int
        First byte of the numbers in a row, and how many there are.
    dtype : str
        Type of a number with its byte order; ``""`` if it is none.
    """

    path: Path
    start: int
    rows: int
    row_bytes: int
    offset: int
    repeat: int
    dtype: str

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.rows * self.repeat

    def take(self, ascending: np.ndarray) -> np.ndarray:
        """Look up numbers of an uncompressed file.

        Parameters
        ----------
        ascending : int64 array, shape (N,)
            Which, counted from 0 along the rows; ascending.

        Returns
        -------
        array, shape (N,)

        Raises
        ------
        OSError, ValueError
            If the file ends before; see :func:`data_prep.map_formats.fits_stream.whole`.
        """
        found = np.empty(len(ascending), self.dtype)
        step, begin = max(1, _WINDOW_BYTES // self.row_bytes), 0
        while begin < len(ascending):
            row = int(ascending[begin]) // self.repeat
            last = min(row + step, self.rows)
            end = int(np.searchsorted(ascending, last * self.repeat))
            window = np.memmap(
                self.path,
                np.uint8,
                "r",
                offset=self.start + row * self.row_bytes,
                shape=((last - row) * self.row_bytes,),
            )
            inside = ascending[begin:end] - row * self.repeat
            found[begin:end] = self._pick(self.view(window), inside)
            begin = end
        return found

    def view(self, content: np.ndarray | bytes) -> np.ndarray:
        """Numbers in the bytes of whole rows, shape (rows, repeat), not copied."""
        shape = (len(content) // self.row_bytes, self.repeat)
        strides = (self.row_bytes, np.dtype(self.dtype).itemsize)
        return np.ndarray(shape, self.dtype, content, self.offset, strides)

    def _pick(self, cells: np.ndarray, places: np.ndarray) -> np.ndarray:
        picked: np.ndarray
        gapless = self.row_bytes == self.repeat * cells.dtype.itemsize
        if gapless or self.repeat == 1:
            picked = cells.reshape(-1)[places]
        else:
            picked = cells[places // self.repeat, places % self.repeat]
        return picked


def table_cells(path: Path, hdu: Hdu) -> dict[str, Cells]:
    """Columns of a FITS binary table.

    Raises
    ------
    ValueError, LookupError
        If the header is damaged; see :func:`data_prep.map_formats.fits_stream.whole`.
    """
    header, offset, found = hdu.header, 0, {}
    row_bytes, rows = header["NAXIS1"], header["NAXIS2"]
    for number in range(1, int(header["TFIELDS"]) + 1):
        match = _FORMAT.match(str(header[f"TFORM{number}"]).strip())
        if match is None:
            raise ValueError(f"TFORM{number} is {header[f'TFORM{number}']!r}")
        repeat, kind = int(match[1] or 1), match[2]
        name = str(header.get(f"TTYPE{number}", f"column {number}")).strip()
        found[name] = Cells(path, hdu.start, rows, row_bytes, offset, repeat, _DTYPES.get(kind, ""))
        dtype = _DTYPES.get(kind)
        width = np.dtype(dtype).itemsize if dtype else _WIDTHS.get(kind, 1)
        offset += math.ceil(repeat / 8) if kind == "X" else repeat * width
    if offset != row_bytes:
        raise ValueError(f"NAXIS1 is {row_bytes} but the columns have {offset} bytes")
    return found


def stream_cells(columns: Sequence[Cells]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Read columns of one table from front to back, plain or gzipped.

    Yields
    ------
    int, list of array, shape (rows, repeat)
        First row of the batch, and its numbers of each column.

    Raises
    ------
    OSError, EOFError, zlib.error
        If the file ends before or its gzip checksum differs.
    """
    table = columns[0]
    batch = max(1, _STREAM_BYTES // max(table.row_bytes, 1))
    with open_stream(table.path) as stream:
        stream.seek(table.start)
        for first in range(0, table.rows, batch):
            wanted = min(batch, table.rows - first) * table.row_bytes
            content = stream.read(wanted)
            if len(content) < wanted:
                raise EOFError("the file ends before its table does")
            yield first, [cells.view(content) for cells in columns]
        # gzip compares its checksum at the end of the file only.
        while stream.read(_STREAM_BYTES):
            pass
