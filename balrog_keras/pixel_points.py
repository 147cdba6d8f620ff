"""Where a sky is painted: the pixels that survey property maps cover, and points inside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.errors import BalrogError
from data_prep.survey_maps import SurveyMap, SurveyMaps

__all__ = ["PixelPoints", "covered_pixels"]


def covered_pixels(maps: SurveyMaps, nside: int) -> np.ndarray:
    """Pixels in which every map has a value somewhere.

    Parameters
    ----------
    maps : SurveyMaps
        Read block by block, in memory that grows with the number of pixels found alone.
    nside : int
        Resolution wanted, NESTED.

    Returns
    -------
    int64 array
        Ascending.

    Raises
    ------
    BalrogError
        If `nside` is no power of 2, a map is damaged, or no pixel is covered.
    """
    _require_nested(nside, "the maps to be painted")
    covered: np.ndarray | None = None
    for survey_map in {str(each.path): each for each in maps.maps.values()}.values():
        here = _covered_by(survey_map, nside)
        covered = here if covered is None else np.intersect1d(covered, here, assume_unique=True)
    if covered is None or not covered.size:
        raise BalrogError(
            f"{', '.join(str(path) for path in maps.paths)}: the survey property maps must overlap "
            "somewhere; no pixel has a value in all of them"
        )
    return covered


def _covered_by(survey_map: SurveyMap, nside: int) -> np.ndarray:
    import healpy

    _require_nested(survey_map.nside, str(survey_map.path))
    found = np.empty(0, np.int64)
    for pixels, values in survey_map.blocks():
        good = pixels[np.isfinite(values)]
        nested = good if survey_map.nest else healpy.ring2nest(survey_map.nside, good)
        found = np.union1d(found, _change_nside(nested, survey_map.nside, nside))
    return found


def _change_nside(pixels: np.ndarray, nside: int, to_nside: int) -> np.ndarray:
    if to_nside <= nside:
        return np.unique(pixels // (nside // to_nside) ** 2)
    children = (to_nside // nside) ** 2
    return (pixels[:, None] * children + np.arange(children)).ravel()


def _require_nested(nside: int, what: str) -> None:
    if nside < 1 or nside & (nside - 1):
        raise BalrogError(f"the nside of {what} must be a power of 2, found {nside}")


@dataclass(frozen=True)
class PixelPoints:
    """Points in pixels, and the truth galaxies put there: functions of (seed, pixel) alone.

    The points are spread evenly over a pixel's sub-pixels at the resolution of the finest map,
    so that a pixel's statistic is the mean over the survey properties inside of it; that of
    averaged properties would differ, as completeness and scatter are not linear in them, and
    would not know how much of the pixel is masked. The galaxies are a systematic sample of the
    truth in its order (from a random start every T/K-th row), in random order over the points:
    every pixel sees the whole range of brightness, with far less scatter than independent draws.

    Attributes
    ----------
    nside : int
        Of the pixels, NESTED.
    map_nside : int
        Of the finest map.
    draws : int
        Points in each pixel, K.
    seed : int
        Another seed is another set of points.
    """

    nside: int
    map_nside: int
    draws: int
    seed: int

    def positions(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the points, degrees: ra and dec, float64, shape (P, K)."""
        import healpy

        inside = max(self.map_nside // self.nside, 1) ** 2
        sub_pixels = np.empty((len(pixels), self.draws), np.int64)
        for row, pixel in zip(sub_pixels, pixels, strict=True):
            random = self._random(pixel, 0)
            even = (random.permutation(self.draws) + random.random()) / self.draws
            row[:] = pixel * inside + (even * inside).astype(np.int64)
        nside = max(self.map_nside, self.nside)
        ra, dec = healpy.pix2ang(nside, sub_pixels, nest=True, lonlat=True)
        return ra, dec

    def galaxies(self, pixels: np.ndarray, rows: int) -> np.ndarray:
        """Which of `rows` truth galaxies each point gets: int64, ascending, shape (P, K)."""
        start = np.array([[self._random(pixel, 1).random()] for pixel in pixels])
        return ((start + np.arange(self.draws)) / self.draws * rows).astype(np.int64)

    def row_ids(self, pixels: np.ndarray) -> np.ndarray:
        """Identity of each point for the emulator's noise: int64, shape (P, K)."""
        return np.asarray(pixels, np.int64)[:, None] * self.draws + np.arange(self.draws)

    def _random(self, pixel: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed % 2**64, self.nside, int(pixel), purpose])
