"""Where the mini-Balrog looks: coadd tiles on the sky, their pixel grids, the injection grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.errors import BalrogError
from data_prep.splits import REGION_NEST, REGION_NSIDE, region_of

__all__ = ["Tile", "contiguous_regions", "injection_grid", "place_tiles"]

_GRID_SPACING_ARCSEC, _GRID_JITTER_ARCSEC = 20.0, 2.5
# Tiles of one region keep this many tile sides between their centres.
_TILE_SPACING = 1.02


@dataclass(frozen=True)
class Tile:
    """A square image on the sky, gnomonic about its centre, north up, east left.

    Attributes
    ----------
    index : int
        Running number.
    region : int
        HEALPix pixel at nside 64, NESTED, that holds the whole tile.
    ra_deg, dec_deg : float
        Centre.
    pixels : int
        Pixels along a side.
    scale : float
        Size of a pixel, arcsec.
    """

    index: int
    region: int
    ra_deg: float
    dec_deg: float
    pixels: int
    scale: float

    @property
    def name(self) -> str:
        """Name after the centre, as DES names its tiles: MBhhmmss-ddmmss."""
        hours, minutes = self.ra_deg / 15, abs(self.dec_deg)
        first = f"{int(hours):02d}{int(hours * 60) % 60:02d}{int(hours * 3600) % 60:02d}"
        last = f"{int(minutes):02d}{int(minutes * 60) % 60:02d}{int(minutes * 3600) % 60:02d}"
        return f"MB{first}{'-' if self.dec_deg < 0 else '+'}{last}"

    @property
    def area_arcmin2(self) -> float:
        """Area of the image."""
        return (self.pixels * self.scale / 60) ** 2

    def to_sky(
        self, x: np.ndarray, y: np.ndarray, dither: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sky position of pixel positions.

        Parameters
        ----------
        x, y : float array, shape (N,)
            Pixels, 0 at the centre of the first.
        dither : (float, float)
            Pixels by which the grid is shifted against the sky.

        Returns
        -------
        ra_deg, dec_deg : float64 array, shape (N,)
        """
        middle = (self.pixels - 1) / 2
        east = -np.radians((np.asarray(x) - dither[0] - middle) * self.scale / 3600)
        north = np.radians((np.asarray(y) - dither[1] - middle) * self.scale / 3600)
        dec0 = np.radians(self.dec_deg)
        along = np.cos(dec0) - north * np.sin(dec0)
        ra = np.degrees(np.arctan2(east, along)) + self.ra_deg
        dec = np.arctan2(np.sin(dec0) + north * np.cos(dec0), np.hypot(east, along))
        return ra % 360.0, np.degrees(dec)


def contiguous_regions(count: int, ra_deg: float, dec_deg: float) -> np.ndarray:
    """Give the regions nearest to a point.

    Parameters
    ----------
    count : int
        How many.
    ra_deg, dec_deg : float
        The point.

    Returns
    -------
    int64 array, shape (count,)
        Pixels at nside 64, NESTED, ascending.
    """
    import healpy

    all_regions = np.arange(12 * REGION_NSIDE**2)
    centres = healpy.pix2vec(REGION_NSIDE, all_regions, nest=REGION_NEST)
    towards = healpy.ang2vec(ra_deg, dec_deg, lonlat=True)
    return np.sort(np.argsort(-np.tensordot(towards, centres, 1), kind="stable")[:count])


def place_tiles(
    count: int,
    pixels: int,
    scale: float,
    covered: np.ndarray,
    nside: int,
    rng: np.random.Generator,
) -> list[Tile]:
    """Place tiles, as evenly over the regions as they have room, each within one region.

    Parameters
    ----------
    count : int
        How many tiles.
    pixels, scale : int, float
        Of each tile.
    covered : int64 array, shape (P,)
        HEALPix pixels (NESTED, ascending) in which every map has a value.
    nside : int
        Resolution of `covered`.
    rng : numpy.random.Generator
        Picks the places.

    Returns
    -------
    list of Tile
        In ascending region, numbered from 0.

    Raises
    ------
    BalrogError
        If the covered sky has no room for so many tiles.
    """
    of_region = covered // (nside // REGION_NSIDE) ** 2
    regions = np.unique(of_region)
    room = {
        int(region): _places(int(region), pixels, scale, covered[of_region == region], nside)
        for region in regions
    }
    free = sum(len(places) for places in room.values())
    if free < count:
        raise BalrogError(
            f"{count} tiles of {pixels} pixels are wanted; the {len(covered):,} pixels with all "
            f"maps, in {len(regions)} regions, have room for {free}; give --tiles {free} or "
            "smaller --tile-pixels"
        )
    order = {region: rng.permutation(len(places)) for region, places in room.items()}
    taken = _share(count, {region: len(places) for region, places in room.items()}, rng)
    chosen = [
        (region, room[region][place])
        for region in sorted(room)
        for place in order[region][: taken[region]]
    ]
    return [
        Tile(index, region, float(centre[0]), float(centre[1]), pixels, scale)
        for index, (region, centre) in enumerate(chosen)
    ]


def _share(count: int, room: dict[int, int], rng: np.random.Generator) -> dict[int, int]:
    """Deal tiles to regions, one each per round, while they have room."""
    taken = dict.fromkeys(room, 0)
    while count:
        open_regions = [region for region in sorted(room) if taken[region] < room[region]]
        for place in rng.permutation(len(open_regions))[:count]:
            taken[open_regions[place]] += 1
            count -= 1
    return taken


def _places(region: int, pixels: int, scale: float, covered: np.ndarray, nside: int) -> np.ndarray:
    """Centres in a region whose tile lies in it and on covered sky: (ra, dec), shape (K, 2)."""
    import healpy

    ra, dec = healpy.pix2ang(REGION_NSIDE, region, nest=REGION_NEST, lonlat=True)
    side = pixels * _TILE_SPACING
    whole = int(np.ceil(1.4 * healpy.nside2resol(REGION_NSIDE, arcmin=True) * 60 / scale / side))
    frame = Tile(-1, region, float(ra), float(dec), 1, scale)
    steps = (np.arange(whole) - (whole - 1) / 2) * side
    centre_x, centre_y = (axis.ravel() for axis in np.meshgrid(steps, steps))
    reach = np.array([-0.5, -0.25, 0.0, 0.25, 0.5]) * pixels
    offset_x, offset_y = (axis.ravel() for axis in np.meshgrid(reach, reach))
    points = frame.to_sky(
        (centre_x[:, None] + offset_x).ravel(), (centre_y[:, None] + offset_y).ravel()
    )
    inside = region_of(*points) == region
    here = healpy.ang2pix(nside, *points, nest=True, lonlat=True)
    inside &= np.isin(here, covered)
    good = inside.reshape(len(centre_x), -1).all(axis=1)
    return np.stack(frame.to_sky(centre_x[good], centre_y[good]), axis=1)


def injection_grid(
    tile: Tile, margin: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hexagonal grid 20 arcsec apart, jittered by up to 2.5 arcsec in x and y, at a random offset.

    Parameters
    ----------
    tile : Tile
        The tile.
    margin : int
        Pixels to stay away from the image's edges.
    rng : numpy.random.Generator
        Draws offset and jitter.

    Returns
    -------
    x, y : float64 array, shape (N,)
        Pixels, of the grid that is not dithered.
    """
    step = _GRID_SPACING_ARCSEC / tile.scale
    rows = int(np.ceil(tile.pixels / (step * np.sqrt(0.75)))) + 2
    columns = int(np.ceil(tile.pixels / step)) + 2
    column, row = (axis.ravel() for axis in np.meshgrid(np.arange(columns), np.arange(rows)))
    start_x, start_y = rng.uniform(-1.0, 0.0, 2)
    x = (column + 0.5 * (row % 2) + start_x) * step
    y = (row + start_y) * step * np.sqrt(0.75)
    jitter = rng.uniform(-1.0, 1.0, (2, len(x))) * _GRID_JITTER_ARCSEC / tile.scale
    x, y = x + jitter[0], y + jitter[1]
    low, high = margin, tile.pixels - 1 - margin
    inside = (x >= low) & (x <= high) & (y >= low) & (y <= high)
    return x[inside], y[inside]
