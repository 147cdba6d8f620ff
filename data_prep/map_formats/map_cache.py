"""A map looked up again and again: regions that were read stay in memory, up to a limit."""

from __future__ import annotations

import numpy as np

from data_prep.map_formats.map_file import SurveyMap
from data_prep.map_formats.map_healsparse import SparseMap
from data_prep.map_formats.map_regions import RegionGrid, nested_blocks, runs

__all__ = ["CachedMap"]


class CachedMap:
    """A map whose regions, once read, are kept.

    A gzipped file or a list of pixels is read from front to back whatever is wanted of it, so
    all its regions are kept that have room. A full-sky FITS file is left to the operating
    system's own cache.

    Parameters
    ----------
    survey_map : SurveyMap
        The map.
    limit_bytes : int
        Most memory for its regions; positions in others are read from the file each time.
    """

    def __init__(self, survey_map: SurveyMap, limit_bytes: int) -> None:
        self.map = survey_map
        self.nside, self.nest = survey_map.nside, survey_map.nest
        self.nested = self.nest if survey_map.mapped else True
        self._grid = RegionGrid(survey_map.nside)
        self._room = limit_bytes // (4 * self._grid.size)
        self._kept: dict[int, np.ndarray] = {}
        self._known = np.zeros(self._grid.count, bool)

    def values_of(self, ascending: np.ndarray) -> np.ndarray:
        """Value in each pixel (ascending, numbered as :attr:`nested` says), float32, (N,)."""
        if self.map.mapped:
            return self.map.values_of(ascending)
        regions = self._grid.regions_of(ascending)
        # Ascending already: cheaper than np.unique.
        self._read(np.array([region for region, *_ in runs(regions)], np.int64))
        found = np.full(len(ascending), np.nan, np.float32)
        for region, first, last in runs(regions):
            if region in self._kept:
                within = ascending[first:last] - region * self._grid.size
                found[first:last] = self._kept[region][within]
        unknown = ~self._known[regions]
        if unknown.any():
            found[unknown] = self._values_in_file(ascending[unknown])
        return found

    def _values_in_file(self, nested_pixels: np.ndarray) -> np.ndarray:
        import healpy

        if self.nest:
            return self.map.values_of(nested_pixels)
        return self.map.values_of(healpy.nest2ring(self.nside, nested_pixels))

    def _read(self, wanted: np.ndarray) -> None:
        """Keep the wanted regions, and what else is read on the way, as far as there is room."""
        wanted = wanted[~self._known[wanted]][: self._room]
        if not wanted.size:
            return
        reserved = set(wanted.tolist())
        whole_map = not isinstance(self.map.source, SparseMap)
        for pixels, values in nested_blocks(self.map, self._grid, wanted):
            for region, first, last in runs(self._grid.regions_of(pixels)):
                if self._known[region]:
                    continue
                if region not in self._kept:
                    if region not in reserved and self._room <= len(reserved):
                        whole_map = False
                        continue
                    reserved.discard(region)
                    self._room -= 1
                    self._kept[region] = np.full(self._grid.size, np.nan, np.float32)
                within = pixels[first:last] - region * self._grid.size
                self._kept[region][within] = values[first:last]
        self._known[[*wanted, *self._kept]] = True
        if whole_map:
            self._known[:] = True
