"""Maps of what a survey does to a sample of galaxies, painted by an emulator over the footprint.

In every pixel, truth galaxies are put at points inside of it, get the survey properties of these
points from the maps, and are detected and measured by the emulator. What is mapped is defined in
:mod:`balrog_keras.map_statistics`, where the points lie in :mod:`balrog_keras.pixel_points`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from balrog_keras.draw_keys import whole_number
from balrog_keras.map_statistics import LEAST_DRAWS, Draws, MagnitudePair, map_statistics
from balrog_keras.measured_cuts import MeasuredCut, passes
from balrog_keras.pixel_points import PixelPoints, covered_pixels
from balrog_keras.transforms import MAGNITUDES, reference_indices
from balrog_keras.truth_sample import TruthSample
from data_prep.errors import BalrogError
from data_prep.progress import Progress
from data_prep.schema import Schema
from data_prep.survey_maps import SurveyMaps, pixels_at

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["MapSettings", "PaintedMaps", "paint_maps"]

logger = logging.getLogger(__name__)

_BATCH_ROWS = 262_144


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """How maps are painted.

    Attributes
    ----------
    nside : int
        Of the maps, a power of 2; NESTED.
    draws : int
        Galaxies drawn in each pixel. Errors fall with its square root.
    seed : int
        Another seed is another realization.
    member : int
        Which member of an ensemble draws.

    Raises
    ------
    BalrogError
        If there are too few draws for an error, or the seed has more than 64 bits.
    """

    nside: int
    draws: int = 2_000
    seed: int = 0
    member: int = 0

    def __post_init__(self) -> None:
        whole_number("seed", self.seed)
        if self.draws < LEAST_DRAWS:
            raise BalrogError(f"--draws must be at least {LEAST_DRAWS}, found {self.draws}")


@dataclass(frozen=True)
class PaintedMaps:
    """Maps of one sky.

    Attributes
    ----------
    nside : int
        Resolution; NESTED.
    pixels : int64 array, shape (P,)
        Ascending.
    values : dict of str to float32 array, shape (P,)
        Map -> its values, NaN where it has none.
    """

    nside: int
    pixels: np.ndarray
    values: dict[str, np.ndarray]

    def values_at(self, name: str, ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
        """Values of one map at positions (degrees, shape (N,)), NaN where it has none."""
        wanted = pixels_at(ra_deg, dec_deg, nside=self.nside, nest=True)
        place = np.minimum(np.searchsorted(self.pixels, wanted), len(self.pixels) - 1)
        return np.where(self.pixels[place] == wanted, self.values[name][place], np.nan)


def paint_maps(
    emulator: Emulator,
    truth: TruthSample,
    maps: SurveyMaps,
    settings: MapSettings,
    cuts: Sequence[MeasuredCut] = (),
    batch_rows: int = _BATCH_ROWS,
) -> PaintedMaps:
    """Draw truth galaxies in every pixel that the survey property maps cover.

    Parameters
    ----------
    emulator : Emulator
        With a detection model.
    truth : TruthSample
        The galaxies.
    maps : SurveyMaps
        Of every survey property that `truth` does not have.
    settings : MapSettings
        Resolution, number of draws, seed.
    cuts : sequence of MeasuredCut
        Which detected galaxies bias, scatter and depth are about.
    batch_rows : int
        About how many galaxies are in memory at a time; does not change the maps.

    Returns
    -------
    PaintedMaps
        See :func:`balrog_keras.map_statistics.map_statistics`; with ``in_domain``, the fraction
        of galaxies that are like the training rows, if the emulator can tell.

    Raises
    ------
    BalrogError
        If the maps do not overlap, a map is damaged, the emulator has no detection model or no
        measured magnitude, or no point has usable survey properties.
    """
    painter = _Painter(emulator, truth, maps, settings, tuple(cuts))
    pixels = covered_pixels(maps, settings.nside)
    step = max(1, batch_rows // settings.draws)
    parts = []
    with Progress("paint", len(pixels), "pixels") as progress:
        for start in range(0, len(pixels), step):
            block = pixels[start : start + step]
            parts.append(painter.paint(block))
            progress.update(len(block))
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    painted = values["coverage"] > 0
    if not painted.any():
        raise BalrogError(
            f"{', '.join(str(path) for path in maps.paths)}: the survey properties must be in the "
            f"ranges of the emulator's schema; at none of {len(pixels) * settings.draws:,} points "
            "are all of them"
        )
    return PaintedMaps(
        settings.nside, pixels[painted], {name: each[painted] for name, each in values.items()}
    )


@dataclass(frozen=True)
class _Painter:
    emulator: Emulator
    truth: TruthSample
    maps: SurveyMaps
    settings: MapSettings
    cuts: tuple[MeasuredCut, ...]

    def paint(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Maps of some pixels."""
        draws, inside = self._draw(pixels)
        pairs = _pairs(self.emulator.schema)
        number, points = len(pixels), self.settings.draws
        maps = map_statistics(draws, number, points, pairs, bool(self.cuts))
        if inside is not None:
            count = np.bincount(draws.pixel, minlength=number)
            with np.errstate(invalid="ignore"):
                share = np.bincount(draws.pixel, inside, number) / count
            maps["in_domain"] = share.astype(np.float32)
        return maps

    def _draw(self, pixels: np.ndarray) -> tuple[Draws, np.ndarray | None]:
        """Galaxies at the usable points of some pixels, and which are in the training domain."""
        settings = self.settings
        nsides = [each.nside for each in self.maps.maps.values()]
        points = PixelPoints(settings.nside, max(nsides), settings.draws, settings.seed)
        condition, number = self._conditions(points, pixels)
        ids = points.row_ids(pixels).ravel()[number]
        measured, p_detect, detected = self.emulator.draw_detected(
            condition, ids, settings.seed, settings.member
        )
        selected = detected & passes(self.cuts, self.emulator.schema.measured_names, measured)
        place = np.divmod(number, settings.draws)
        draws = Draws(*place, condition, measured, p_detect, selected)
        if not self.emulator.has_domain:
            return draws, None
        return draws, self.emulator.in_domain(condition)[1]

    def _conditions(self, points: PixelPoints, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditions (N, C) at the points that have every survey property, and their numbers."""
        ra, dec = points.positions(pixels)
        galaxy = points.galaxies(pixels, len(self.truth)).ravel()
        values = self.maps.values_at(ra.ravel(), dec.ravel())
        values |= dict(zip(self.truth.names, self.truth.values[galaxy].T, strict=True))
        schema = self.emulator.schema
        good = np.ones(ra.size, bool)
        for column in schema.survey:
            low = -np.inf if column.minimum is None else column.minimum
            high = np.inf if column.maximum is None else column.maximum
            good &= (values[column.name] >= low) & (values[column.name] <= high)
        condition = np.stack([values[name][good] for name in schema.condition_names], axis=1)
        return condition, np.flatnonzero(good)


def _pairs(schema: Schema) -> list[MagnitudePair]:
    """Measured magnitudes that have a true one."""
    pairs = []
    for place, (column, reference) in enumerate(
        zip(schema.measured, reference_indices(schema), strict=True)
    ):
        if reference < 0 or column.unit not in MAGNITUDES:
            continue
        pairs.append(MagnitudePair(column.name, place, reference))
    if not pairs:
        raise BalrogError(
            f"the emulator must draw a magnitude that is compared with a true one; of "
            f"{', '.join(schema.measured_names)} there is none"
        )
    return pairs
