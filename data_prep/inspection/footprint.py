"""Where on the sky a map or a catalogue is, and how dense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.map_formats.map_file import pixels_at

__all__ = ["Bounds", "Footprint"]

_FINEST = 1024
_COARSEST = 16
# The ends of a footprint of more pixels are looked for among coarser ones.
_MOST_PIXELS = 400_000
# A footprint that leaves less of a circle of latitude free than this goes all around.
_LEAST_GAP_DEG = 2.0


@dataclass(frozen=True)
class Bounds:
    """A range of right ascension, which may cross 0, and of declination; degrees.

    Attributes
    ----------
    ra_start, ra_width : float
        From `ra_start`, in [0, 360), eastwards.
    dec_min, dec_max : float
        Ends.
    """

    ra_start: float
    ra_width: float
    dec_min: float
    dec_max: float

    def __str__(self) -> str:
        end = self.ra_start + self.ra_width
        across = " (across 0)" if end > 360 else ""
        return (
            f"ra {self.ra_start:.2f} to {end if end <= 360 else end - 360:.2f}{across}, "
            f"dec {self.dec_min:.2f} to {self.dec_max:.2f}"
        )


class Footprint:
    """Number of objects in each pixel of the sky.

    Parameters
    ----------
    nside : int
        Resolution of what is added; counted at 1024 if it is finer. NESTED.

    Attributes
    ----------
    nside : int
        Resolution of :attr:`counts`.
    counts : int32 array, shape (12 nside**2,)
        Objects in each pixel, NESTED.
    """

    def __init__(self, nside: int = _FINEST) -> None:
        self.nside = min(nside, _FINEST)
        self.counts = np.zeros(12 * self.nside**2, np.int32)

    def add_positions(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> int:
        """Count objects, and return how many have no position on the sky; ra is wrapped."""
        ra, dec = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
        good = (np.abs(ra) <= 360) & (np.abs(dec) <= 90)
        pixels = pixels_at(ra[good] % 360, dec[good], nside=self.nside, nest=True)
        self.add_pixels(pixels, self.nside)
        return int(np.count_nonzero(~good))

    def add_pixels(self, pixels: np.ndarray, nside: int) -> None:
        """Count NESTED pixels, no coarser than this footprint."""
        pixels, counts = np.unique(pixels // (nside // self.nside) ** 2, return_counts=True)
        self.counts[pixels] += counts.astype(np.int32)

    def coarse(self, objects: float) -> Footprint:
        """The finest footprint, down to nside 16, whose median pixel holds so many objects."""
        result = self
        while result.nside > _COARSEST and np.median(result.counts[result.counts > 0]) < objects:
            result = result._halved()
        return result

    def _halved(self) -> Footprint:
        coarser = Footprint(self.nside // 2)
        coarser.counts = self.counts.reshape(-1, 4).sum(axis=1, dtype=np.int32)
        return coarser

    @property
    def area_deg2(self) -> float:
        """Area of the occupied pixels."""
        import healpy

        occupied = np.count_nonzero(self.counts)
        return float(occupied * healpy.nside2pixarea(self.nside, degrees=True))

    def density_at(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
        """Objects per square degree in the pixel of each position, NaN where none is."""
        import healpy

        counts = self.counts[pixels_at(ra_deg, dec_deg, nside=self.nside, nest=True)]
        density = counts / healpy.nside2pixarea(self.nside, degrees=True)
        return np.where(counts > 0, density, np.nan)

    def bounds(self) -> Bounds | None:
        """The smallest range that holds every occupied pixel, or None if none is."""
        import healpy

        if np.count_nonzero(self.counts) > _MOST_PIXELS:
            return self._halved().bounds()
        pixels = np.flatnonzero(self.counts)
        if not pixels.size:
            return None
        ra, dec = healpy.pix2ang(self.nside, pixels, nest=True, lonlat=True)
        half = np.degrees(healpy.nside2resol(self.nside)) / 2
        dec_min, dec_max = max(dec.min() - half, -90.0), min(dec.max() + half, 90.0)
        half_ra = half / max(np.cos(np.radians(max(-dec_min, dec_max))), half / 180)
        ra = np.unique(ra)
        gaps = np.diff(ra, append=ra[0] + 360)
        widest = int(np.argmax(gaps))
        width = 360 - gaps[widest] + 2 * half_ra
        if width > 360 - _LEAST_GAP_DEG:
            return Bounds(0.0, 360.0, float(dec_min), float(dec_max))
        start = (ra[(widest + 1) % len(ra)] - half_ra) % 360
        return Bounds(float(start), float(width), float(dec_min), float(dec_max))
