"""One sky map on disk: full or partial HEALPix FITS, or HealSparse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import read_hdus, whole
from data_prep.map_formats.map_header import (
    require_equatorial,
    resolve_nest,
    resolve_nside,
    split_column,
)
from data_prep.map_formats.map_healsparse import SparseMap
from data_prep.map_formats.map_table import HealpixTable, last_of_each

__all__ = ["SurveyMap", "pixels_at", "require_positions"]


def pixels_at(ra_deg: Any, dec_deg: Any, *, nside: int, nest: bool) -> np.ndarray:
    """HEALPix pixel of each position.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (N,)
        Position in degrees, ra in [0, 360), dec in [-90, 90].
    nside, nest : int, bool
        Resolution and numbering (True: NESTED, False: RING).

    Returns
    -------
    int64 array, shape (N,)

    Raises
    ------
    BalrogError
        If a position is out of range or not a number; names the first such row.
    """
    import healpy

    ra, dec = require_positions(ra_deg, dec_deg)
    pixels: np.ndarray = healpy.ang2pix(nside, ra, dec, nest=nest, lonlat=True)
    return pixels.astype(np.int64, copy=False)


def require_positions(
    ra_deg: Any, dec_deg: Any, first_row: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Positions as float64 arrays; BalrogError if one is out of range or not a number.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (N,)
        Degrees.
    first_row : int
        Number of the first, for the message.
    """
    ra = np.atleast_1d(np.asarray(ra_deg, dtype=np.float64))
    dec = np.atleast_1d(np.asarray(dec_deg, dtype=np.float64))
    inside = (ra >= 0) & (ra < 360) & (dec >= -90) & (dec <= 90)
    if not inside.all():
        row, wrong = int(np.argmin(inside)), np.count_nonzero(~inside)
        raise BalrogError(
            "positions must have ra in [0, 360) and dec in [-90, 90] degrees; row "
            f"{first_row + row} has ra {float(ra[row])}, dec {float(dec[row])} ({wrong:,} such "
            "rows); drop them, or wrap ra with ra % 360"
        )
    return ra, dec


@dataclass(frozen=True)
class SurveyMap:
    """One map on disk; open it with :meth:`open`.

    Attributes
    ----------
    path : pathlib.Path
        The file, or the directory of a HealSparse map in Parquet.
    nside, nest : int, bool
        Resolution and numbering of its pixels.
    unit : str
        Unit of its values as the header says, ``""`` if it does not.
    source : HealpixTable or SparseMap
        Where its pixels and values are.
    """

    path: Path
    nside: int
    nest: bool
    unit: str
    source: HealpixTable | SparseMap

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        nside: int | None = None,
        nest: bool | None = None,
        column: str | int | None = None,
    ) -> SurveyMap:
        """Open a map by its header; no pixel is read yet.

        Parameters
        ----------
        path : path
            ``.fits``, ``.fits.gz``, ``.hsp``, ``.hs``, or the directory of a HealSparse map in
            Parquet. ``FILE#COLUMN`` says the column too.
        nside, nest : int, bool, optional
            For a file whose header has no NSIDE or no ORDERING. Never guessed.
        column : str or int, optional
            Name or number (from 0) of the value column, or field of a record map. None: the
            first column of a table, as healpy does; record maps need it.

        Returns
        -------
        SurveyMap

        Raises
        ------
        BalrogError
            If the file is no map, is damaged, or its header lacks or contradicts these.
        """
        path, named = split_column(Path(path))
        column = named if column is None else column
        with whole(path):
            if path.is_dir():
                return cls._of_sparse(SparseMap.of_parquet(path, column), nside, nest)
            hdus = read_hdus(path)
            if hdus[0].header.get("PIXTYPE") == "HEALSPARSE" and len(hdus) > 1:
                return cls._of_sparse(SparseMap.of_fits(path, hdus, column), nside, nest)
            if len(hdus) < 2 or hdus[1].header.get("XTENSION") != "BINTABLE":
                raise BalrogError(
                    f"{path} must hold a HEALPix map in its first table; it has no table; is it "
                    "truncated?"
                )
            header = hdus[1].header
            require_equatorial(path, header)
            source = HealpixTable.of_header(path, hdus[1], column)
        return cls(
            path,
            resolve_nside(path, header.get("NSIDE"), nside),
            resolve_nest(path, str(header.get("ORDERING", "")).strip().upper(), nest),
            str(header.get(f"TUNIT{source.column + 1}", "")).strip(),
            source,
        )

    @classmethod
    def _of_sparse(cls, source: SparseMap, nside: int | None, nest: bool | None) -> SurveyMap:
        path, found = source.path, resolve_nside(source.path, source.nside, nside)
        return cls(path, found, resolve_nest(path, "NESTED", nest), source.unit, source)

    @property
    def layout(self) -> str:
        """How the pixels are stored: ``"full"``, ``"partial"`` or ``"healsparse"``."""
        return "healsparse" if isinstance(self.source, SparseMap) else self.source.layout

    @property
    def column(self) -> int:
        """Table column or record field with the values (0 for a plain HealSparse map)."""
        return self.source.column

    @property
    def mapped(self) -> bool:
        """Whether single values can be looked up in the file: full-sky FITS, not gzipped."""
        return isinstance(self.source, HealpixTable) and self.source.mapped

    def blocks(
        self, area_nside: int | None = None, area: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the map part by part, in bounded memory.

        Parameters
        ----------
        area_nside, area : int, int64 array, optional
            Pixels (NESTED) of which the map's pixels are wanted; a HealSparse map reads no more
            than it must for these, a table all.

        Yields
        ------
        pixels, values : int64 array, float32 array, shape (P,)
            Pixels ascending within a block; a pixel can come again in a later one, which then
            counts. NaN where there is no value.

        Raises
        ------
        BalrogError
            If the file is damaged or its NSIDE wrong.
        """
        if isinstance(self.source, SparseMap):
            self.source.require_sound()
            return self.source.blocks(area_nside, area)
        self.source.require_sound(self.nside)
        return self.source.blocks(self.nside)

    def good_pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Every pixel that has a value.

        Returns
        -------
        pixels, values : int64 array, float32 array, shape (P,)
            Pixels ascending, numbered as :attr:`nest` says.
        """
        pixels, values = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for some, their_values in self.blocks():
            # Only a list of pixels can take back a value that it gave before.
            keep = np.isfinite(their_values) | (self.layout == "partial")
            pixels.append(some[keep])
            values.append(their_values[keep])
        all_pixels, all_values = last_of_each(np.concatenate(pixels), np.concatenate(values))
        good = np.isfinite(all_values)
        return all_pixels[good], all_values[good]

    def values_of(self, pixels: np.ndarray) -> np.ndarray:
        """Value in each pixel (int64, shape (N,), the map's own numbering, fastest if ascending).

        Returns
        -------
        float32 array, shape (N,)
            NaN where the map has none.
        """
        pixels = np.asarray(pixels, dtype=np.int64)
        if (pixels[1:] >= pixels[:-1]).all():
            return self._values_of(pixels)
        order = np.argsort(pixels)
        found = np.empty(len(pixels), np.float32)
        found[order] = self._values_of(pixels[order])
        return found

    def _values_of(self, ascending: np.ndarray) -> np.ndarray:
        if isinstance(self.source, HealpixTable) and self.source.mapped:
            self.source.require_sound(self.nside)
            return self.source.take(ascending)
        found = np.full(len(ascending), np.nan, np.float32)
        for pixels, values in self.blocks(self.nside, ascending):
            first, last = np.searchsorted(ascending, [pixels[0], pixels[-1] + 1])
            place = np.searchsorted(pixels, ascending[first:last])
            here = pixels[place] == ascending[first:last]
            found[first:last][here] = values[place[here]]
        return found

    def values_at(self, ra_deg: Any, dec_deg: Any) -> np.ndarray:
        """Value of the map at each position, NaN where it has none; see :func:`pixels_at`."""
        pixels = pixels_at(ra_deg, dec_deg, nside=self.nside, nest=self.nest)
        return self.values_of(pixels)
