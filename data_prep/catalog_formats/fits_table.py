"""Columns of a FITS binary table, and how stored bytes become numbers (FITS standard 4.0)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import Hdu, is_gzipped, read_hdus

__all__ = ["FitsColumn", "FitsTable", "find_table"]

logger = logging.getLogger(__name__)

_CARD_BYTES = 80
# The table is nearly always the first extension; further ones are looked at only if it is not.
_USUAL_HDUS, _MOST_HDUS = 2, 1000
# Type codes (section 7.3.1) that hold numbers, as big-endian numpy types; L is T or F.
_NUMBERS = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_BYTES = {"A": 1, "C": 8, "M": 16, "P": 8, "Q": 16}


@dataclass(frozen=True)
class FitsColumn:
    """How the bytes of a column become numbers.

    Attributes
    ----------
    code : str
        Type code of the standard, as ``E``.
    width : int
        Elements per row; 0 if it holds no numbers.
    unit : str
        TUNIT.
    scale, zero : float
        TSCAL and TZERO.
    null : int or None
        TNULL, the whole number that means missing.
    """

    code: str
    width: int
    unit: str = ""
    scale: float = 1.0
    zero: float = 0.0
    null: int | None = None

    @property
    def holds_floats(self) -> bool:
        """Whether its numbers are floats though none is missing."""
        return self.code != "L" and self.decode(np.zeros(1, _NUMBERS[self.code])).dtype.kind == "f"

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Numbers of stored values in native byte order; NaN where missing."""
        if self.code == "L":
            return np.asarray(raw == b"T")
        missing = raw == self.null if self.null is not None and raw.dtype.kind in "iu" else None
        values = self._scaled(raw)
        if missing is not None and missing.any():
            return np.where(missing, np.nan, values.astype(np.float64))
        return values

    def _scaled(self, raw: np.ndarray) -> np.ndarray:
        if (self.scale, self.zero) == (1.0, 0.0):
            return raw
        bits = 8 * raw.dtype.itemsize
        # Integers of the other signedness are stored with an offset: the top bit is flipped.
        offset = -(2.0**7) if self.code == "B" else 2.0 ** (bits - 1)
        if raw.dtype.kind in "iu" and (self.scale, self.zero) == (1.0, offset):
            unsigned = f"u{bits // 8}"
            flipped: np.ndarray = raw.view(unsigned) ^ np.array(1 << (bits - 1), unsigned)
            return flipped.view("i1") if self.code == "B" else flipped
        return raw.astype(np.float64) * self.scale + self.zero


@dataclass(frozen=True)
class FitsTable:
    """The first binary table of a file.

    Attributes
    ----------
    start, rows : int
        Byte of its first row in the (unzipped) file, and number of rows.
    dtype : numpy.dtype
        A row as it is stored.
    columns : mapping of str to FitsColumn
        By name.
    label : str
        Keyword LABEL of its header, else of the primary header.
    """

    start: int
    rows: int
    dtype: np.dtype
    columns: Mapping[str, FitsColumn]
    label: str


def find_table(path: Path) -> FitsTable:
    """Find the first binary table of a FITS file, by the headers alone.

    Parameters
    ----------
    path : path
        Gzipped or not.

    Returns
    -------
    FitsTable

    Raises
    ------
    BalrogError
        If there is none, or it is compressed or in text form.
    OSError, EOFError, LookupError, ValueError
        If a header is damaged.
    """
    label = ""
    for most in (_USUAL_HDUS, _MOST_HDUS):
        for hdu in read_hdus(path, most):
            header = hdu.header
            kind = header.get("XTENSION", "")
            label = label if kind == "BINTABLE" else label or str(header.get("LABEL", ""))
            if kind == "TABLE" or header.get("ZTABLE", False):
                remedy = "write it as a binary table" if kind == "TABLE" else "unpack it: funpack"
                raise BalrogError(f"{path} must hold a plain binary table; {remedy}")
            if kind == "BINTABLE" and not header.get("ZIMAGE", False):
                _mention_others(path, hdu)
                return _table(hdu, str(header.get("LABEL", "")) or label)
    raise BalrogError(f"{path} must hold a table; it has none; is it truncated?")


def _mention_others(path: Path, hdu: Hdu) -> None:
    """Say so if another table comes next; of a gzipped file that would take reading all of it."""
    if is_gzipped(path):
        return
    with open(path, "rb") as handle:
        handle.seek(hdu.start + hdu.padded_size)
        if handle.read(_CARD_BYTES).startswith(b"XTENSION= 'BINTABLE'"):
            name = str(hdu.header.get("EXTNAME", "")).strip() or "without a name"
            logger.info("%s has several tables; the first (%s) is read", path, name)


def _table(hdu: Hdu, label: str) -> FitsTable:
    header, formats = hdu.header, []
    columns: dict[str, FitsColumn] = {}
    for number in range(1, int(header["TFIELDS"]) + 1):
        name = str(header.get(f"TTYPE{number}", f"col{number}")).strip()
        stored, columns[name] = _column(header, number)
        formats.append((name, stored))
    dtype = np.dtype(formats)
    if dtype.itemsize != header["NAXIS1"]:
        raise ValueError(f"rows have {header['NAXIS1']} bytes, the columns {dtype.itemsize}")
    return FitsTable(hdu.start, int(header["NAXIS2"]), dtype, columns, label)


def _column(header: Mapping[str, Any], number: int) -> tuple[Any, FitsColumn]:
    """A column's numpy type as stored, and what it means."""
    form = re.match(r"\s*(\d*)([A-Z])", str(header[f"TFORM{number}"]))
    if form is None or form[2] not in {*_NUMBERS, *_BYTES, "X"}:
        raise ValueError(f"TFORM{number} is {header[f'TFORM{number}']!r}")
    repeat, code = int(form[1] or 1), form[2]
    shape = re.findall(r"\d+", str(header.get(f"TDIM{number}", "")))
    unit = str(header.get(f"TUNIT{number}", "") or "").strip()
    if code not in _NUMBERS:
        size = -(-repeat // 8) if code == "X" else repeat * _BYTES[code]
        return f"V{size}", FitsColumn(code, 0, unit)
    width = repeat if len(shape) < 2 else 0
    null = header.get(f"TNULL{number}")
    scale, zero = (
        float(header.get(f"{key}{number}", d)) for key, d in (("TSCAL", 1), ("TZERO", 0))
    )
    stored = _NUMBERS[code] if repeat == 1 else (_NUMBERS[code], (repeat,))
    return stored, FitsColumn(code, width, unit, scale, zero, None if null is None else int(null))
