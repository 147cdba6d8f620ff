"""Survey property maps of a mock survey, built as real ones are: exposure by exposure.

Every exposure of the mock has DECam's outline and CCD gaps, its own airmass, seeing,
transparency and sky with a gradient, and covers the sky in overlapping tilings with random
failures. The maps are the coadd's values in each HEALPix pixel: inverse-variance weighted mean
FWHM, and the rms sky noise of the weighted mean image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.mini_balrog.images import IMAGE_BANDS

__all__ = ["ELECTRONS_PER_COUNT", "NSIDE", "SKY_ELECTRONS", "PropertyMaps", "gain_of", "mock_maps"]

NSIDE = 4096
# Electrons per count at zero point 30 in one 90 s exposure. i: measured on DES Y3's own i-band
# maps (sqrt(SKYVAR x 90 s / EXPTIME) over the noise that MAGLIM implies: 4.58, scatter 1.4 %);
# r and z: so that four exposures give DES Y3's typical sky noise.
ELECTRONS_PER_COUNT = {"r": 5.0, "i": 4.58, "z": 3.8}
# Sky per pixel and exposure, electrons, middle of DES Y3's SKYBRITE.
SKY_ELECTRONS = {"r": 1150.0, "i": 3500.0, "z": 7800.0}
_MEDIAN_FWHM = {"r": 0.90, "i": 0.84, "z": 0.80}  # arcsec, of one exposure at airmass 1

_TILINGS = 5
_FAILURE_RATE = 0.13
_POINTING_SPACING_DEG = 1.85
# Scatter of ln(seeing): shared by the bands of one night, and of each exposure; of ln(sky).
_NIGHT_SEEING, _EXPOSURE_SEEING = 0.13, 0.09
_NIGHT_SKY, _EXPOSURE_SKY = 0.12, 0.12

# CCDs in each row of the mosaic, and the distance between their centres (deg, long side in x).
_CCDS_IN_ROW = np.array([3, 4, 5, 6, 6, 7, 7, 6, 6, 5, 4, 3])
_CCD_STEP_X, _CCD_STEP_Y = 0.3130, 0.1640
_CCD_SIZE_X, _CCD_SIZE_Y = 0.2992, 0.1496
_FIELD_RADIUS_DEG = 1.15


@dataclass(frozen=True)
class PropertyMaps:
    """One value of every property in each pixel of a part of the sky.

    Attributes
    ----------
    pixels : int64 array, shape (P,)
        HEALPix pixels at nside 4096, NESTED, ascending.
    fwhm : float32 array, shape (P, 3)
        PSF FWHM in r, i, z, arcsec.
    sky_noise : float32 array, shape (P, 3)
        Sky noise rms per pixel in r, i, z, counts at zero point 30.
    """

    pixels: np.ndarray
    fwhm: np.ndarray
    sky_noise: np.ndarray

    def take(self, index: np.ndarray) -> PropertyMaps:
        """Rows picked by an index or mask."""
        return PropertyMaps(self.pixels[index], self.fwhm[index], self.sky_noise[index])


def gain_of(sky_noise: np.ndarray) -> np.ndarray:
    """Electrons per count of the coadd whose sky noise this is.

    Parameters
    ----------
    sky_noise : float array, shape (3, ...)
        Sky noise rms in r, i, z, counts per pixel.

    Returns
    -------
    float array, same shape

    Notes
    -----
    The mean of n exposures of g electrons per count and S sky electrons has noise
    sigma = sqrt(S / n) / g and gain n g; so gain = S / (g sigma^2).
    """
    ratio = [SKY_ELECTRONS[band] / ELECTRONS_PER_COUNT[band] for band in IMAGE_BANDS]
    gain: np.ndarray = np.reshape(ratio, (-1,) + (1,) * (sky_noise.ndim - 1)) / sky_noise**2
    return gain


def mock_maps(pixels: np.ndarray, rng: np.random.Generator) -> PropertyMaps:
    """Observe a part of the sky.

    Parameters
    ----------
    pixels : int64 array, shape (P,)
        HEALPix pixels at nside 4096, NESTED, ascending.
    rng : numpy.random.Generator
        Draws pointings and conditions.

    Returns
    -------
    PropertyMaps
        Of the pixels that at least one exposure of every band covers.
    """
    import healpy

    ra, dec = healpy.pix2ang(NSIDE, pixels, nest=True, lonlat=True)
    # Offsets from the middle of the patch; the flat-sky distortion of pointings is harmless.
    middle = np.degrees(np.angle(np.exp(1j * np.radians(ra)).mean()))
    x = (np.mod(ra - middle + 180.0, 360.0) - 180.0) * np.cos(np.radians(dec))
    y = dec - dec.mean()
    weight = np.zeros((len(pixels), len(IMAGE_BANDS)))
    weighted_fwhm = np.zeros_like(weight)
    by_y = np.argsort(y, kind="stable")
    for _ in range(_TILINGS):
        for centre in _pointings(x, y, rng):
            night = _draw_night(rng)
            covered, dx, dy = _covered(x, y, by_y, centre)
            for column, band in enumerate(IMAGE_BANDS):
                fwhm, variance = _expose(band, dx, dy, night, rng)
                if rng.random() >= _FAILURE_RATE:
                    weight[covered, column] += 1 / variance
                    weighted_fwhm[covered, column] += fwhm / variance
    seen = (weight > 0).all(axis=1)
    weight, weighted_fwhm = weight[seen], weighted_fwhm[seen]
    return PropertyMaps(
        pixels[seen],
        (weighted_fwhm / weight).astype(np.float32),
        (1 / np.sqrt(weight)).astype(np.float32),
    )


def _pointings(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Centres of one tiling: a hexagonal grid at its own random offset, shape (K, 2)."""
    step = _POINTING_SPACING_DEG
    start = rng.uniform(0.0, 1.0, 2) * step
    rows = np.arange(y.min() - 2 * step, y.max() + 2 * step, step * np.sqrt(0.75)) + start[1]
    columns = np.arange(x.min() - 2 * step, x.max() + 2 * step, step) + start[0]
    shift = 0.5 * step * (np.arange(len(rows)) % 2)
    grid = np.stack(np.broadcast_arrays(columns + shift[:, None], rows[:, None]), axis=-1)
    return grid.reshape(-1, 2)


def _draw_night(rng: np.random.Generator) -> tuple[float, float, float]:
    """Airmass, and ln of the seeing and sky factors that the bands of one pointing share."""
    airmass = 1.0 + 0.35 * float(rng.beta(1.5, 3.0))
    return airmass, float(rng.normal(0.0, _NIGHT_SEEING)), float(rng.normal(0.0, _NIGHT_SKY))


def _covered(
    x: np.ndarray, y: np.ndarray, by_y: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions on a CCD of this pointing, as an index, and their offsets from its centre."""
    reach = [centre[1] - _FIELD_RADIUS_DEG, centre[1] + _FIELD_RADIUS_DEG]
    near = by_y[slice(*np.searchsorted(y, reach, sorter=by_y))]
    near = near[np.abs(x[near] - centre[0]) < _FIELD_RADIUS_DEG]
    dx, dy = x[near] - centre[0], y[near] - centre[1]
    hit = _on_ccd(dx, dy)
    return near[hit], dx[hit], dy[hit]


def _expose(
    band: str,
    dx: np.ndarray,
    dy: np.ndarray,
    night: tuple[float, float, float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """FWHM (arcsec) and noise variance (counts^2 per pixel) of one exposure at these offsets."""
    airmass, night_seeing, night_sky = night
    factor = np.exp(night_seeing + rng.normal(0.0, _EXPOSURE_SEEING))
    seeing = _MEDIAN_FWHM[band] * airmass**0.6 * factor
    sky = SKY_ELECTRONS[band] * airmass**0.5 * np.exp(night_sky + rng.normal(0.0, _EXPOSURE_SKY))
    cloud = np.exp(-np.abs(rng.normal(0.0, 0.06)) - 0.05 * (airmass - 1))
    slope = rng.normal(0.0, 0.04, 2)
    # The image is sharpest on the axis; moonlight makes the sky a slope.
    fwhm = seeing * (1 + 0.05 * (dx**2 + dy**2) / _FIELD_RADIUS_DEG**2)
    electrons = sky * (1 + slope[0] * dx + slope[1] * dy)
    return fwhm, electrons / (ELECTRONS_PER_COUNT[band] * cloud) ** 2


def _on_ccd(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Whether offsets from the pointing (deg) fall on one of DECam's 62 CCDs."""
    row = np.floor(dy / _CCD_STEP_Y + len(_CCDS_IN_ROW) / 2).astype(np.int64)
    inside = (row >= 0) & (row < len(_CCDS_IN_ROW))
    in_row = _CCDS_IN_ROW[np.clip(row, 0, len(_CCDS_IN_ROW) - 1)]
    column = dx / _CCD_STEP_X + in_row / 2
    inside &= (column >= 0) & (column < in_row)
    off_x = np.abs(column - np.floor(column) - 0.5) * _CCD_STEP_X
    off_y = np.abs(dy / _CCD_STEP_Y + len(_CCDS_IN_ROW) / 2 - row - 0.5) * _CCD_STEP_Y
    return inside & (off_x < _CCD_SIZE_X / 2) & (off_y < _CCD_SIZE_Y / 2)
