"""What is near an object on the sky: projected density, and flux of the nearest neighbour.

The sky can be worked through cell by cell: :func:`sky_cells` gives each cell its own objects and
those within reach beyond its edge, so that :func:`neighbor_values` of a cell is that of the sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.map_formats.map_file import pixels_at
from data_prep.sources import Neighbor

__all__ = ["SELF_ARCSEC", "neighbor_density", "neighbor_flux_ratio", "neighbor_values", "sky_cells"]

# What lies this near to an object is that object, listed once or more often.
SELF_ARCSEC = 1e-3

_ARCSEC = np.pi / (180 * 3600)
# Pixels that do not touch are further apart than 0.68 times the square root of a pixel's area:
# measured on the outlines of all pixels of nside 1 to 32, where it falls towards that.
_LEAST_WIDTH = 0.6


def neighbor_density(
    ra_deg: Any,
    dec_deg: Any,
    neighbor_ra_deg: Any,
    neighbor_dec_deg: Any,
    radius_arcsec: float,
    exclude_self: bool = True,
) -> np.ndarray:
    """Neighbours per area around each object.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (N,)
        Position of the objects, ra in [0, 360), dec in [-90, 90].
    neighbor_ra_deg, neighbor_dec_deg : array_like, shape (M,)
        Position of what may be near.
    radius_arcsec : float
        Neighbours are at most this far.
    exclude_self : bool
        Whether the objects are among the neighbours: what lies within :data:`SELF_ARCSEC` of an
        object is then the object itself and no neighbour.

    Returns
    -------
    float32 array, shape (N,)
        In arcmin^-2; the area is that of the plane, right to 1e-6 within 600 arcsec.

    Raises
    ------
    BalrogError
        If a position is out of range or not a number.

    Examples
    --------
    >>> neighbor_density([10.0], [0.0], [10.0, 10.01], [0.0, 0.0], 60).round(3)
    array([0.318], dtype=float32)
    """
    points, others = _points(ra_deg, dec_deg), _points(neighbor_ra_deg, neighbor_dec_deg)
    return _density(points, others, radius_arcsec, exclude_self)


def neighbor_flux_ratio(
    ra_deg: Any,
    dec_deg: Any,
    mag: Any,
    neighbor_ra_deg: Any,
    neighbor_dec_deg: Any,
    neighbor_mag: Any,
    radius_arcsec: float,
    exclude_self: bool = True,
) -> np.ndarray:
    """Flux of the nearest neighbour over that of the object.

    Parameters
    ----------
    ra_deg, dec_deg, mag : array_like, shape (N,)
        Position and magnitude of the objects.
    neighbor_ra_deg, neighbor_dec_deg, neighbor_mag : array_like, shape (M,)
        The same of what may be near; those without a magnitude (NaN) do not count.
    radius_arcsec, exclude_self : float, bool
        See :func:`neighbor_density`.

    Returns
    -------
    float32 array, shape (N,)
        0 where nothing is near; NaN where the object has no magnitude. Of neighbours equally near
        the brightest counts.

    Raises
    ------
    BalrogError
        If a position is out of range or not a number.

    Examples
    --------
    >>> neighbor_flux_ratio([10.0], [0.0], [22.5], [10.0, 10.001], [0.0, 0.0], [22.5, 20.0], 5)
    array([10.], dtype=float32)
    """
    points, others = _points(ra_deg, dec_deg), _points(neighbor_ra_deg, neighbor_dec_deg)
    return _flux_ratio(points, mag, others, neighbor_mag, radius_arcsec, exclude_self)


def neighbor_values(
    ra_deg: Any,
    dec_deg: Any,
    mag: np.ndarray,
    neighbor_ra_deg: Any,
    neighbor_dec_deg: Any,
    neighbor_mag: np.ndarray,
    neighbors: Sequence[Neighbor],
    exclude_self: bool = True,
) -> np.ndarray:
    """Several neighbour columns at once, of the whole sky or of one cell of :func:`sky_cells`.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (N,)
        Position of the objects.
    mag : array, shape (N, F)
        Their magnitudes: one column for each "flux_ratio" of `neighbors`, in order.
    neighbor_ra_deg, neighbor_dec_deg, neighbor_mag : array_like, shape (M,); array, shape (M, F)
        The same of what may be near.
    neighbors : sequence of Neighbor
        Statistics and radii.
    exclude_self : bool
        See :func:`neighbor_density`.

    Returns
    -------
    float32 array, shape (N, len(neighbors))
    """
    points, others = _points(ra_deg, dec_deg), _points(neighbor_ra_deg, neighbor_dec_deg)
    found = np.empty((len(points), len(neighbors)), np.float32)
    column = 0
    for index, neighbor in enumerate(neighbors):
        radius = neighbor.radius_arcsec
        if neighbor.statistic == "density":
            found[:, index] = _density(points, others, radius, exclude_self)
        else:
            own, theirs = mag[:, column], neighbor_mag[:, column]
            found[:, index] = _flux_ratio(points, own, others, theirs, radius, exclude_self)
            column += 1
    return found


def sky_cells(
    ra_deg: Any, dec_deg: Any, margin_arcsec: float, nside: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of the sky that each object is in or near.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (N,)
        Position of the objects.
    margin_arcsec : float
        Every cell of which a point is at most this far is among an object's cells; some that are
        a few times as far are, too.
    nside : int
        Of the cells, numbered NESTED.

    Returns
    -------
    index : int64 array, shape (P,)
        Row of the object; first that of every object in its own cell, in order.
    cell : int64 array, shape (P,)
        The cell.
    is_own : bool array, shape (P,)
        Whether the object lies in it.

    Raises
    ------
    BalrogError
        If a position is out of range or not a number, or cells are too small for the margin.
    """
    fine, levels = _fine_nside(margin_arcsec, nside)
    pixel = pixels_at(ra_deg, dec_deg, nside=fine, nest=True)
    own = pixel >> 2 * levels
    rows = np.flatnonzero(_at_edge(pixel, levels))
    rows, cells = _cells_around(pixel, rows, fine, levels)
    index = np.concatenate([np.arange(len(own)), rows])
    is_own = np.arange(len(index)) < len(own)
    return index, np.concatenate([own, cells]), is_own


def _fine_nside(margin_arcsec: float, nside: int) -> tuple[int, int]:
    """Finest nside whose pixels are wider than the margin, and its levels below the cells."""
    import healpy

    levels = 0
    while _LEAST_WIDTH * healpy.nside2resol(nside << levels) >= margin_arcsec * _ARCSEC:
        levels += 1
    if levels == 0:
        raise BalrogError(
            f"cells of nside {nside} are {_LEAST_WIDTH * healpy.nside2resol(nside) / _ARCSEC:.0f} "
            f"arcsec wide, less than the margin of {margin_arcsec:g} arcsec; take a smaller nside"
        )
    # HEALPix numbers fit 64 bits up to nside 2**29.
    levels = min(levels - 1, 29 - nside.bit_length() + 1)
    return nside << levels, levels


def _at_edge(pixel: np.ndarray, levels: int) -> np.ndarray:
    """Whether a NESTED pixel is in the outermost row or column of its cell."""
    ones = (1 << 2 * levels) - 1
    x, y = pixel & (ones // 3), pixel & (ones // 3 << 1)
    at_edge: np.ndarray = (x == 0) | (x == ones // 3) | (y == 0) | (y == ones // 3 << 1)
    return at_edge


def _cells_around(
    pixel: np.ndarray, rows: np.ndarray, fine: int, levels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of row and other cell that the row's pixel touches, each once."""
    import healpy

    at_edge, place = np.unique(pixel[rows], return_inverse=True)
    around = healpy.get_all_neighbours(fine, at_edge, nest=True).T
    own = (at_edge >> 2 * levels)[:, None]
    # Where only seven pixels touch, the eighth is -1.
    cells = np.sort(np.where(around < 0, own, around >> 2 * levels), axis=1)
    other = (cells != own) & (np.diff(cells, axis=1, prepend=-1) > 0)
    pair, column = np.nonzero(other[place])
    return rows[pair], cells[place[pair], column]


def _points(ra_deg: Any, dec_deg: Any) -> np.ndarray:
    """Unit vectors, shape (N, 3)."""
    import healpy

    ra, dec = (np.atleast_1d(np.asarray(angle, np.float64)) for angle in (ra_deg, dec_deg))
    pixels_at(ra, dec, nside=1, nest=True)
    vectors: np.ndarray = healpy.ang2vec(ra, dec, lonlat=True)
    return vectors.reshape(-1, 3)


def _chord(arcsec: float) -> float:
    return float(2 * np.sin(arcsec * _ARCSEC / 2))


def _density(
    points: np.ndarray, others: np.ndarray, radius_arcsec: float, exclude_self: bool
) -> np.ndarray:
    from scipy.spatial import cKDTree

    tree = cKDTree(others)
    count = tree.query_ball_point(points, _chord(radius_arcsec), return_length=True)
    if exclude_self:
        count = count - tree.query_ball_point(points, _chord(SELF_ARCSEC), return_length=True)
    density: np.ndarray = count / (np.pi * (radius_arcsec / 60) ** 2)
    return density.astype(np.float32)


def _flux_ratio(
    points: np.ndarray,
    mag: Any,
    others: np.ndarray,
    other_mag: Any,
    radius_arcsec: float,
    exclude_self: bool,
) -> np.ndarray:
    mag, other_mag = np.asarray(mag, np.float64), np.asarray(other_mag, np.float64)
    known = np.isfinite(other_mag)
    least = _chord(SELF_ARCSEC) if exclude_self else -1.0
    nearest = _nearest_mag(points, others[known], other_mag[known], _chord(radius_arcsec), least)
    ratio = 10 ** (0.4 * (mag - nearest))
    return np.where(np.isfinite(mag), ratio, np.nan).astype(np.float32)


def _nearest_mag(
    points: np.ndarray, others: np.ndarray, mag: np.ndarray, radius: float, least: float
) -> np.ndarray:
    """Magnitude of the nearest of `others` between the two distances, infinity if none is."""
    from scipy.spatial import cKDTree

    tree, found = cKDTree(others), np.full(len(points), np.inf)
    mag = np.append(mag, np.inf)
    rows, count = np.arange(len(points)), 2
    while rows.size:
        distance, index = tree.query(
            points[rows], k=count, distance_upper_bound=np.nextafter(radius, np.inf)
        )
        distance = np.where(distance > least, distance, -1.0)
        first = np.where(distance >= 0, distance, np.inf).min(axis=1)
        equal = distance == first[:, None]
        found[rows] = np.where(equal, mag[index], np.inf).min(axis=1)
        # Where all that were asked for are the object itself or equally near, ask for more.
        open_ended = np.isfinite(distance[:, -1]) & (distance[:, -1] <= first)
        rows, count = rows[open_ended], 2 * count
    return found
