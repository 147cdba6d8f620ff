"""The pixels of a map grouped by region of the sky, so that only occupied regions are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.map_formats.map_file import SurveyMap
from data_prep.splits import REGION_NSIDE

__all__ = ["RegionGrid", "nested_blocks", "runs"]


@dataclass(frozen=True)
class RegionGrid:
    """Regions as runs of NESTED pixels; a map no finer than the regions is one region.

    Attributes
    ----------
    nside : int
        Resolution of the pixels.
    """

    nside: int

    @property
    def whole_sky(self) -> bool:
        """Whether the whole sky is one region, number 0."""
        return self.nside <= REGION_NSIDE

    @property
    def size(self) -> int:
        """Pixels in a region."""
        return 12 * self.nside**2 if self.whole_sky else (self.nside // REGION_NSIDE) ** 2

    @property
    def count(self) -> int:
        """Regions on the sky."""
        return 1 if self.whole_sky else 12 * REGION_NSIDE**2

    def regions_of(self, pixels: np.ndarray) -> np.ndarray:
        """Region of each NESTED pixel, int64."""
        return pixels // self.size

    def only(self, regions: np.ndarray) -> np.ndarray:
        """Regions of this grid, ascending, for regions of nside 64."""
        return np.zeros(1, np.int64) if self.whole_sky else np.unique(regions)


def nested_blocks(
    survey_map: SurveyMap, grid: RegionGrid, regions: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of a map in NESTED order; of a HealSparse map those that touch `regions`.

    Yields
    ------
    pixels, values : int64 array, float32 array, shape (P,)
        As :meth:`SurveyMap.blocks`, numbered NESTED.
    """
    import healpy

    area = (None, None) if grid.whole_sky else (REGION_NSIDE, regions)
    for pixels, values in survey_map.blocks(*area):
        if not survey_map.nest:
            pixels = healpy.ring2nest(grid.nside, pixels)
            order = np.argsort(pixels)
            pixels, values = pixels[order], values[order]
        yield pixels, values


def runs(regions: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Each run of equal regions: the region, its first place and the one after its last."""
    starts = np.flatnonzero(np.diff(regions, prepend=-1))
    stops = np.append(starts, len(regions))[1:]
    return zip(regions[starts].tolist(), starts.tolist(), stops.tolist(), strict=True)
