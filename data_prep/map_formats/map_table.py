"""A HEALPix map as a FITS table: one value for every pixel in order, or a list of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import Hdu, is_gzipped, require_checksums, whole
from data_prep.map_formats.map_cells import Cells, stream_cells, table_cells
from data_prep.map_formats.map_header import choose_column, pixel_column
from data_prep.map_formats.map_values import Encoding

__all__ = ["HealpixTable", "last_of_each"]


@dataclass(frozen=True)
class HealpixTable:
    """Where the pixels and values of a map lie in its table.

    Attributes
    ----------
    values : Cells
        The values.
    pixels : Cells or None
        Which pixel each value is of; None: every pixel of the sky in order.
    column : int
        Column of the values in the table.
    encoding : Encoding
        How the numbers become values.
    first_pixel : int
        What is added to the numbers of pixels (TZERO of unsigned whole numbers).
    gzipped : bool
        Whether the file can only be read from front to back.
    """

    values: Cells
    pixels: Cells | None
    column: int
    encoding: Encoding
    first_pixel: int
    gzipped: bool

    @classmethod
    def of_header(cls, path: Path, hdu: Hdu, column: str | int | None) -> HealpixTable:
        """Find pixels and values in a table by its header.

        Raises
        ------
        BalrogError
            If a column is missing or holds no numbers.
        """
        columns, header = table_cells(path, hdu), hdu.header
        names = list(columns)
        of_pixels = pixel_column(path, names, header)
        wanted = [name for place, name in enumerate(names) if place != of_pixels]
        name = wanted[choose_column(path, wanted, column)]
        place, values = names.index(name), columns[name]
        if not values.dtype or values.repeat < 1:
            raise BalrogError(
                f"{path}: a map's column {name} must hold numbers, found TFORM "
                f"{header[f'TFORM{place + 1}']}"
            )
        encoding, gzipped = Encoding.of_column(header, place), is_gzipped(path)
        if of_pixels is None:
            return cls(values, None, place, encoding, 0, gzipped)
        pixels, number = columns[names[of_pixels]], of_pixels + 1
        if np.dtype(pixels.dtype or "S1").kind not in "iu" or pixels.repeat != values.repeat:
            raise BalrogError(
                f"{path}: the pixel column of a partial map must hold one whole number for each "
                f"value, found TFORM {header[f'TFORM{number}']}"
            )
        first = int(header.get(f"TZERO{number}", 0))
        return cls(values, pixels, place, encoding, first, gzipped)

    @property
    def layout(self) -> str:
        """``"full"`` or ``"partial"``."""
        return "full" if self.pixels is None else "partial"

    @property
    def mapped(self) -> bool:
        """Whether any pixel's value can be looked up without reading others."""
        return self.pixels is None and not self.gzipped

    def require_sound(self, nside: int) -> None:
        """Demand stated checksums, and of a full-sky map one value for each pixel.

        Raises
        ------
        BalrogError
            If it is not so.
        """
        path, size = self.values.path, 12 * nside**2
        with whole(path):
            require_checksums(path)
        if self.pixels is None and self.values.size != size:
            raise BalrogError(
                f"{path}: a full-sky map of nside {nside} has {size:,} pixels, but its table "
                f"{self.values.size:,} values; its NSIDE is wrong"
            )

    def take(self, ascending: np.ndarray) -> np.ndarray:
        """Values of ascending pixels of a map that is :attr:`mapped`, float32."""
        with whole(self.values.path):
            return self.encoding.clean(self.values.take(ascending))

    def blocks(self, nside: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the whole map in bounded memory.

        Yields
        ------
        pixels, values : int64 array, float32 array, shape (P,)
            Pixels ascending within each block; of a pixel that comes again the last counts.

        Raises
        ------
        BalrogError
            If the file is damaged or a pixel out of range.
        """
        columns = [self.values] if self.pixels is None else [self.values, self.pixels]
        with whole(self.values.path):
            for first, arrays in stream_cells(columns):
                values = self.encoding.clean(arrays[0])
                if len(arrays) == 1:
                    start = first * self.values.repeat
                    yield np.arange(start, start + len(values)), values
                else:
                    yield last_of_each(self._checked(arrays[1], nside), values)

    def _checked(self, numbers: np.ndarray, nside: int) -> np.ndarray:
        pixels, size = numbers.astype(np.int64).ravel() + self.first_pixel, 12 * nside**2
        if pixels.size and (pixels.min() < 0 or pixels.max() >= size):
            wrong = pixels[(pixels < 0) | (pixels >= size)][0]
            raise BalrogError(
                f"{self.values.path}: its NSIDE is wrong or it is damaged: nside {nside} has "
                f"{size:,} pixels, found pixel {wrong:,}"
            )
        return pixels


def last_of_each(pixels: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels ascending with their values; of a pixel listed twice the last, as in healpy."""
    if (pixels[1:] > pixels[:-1]).all():
        return pixels, values
    order = np.argsort(pixels, kind="stable")
    pixels, values = pixels[order], values[order]
    last = np.append(np.diff(pixels) > 0, True)
    return pixels[last], values[last]
