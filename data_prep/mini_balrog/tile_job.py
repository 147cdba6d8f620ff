"""Inject galaxies into a tile's image, detect, measure, match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from data_prep.mini_balrog.adaptive_moments import adaptive_ellipticity
from data_prep.mini_balrog.detect import detect, measure
from data_prep.mini_balrog.images import HALF_LIGHT_OF_FWHM, IMAGE_BANDS, fluxes
from data_prep.mini_balrog.population import Sources
from data_prep.mini_balrog.tile_image import TileImage, TileJob, generator
from data_prep.mini_balrog.tile_layout import injection_grid

__all__ = ["MARGIN", "MATCH_RADII", "Injections", "run_tile"]

# Arcsec; those of DES Y3's match_flag columns.
MATCH_RADII = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
_DETECTION_RADIUS = 0.5
MARGIN = 24  # pixels between an injection and the image's edge


@dataclass(frozen=True)
class Injections:
    """Every injection of a tile, with what came of it.

    Attributes
    ----------
    bal_id, parent : int64 array, shape (N,)
        Id of the injection; row of its parent.
    ra_deg, dec_deg : float64 array, shape (N,)
        Injected position.
    g1, g2 : float32 array, shape (N,)
        Injected shape (the parent's, turned).
    match_flag : int16 array, shape (N, 7)
        A real object lies within each of :data:`MATCH_RADII`: 0 none, 1 fainter, 2 brighter.
    meas_id : int64 array, shape (N,)
        Id of the matched detection, -1 if none.
    meas_ra_deg, meas_dec_deg : float64 array, shape (N,)
        Its position, NaN if undetected.
    flux, flux_error : float32 array, shape (N, 3)
        Measured r, i, z, counts; NaN if undetected.
    size : float32 array, shape (N,)
        PSF-corrected T = 2 sigma^2, arcsec^2; NaN if undetected.
    psf_size : float32 array, shape (N,)
        The same of the PSF.
    meas_g : float32 array, shape (N, 2)
        Measured shape, not corrected for the PSF; NaN if undetected.
    flags : int16 array, shape (N,)
        1 blended, 2 truncated, 3 both.
    """

    bal_id: np.ndarray
    parent: np.ndarray
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    g1: np.ndarray
    g2: np.ndarray
    match_flag: np.ndarray
    meas_id: np.ndarray
    meas_ra_deg: np.ndarray
    meas_dec_deg: np.ndarray
    flux: np.ndarray
    flux_error: np.ndarray
    size: np.ndarray
    psf_size: np.ndarray
    meas_g: np.ndarray
    flags: np.ndarray

    @staticmethod
    def concatenate(parts: Sequence[Injections]) -> Injections:
        """Stack several, in order."""
        names = [field.name for field in fields(Injections)]
        return Injections(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        )


def run_tile(job: TileJob, parents: Sources) -> list[Injections]:
    """Simulate all realizations of one tile.

    Parameters
    ----------
    job : TileJob
        What to do.
    parents : Sources
        Table of all parents.

    Returns
    -------
    list of Injections
        One per realization.
    """
    image = TileImage(job)
    return [_realize(image, parents, realization) for realization in range(job.realizations)]


def _realize(image: TileImage, parents: Sources, realization: int) -> Injections:
    """Inject once, detect, match, measure."""
    job, tile = image.job, image.job.tile
    # Keyed without the draw: a replicate injects the same galaxies at the same sky positions.
    rng = generator(job.seed, "injections", tile.index, realization)
    x, y = injection_grid(tile, MARGIN, rng)
    parent = job.pool[rng.integers(len(job.pool), size=len(x))]
    angle = rng.uniform(0.0, np.pi, len(x))
    ra, dec = tile.to_sky(x, y)
    row, known = image.survey_rows(ra, dec)
    index, x, y = np.flatnonzero(known), x[known] + image.dither[0], y[known] + image.dither[1]
    injected = parents.take(parent[known]).rotated(angle[known])
    light = image.field + image.draw(injected, x, y)
    measured = _measure_matches(image, image.observe(light, realization), x, y)
    psf_size = _gaussian_size(HALF_LIGHT_OF_FWHM * job.survey.fwhm[row[known]].mean(axis=1))
    bal_id = (tile.index * 1_000 + realization) * 10_000 + index
    return Injections(
        bal_id=bal_id,
        parent=parent[known],
        ra_deg=ra[known],
        dec_deg=dec[known],
        g1=injected.g1.astype(np.float32),
        g2=injected.g2.astype(np.float32),
        match_flag=_match_flags(image, x, y, fluxes(injected)[IMAGE_BANDS.index("i")]),
        meas_id=np.where(measured.pop("detected"), bal_id, -1),
        size=(_gaussian_size(measured.pop("radius")) - psf_size).astype(np.float32),
        psf_size=psf_size.astype(np.float32),
        **measured,
    )


def _measure_matches(
    image: TileImage, observed: np.ndarray, x: np.ndarray, y: np.ndarray
) -> dict[str, np.ndarray]:
    """Detect, and measure what lies within 0.5 arcsec of each position; NaN where nothing does."""
    from scipy.spatial import cKDTree

    found = detect(observed, image.sky_noise, image.mask)
    reach = _DETECTION_RADIUS / image.job.tile.scale
    nearest = np.full(len(x), len(found.x))
    if len(found.x):
        tree = cKDTree(np.stack([found.x, found.y], axis=1))
        nearest = tree.query(np.stack([x, y], axis=1), distance_upper_bound=reach)[1]
    detected = nearest < len(found.x)
    rows = nearest[detected]
    photometry = measure(found, rows, image.sky_noise, image.gain, image.mask)
    ra, dec = image.job.tile.to_sky(found.x[rows], found.y[rows], image.dither)
    columns = {
        "meas_ra_deg": ra,
        "meas_dec_deg": dec,
        "flux": photometry.flux.T,
        "flux_error": photometry.flux_error.T,
        "radius": photometry.half_light_radius,
        "meas_g": adaptive_ellipticity(found, rows, image.mask).T,
    }
    flags = photometry.blended * np.int16(1) + photometry.truncated * np.int16(2)
    filled = {"detected": detected, "flags": np.zeros(len(x), np.int16)}
    filled["flags"][detected] = flags
    for name, values in columns.items():
        kind = np.float64 if name in ("meas_ra_deg", "meas_dec_deg") else np.float32
        filled[name] = np.full((len(x),) + values.shape[1:], np.nan, kind)
        filled[name][detected] = values
    return filled


def _match_flags(image: TileImage, x: np.ndarray, y: np.ndarray, i_flux: np.ndarray) -> np.ndarray:
    """Whether a real object is near, and is brighter than the injection: int16 (N, 7)."""
    distance = np.hypot(
        x[:, None] - image.real_position[:, 0], y[:, None] - image.real_position[:, 1]
    )
    arcsec = distance * image.job.tile.scale
    near = arcsec[:, :, None] < np.array(MATCH_RADII)
    brighter = near & (image.real_flux > i_flux[:, None])[:, :, None]
    return np.where(brighter.any(axis=1), 2, near.any(axis=1)).astype(np.int16)


def _gaussian_size(half_light_radius: np.ndarray) -> np.ndarray:
    """T = 2 sigma^2 of the Gaussian with this half-light radius."""
    size: np.ndarray = 2 * half_light_radius**2 / (2 * np.log(2))
    return size
