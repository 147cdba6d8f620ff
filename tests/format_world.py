"""Injections of one sky, known to the last digit: what the files of every format are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import fitsio
import healpy
import numpy as np

ZERO_POINT = 30.0
# A_b = R_b E(B-V), g r i z.
R_B = np.array([3.186, 2.140, 1.569, 1.196])
NSIDE = 256
FLAGGED_ROWS = 20


@dataclass(frozen=True)
class World:
    """Injections of one sky; arrays of N injections, P parents or M map pixels, bands griz.

    Attributes
    ----------
    row_id, parent_id : int64 array, shape (N,)
        Injection and the deep-field galaxy it copies.
    ra, dec : float64 array, shape (N,)
        Degrees; the sky crosses ra = 0.
    detected : bool array, shape (N,)
    weight : float32 array, shape (N,)
        Injection weight.
    truth_mag : float32 array, shape (N, 4)
        Dereddened AB magnitude of the parent.
    extinction : float64 array, shape (N, 4)
        A_b in mag, from the E(B-V) map.
    flux, flux_error : float32 array, shape (N, 4)
        Measured, as observed behind the dust, zero point 30; some fluxes are negative.
    pixels : int64 array, shape (M,)
        NESTED pixels that the maps cover.
    survey : dict of str to float32 array, shape (M,)
        ``fwhm_r`` (arcsec), ``sky_noise_r`` (count), ... of the pixels.
    ebv : float32 array, shape (12 NSIDE**2,)
        E(B-V), whole sky, NESTED.
    bad : int64 array
        Detected rows whose r-band measurement each format replaces by its sentinels.
    flagged : int64 array
        Rows that lie on a foreground object; every format cuts them.
    """

    row_id: np.ndarray
    parent_id: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    detected: np.ndarray
    weight: np.ndarray
    truth_mag: np.ndarray
    extinction: np.ndarray
    flux: np.ndarray
    flux_error: np.ndarray
    pixels: np.ndarray
    survey: dict[str, np.ndarray]
    ebv: np.ndarray
    bad: np.ndarray
    flagged: np.ndarray

    def map_values(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Survey property of some rows, straight from the arrays the maps were written from."""
        pixels = healpy.ang2pix(NSIDE, self.ra[rows], self.dec[rows], nest=True, lonlat=True)
        if name == "ebv":
            return self.ebv[pixels]
        return self.survey[name][np.searchsorted(self.pixels, pixels)]

    def parents(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids and magnitudes of the deep-field galaxies that were injected."""
        ids, first = np.unique(self.parent_id, return_index=True)
        return ids, self.truth_mag[first]


def drawn_world(rows: int = 3000, parents: int = 300, seed: int = 1) -> World:
    """Injections over 12 by 12 degrees around ra = 0, two thirds of them detected."""
    rng = np.random.default_rng(seed)
    parent = rng.integers(0, parents, rows)
    magnitudes = rng.uniform(18.5, 25.5, (parents, 1)) + rng.normal(0, 0.3, (parents, 4))
    truth = magnitudes.astype(np.float32)[parent]
    error = rng.uniform(40, 80, (rows, 4)).astype(np.float32)
    return _world(
        row_id=10**14 + rng.permutation(rows).astype(np.int64),
        parent_id=5 * parent + 10_000_000,
        ra=rng.uniform(-6, 6, rows) % 360,
        dec=rng.uniform(-6, 6, rows),
        detected=rng.random(rows) < 0.67,
        truth_mag=truth,
        flux=10 ** (0.4 * (ZERO_POINT - truth)) + error * rng.normal(size=(rows, 4)),
        flux_error=error,
        seed=seed,
    )


def simulated_world(directory: Path) -> World:
    """The injections of a mini-Balrog, put behind dust and under small maps."""
    every = fitsio.read(directory / "balrog_detection_catalog.fits")
    matched = fitsio.read(directory / "balrog_matched_catalog.fits")
    row = {row_id: place for place, row_id in enumerate(every["bal_id"].tolist())}
    rows = [row[row_id] for row_id in matched["bal_id"].tolist()]
    flux, error = np.ones((2, len(every), 4))
    flux[rows], error[rows] = matched["meas_cm_flux"], matched["meas_cm_flux_err"]
    return _world(
        row_id=every["bal_id"].astype(np.int64),
        parent_id=every["true_id"].astype(np.int64),
        ra=every["true_ra"].astype(np.float64),
        dec=every["true_dec"].astype(np.float64),
        detected=every["detected"] == 1,
        truth_mag=every["true_bdf_mag_deredden"].astype(np.float32),
        flux=flux,
        flux_error=error.astype(np.float32),
        seed=1,
    )


def _world(
    *, ra: np.ndarray, dec: np.ndarray, flux: np.ndarray, detected: np.ndarray, seed: int,
    **columns: np.ndarray,
) -> World:  # fmt: skip
    """Add dust, maps, weights and the rows that are bad."""
    rng = np.random.default_rng(seed)
    inside = np.unique(healpy.ang2pix(64, ra, dec, nest=True, lonlat=True))
    per_region = (NSIDE // 64) ** 2
    pixels = (inside[:, None] * per_region + np.arange(per_region)).ravel()
    survey = {}
    for band, fwhm, noise in zip("riz", (1.0, 0.9, 0.85), (5.0, 8.0, 14.0), strict=True):
        for name, typical in (("fwhm", fwhm), ("sky_noise", noise)):
            values = typical * rng.uniform(0.85, 1.15, pixels.size)
            survey[f"{name}_{band}"] = values.astype(np.float32)
    ebv = rng.uniform(0.01, 0.12, healpy.nside2npix(NSIDE)).astype(np.float32)
    extinction = R_B * ebv[healpy.ang2pix(NSIDE, ra, dec, nest=True, lonlat=True)][:, None]
    return World(
        ra=ra,
        dec=dec,
        detected=detected,
        weight=rng.uniform(0.5, 2, ra.size).astype(np.float32),
        extinction=extinction,
        flux=(flux * 10 ** (-0.4 * extinction)).astype(np.float32),
        pixels=pixels,
        survey=survey,
        ebv=ebv,
        bad=np.flatnonzero(detected)[100:110],
        flagged=np.arange(FLAGGED_ROWS),
        **columns,
    )
