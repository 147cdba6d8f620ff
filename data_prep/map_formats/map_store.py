"""A map's values on disk, ready to be looked up at random positions by any process."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import atomic_path
from data_prep.map_formats.fits_stream import whole
from data_prep.map_formats.map_cells import Cells
from data_prep.map_formats.map_file import SurveyMap, pixels_at
from data_prep.map_formats.map_regions import RegionGrid, nested_blocks
from data_prep.map_formats.map_table import HealpixTable
from data_prep.map_formats.map_values import Encoding

__all__ = ["MapStore"]

_DTYPE = "<f4"
_FILL_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class MapStore:
    """A map of which any value is at a known place of a file; make it with :meth:`build`.

    A full-sky FITS map that is not gzipped is its own store. Of any other map the values in some
    regions are copied, as float32, region by region in NESTED order, NaN where there is none.

    Attributes
    ----------
    nside, nest : int, bool
        Resolution and numbering of the map, which decide in which pixel a position is.
    cells : Cells
        Where the numbers are.
    encoding : Encoding
        How they become values.
    regions : int64 array or None
        Regions that were copied, ascending; None: the map's own file, in its own numbering.
    """

    nside: int
    nest: bool
    cells: Cells
    encoding: Encoding
    regions: np.ndarray | None

    @classmethod
    def build(
        cls, survey_map: SurveyMap, regions: np.ndarray, path: str | os.PathLike[str]
    ) -> MapStore:
        """Make the values in some regions available; in bounded memory.

        Parameters
        ----------
        survey_map : SurveyMap
            The map.
        regions : int64 array
            Regions of the sky, see :func:`data_prep.splits.region_of`, ascending.
        path : path
            Where a copy may be written. Its name gets a suffix that tells map and regions, so
            that a store that is there already is used again, and only for these.

        Returns
        -------
        MapStore

        Raises
        ------
        BalrogError
            If the map is damaged.
        OSError
            As raised by the write.
        """
        source = survey_map.source
        if isinstance(source, HealpixTable) and source.mapped:
            source.require_sound(survey_map.nside)
            return cls(survey_map.nside, survey_map.nest, source.values, source.encoding, None)
        grid = RegionGrid(survey_map.nside)
        regions = grid.only(np.asarray(regions, dtype=np.int64))
        target = _named(Path(path), survey_map, regions)
        if not target.exists():
            with atomic_path(target, sync=False) as partial:
                _copy(survey_map, grid, regions, partial)
        width = np.dtype(_DTYPE).itemsize
        cells = Cells(target, 0, regions.size * grid.size, width, 0, 1, _DTYPE)
        return cls(survey_map.nside, survey_map.nest, cells, Encoding(), regions)

    @property
    def nested(self) -> bool:
        """Whether :meth:`values_of` wants NESTED pixels."""
        return self.nest if self.regions is None else True

    def values_of(self, ascending: np.ndarray) -> np.ndarray:
        """Value in each pixel.

        Parameters
        ----------
        ascending : int64 array, shape (N,)
            Pixels, ascending, numbered as :attr:`nested` says.

        Returns
        -------
        float32 array, shape (N,)
            NaN where the map has none, or outside of the regions copied.

        Raises
        ------
        BalrogError
            If the file is gone or was cut.
        """
        if self.regions is None:
            return self._take(ascending)
        grid, found = RegionGrid(self.nside), np.full(len(ascending), np.nan, np.float32)
        place = _places(grid, self.regions, ascending)
        found[place >= 0] = self._take(place[place >= 0])
        return found

    def values_at(self, ra_deg: Any, dec_deg: Any) -> np.ndarray:
        """Value at each position, float32, shape (N,); NaN off the map or the regions."""
        import healpy

        pixels = pixels_at(ra_deg, dec_deg, nside=self.nside, nest=self.nest)
        if self.nested and not self.nest:
            pixels = healpy.ring2nest(self.nside, pixels)
        order = np.argsort(pixels)
        found = np.empty(len(pixels), np.float32)
        found[order] = self.values_of(pixels[order])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Description in JSON's types."""
        regions = None if self.regions is None else self.regions.tolist()
        cells = dataclasses.asdict(self.cells) | {"path": str(self.cells.path)}
        encoding = dataclasses.asdict(self.encoding)
        return {"nside": self.nside, "nest": self.nest, "cells": cells, "encoding": encoding,
                "regions": regions}  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> MapStore:
        """The store that :meth:`to_dict` described."""
        cells = Cells(**content["cells"] | {"path": Path(content["cells"]["path"])})
        regions = content["regions"]
        return cls(
            content["nside"],
            content["nest"],
            cells,
            Encoding(**content["encoding"]),
            None if regions is None else np.asarray(regions, dtype=np.int64),
        )

    def _take(self, places: np.ndarray) -> np.ndarray:
        with whole(self.cells.path):
            return self.encoding.clean(self.cells.take(places))


def _places(grid: RegionGrid, regions: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Place of each NESTED pixel in the copy, int64; -1 if its region is not there."""
    rows = np.full(grid.count, -1, np.int64)
    rows[regions] = np.arange(regions.size)
    region = grid.regions_of(pixels)
    place = rows[region] * grid.size + (pixels - region * grid.size)
    return np.where(rows[region] < 0, -1, place)


def _copy(survey_map: SurveyMap, grid: RegionGrid, regions: np.ndarray, path: Path) -> None:
    left, empty = regions.size * grid.size, np.full(_FILL_BYTES // 4, np.nan, _DTYPE)
    with open(path, "wb") as handle:
        while left > 0:
            handle.write(empty[:left].data)
            left -= empty.size
    for pixels, values in nested_blocks(survey_map, grid, regions):
        place = _places(grid, regions, pixels)
        if (place >= 0).any():
            # Mapped anew for each block, so that written pages do not stay in memory.
            stored = np.memmap(path, _DTYPE, "r+")
            stored[place[place >= 0]] = values[place >= 0]
            del stored


def _named(path: Path, survey_map: SurveyMap, regions: np.ndarray) -> Path:
    """`path` with a digest of what is copied."""
    files = [survey_map.path]
    if survey_map.path.is_dir():
        files = sorted(part for part in survey_map.path.rglob("*") if part.is_file())
    try:
        status = [(str(part), part.stat().st_size, part.stat().st_mtime_ns) for part in files]
    except OSError as error:
        raise BalrogError(f"a map file is needed; {survey_map.path} is gone ({error})") from None
    digest = hashlib.sha256(repr((status, survey_map)).encode())
    digest.update(regions.astype("<i8").tobytes())
    return path.with_name(f"{path.name}-{digest.hexdigest()[:16]}")
