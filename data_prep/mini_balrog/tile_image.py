"""One tile's image: pixel grid, survey properties, noise, and a field of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.map_formats.map_file import pixels_at
from data_prep.mini_balrog.detect import detect, measure
from data_prep.mini_balrog.images import IMAGE_BANDS, PsfSet, draw_sources
from data_prep.mini_balrog.mock_maps import NSIDE, PropertyMaps, gain_of
from data_prep.mini_balrog.population import Sources, draw_field
from data_prep.mini_balrog.tile_layout import Tile

__all__ = ["TileImage", "TileJob", "generator"]

_BLOCK = 8  # the maps are looked up once per block of 8 x 8 pixels (2.1 arcsec)

# One stream of random numbers per thing drawn, so that no two draws share their numbers.
_STREAMS = ("maps", "tiles", "parents", "injections", "field", "dither", "noise")
# In place of the number of a realization: the noise in which the field's own objects are found.
_NOISE_OF_FIELD = 1_000_000


def generator(seed: int, stream: str, *keys: int) -> np.random.Generator:
    """Random generator of one thing drawn.

    Parameters
    ----------
    seed : int
        Seed of the simulation.
    stream : str
        What is drawn, one of "maps", "tiles", "parents", "injections", "field", "dither", "noise".
    *keys : int
        Which one: tile, realization, draw.

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.default_rng(np.random.SeedSequence([seed, _STREAMS.index(stream), *keys]))


@dataclass(frozen=True)
class TileJob:
    """All that one tile needs.

    Attributes
    ----------
    seed : int
        Seed of the simulation.
    draw : int
        0: the simulation; 1: the replicate, which differs in field, noise and pixel phase alone.
    tile : Tile
        Where.
    realizations : int
        How often injections are drawn into the one field.
    pool : int64 array, shape (K,)
        Parents (rows of the parent table) that this tile's split may use.
    survey : PropertyMaps
        Maps around the tile.
    """

    seed: int
    draw: int
    tile: Tile
    realizations: int
    pool: np.ndarray
    survey: PropertyMaps


class TileImage:
    """A tile's pixel grid, survey properties, noise-free field and the field's own objects.

    Parameters
    ----------
    job : TileJob
        What to draw.

    Attributes
    ----------
    dither : (float, float)
        Shift of the pixel grid against the sky, pixels; a replicate has another.
    sky_noise, gain : float32 array, shape (3, pixels, pixels)
        Rms of the sky, counts; electrons per count.
    mask : bool array, shape (pixels, pixels)
        Where a map has no value.
    field : float32 array, shape (3, pixels, pixels)
        Galaxies and stars of the tile's own, noise-free, counts.
    real_position, real_flux : float64 array, shape (K, 2) and (K,)
        x, y and i flux of the objects found in the field without injections.
    """

    def __init__(self, job: TileJob) -> None:
        self.job, tile = job, job.tile
        self.psfs = PsfSet(job.survey.fwhm)
        x, y = generator(job.seed, "dither", tile.index, job.draw).uniform(-0.5, 0.5, 2)
        self.dither = (float(x), float(y))
        self._set_maps()
        rng = generator(job.seed, "field", tile.index, job.draw)
        sources = draw_field(tile.area_arcmin2, rng)
        x, y = rng.uniform(-0.5, tile.pixels - 0.5, (2, len(sources)))
        self.field = self.draw(sources, x, y)
        self.real_position, self.real_flux = self._real_objects()

    def _set_maps(self) -> None:
        tile, survey = self.job.tile, self.job.survey
        centre = np.arange(-(-tile.pixels // _BLOCK)) * _BLOCK + (_BLOCK - 1) / 2
        x, y = (axis.ravel() for axis in np.meshgrid(centre, centre))
        row, known = self.survey_rows(*tile.to_sky(x, y, self.dither))
        noise = survey.sky_noise[row].T.copy()
        noise[:, ~known] = np.median(survey.sky_noise, axis=0)[:, None]
        blocks = noise.reshape(len(IMAGE_BANDS), len(centre), len(centre))
        self.sky_noise = _enlarge(blocks, tile.pixels)
        self.mask = _enlarge(~known.reshape(len(centre), len(centre)), tile.pixels)
        self.gain = gain_of(self.sky_noise).astype(np.float32)

    def survey_rows(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row of the maps at each position, and whether they have one."""
        pixels = pixels_at(ra_deg, dec_deg, nside=NSIDE, nest=True)
        listed = self.job.survey.pixels
        row = np.minimum(np.searchsorted(listed, pixels), len(listed) - 1)
        return row, listed[row] == pixels

    def draw(self, sources: Sources, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Noise-free image of sources at pixel positions."""
        tile, survey = self.job.tile, self.job.survey
        row, known = self.survey_rows(*tile.to_sky(x, y, self.dither))
        # Only a source off the maps, whose pixels are masked, gets the PSF of a neighbour.
        row = np.where(known, row, 0)
        typical = np.median(survey.sky_noise, axis=0)
        return draw_sources(sources, x, y, row, self.psfs, typical, tile.pixels)

    def observe(self, light: np.ndarray, realization: int) -> np.ndarray:
        """Add photon noise and sky noise to a noise-free image."""
        job = self.job
        rng = generator(job.seed, "noise", job.tile.index, job.draw, realization)
        variance = self.sky_noise**2 + np.maximum(light, 0) / self.gain
        noise = rng.standard_normal(light.shape, dtype=np.float32)
        image: np.ndarray = light + np.sqrt(variance) * noise
        return image

    def _real_objects(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (x, y), shape (K, 2), and i flux of what is found without injections."""
        observed = self.observe(self.field, _NOISE_OF_FIELD)
        found = detect(observed, self.sky_noise, self.mask)
        rows = np.arange(len(found.x))
        photometry = measure(found, rows, self.sky_noise, self.gain, self.mask)
        return np.stack([found.x, found.y], 1), photometry.flux[IMAGE_BANDS.index("i")]


def _enlarge(blocks: np.ndarray, pixels: int) -> np.ndarray:
    """Give every pixel the value of its block; contiguous, as SEP wants it."""
    plane = blocks.repeat(_BLOCK, axis=-2).repeat(_BLOCK, axis=-1)
    return np.ascontiguousarray(plane[..., :pixels, :pixels])
