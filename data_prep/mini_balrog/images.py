"""Draw galaxies and stars onto the three images of a tile with GalSim.

A galaxy has one shape in all bands, and the PSF is the same for all sources of one map pixel. So
GalSim draws the Fourier image of each galaxy once and of each PSF once; their products are
transformed together. This is the same convolution as ``galsim.Convolve([galaxy, psf,
pixel]).drawImage``, which a test compares with, at about a tenth of the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_prep.errors import require
from data_prep.mini_balrog.population import BANDS, Sources

__all__ = [
    "HALF_LIGHT_OF_FWHM",
    "IMAGE_BANDS",
    "MOFFAT_BETA",
    "PIXEL_SCALE",
    "ZERO_POINT",
    "PsfSet",
    "draw_sources",
    "fluxes",
]

IMAGE_BANDS = ("r", "i", "z")
PIXEL_SCALE = 0.263
ZERO_POINT = 30.0
# GalSim has this Moffat's transform in closed form; its wings lie between the 2.5 often used for
# CCD images and the 4.8 of a purely Kolmogorov atmosphere.
MOFFAT_BETA = 3.5
HALF_LIGHT_OF_FWHM = 0.5 * math.sqrt(
    (2 ** (1 / (MOFFAT_BETA - 1)) - 1) / (2 ** (1 / MOFFAT_BETA) - 1)
)

_STAMP_SIZES = np.array([32, 48, 64, 96, 128, 192, 256])
# Light at the edge of a stamp, in units of the sky noise per pixel; what lies beyond is folded
# back into the stamp, so that no flux is lost.
_EDGE_BRIGHTNESS = 0.05
_BATCH = 64


class PsfSet:
    """The PSFs of a few map pixels, and their Fourier images once they are needed.

    Parameters
    ----------
    fwhm : float array, shape (P, 3)
        FWHM of the Moffat PSF in r, i, z, arcsec, before the pixel.
    """

    def __init__(self, fwhm: np.ndarray) -> None:
        self.fwhm = fwhm
        self._transforms: dict[int, np.ndarray] = {}

    def transforms(self, stamp_size: int) -> np.ndarray:
        """Fourier images of PSF and pixel: float32 (3, P, stamp_size, stamp_size / 2 + 1)."""
        if stamp_size not in self._transforms:
            self._transforms[stamp_size] = self._draw(stamp_size)
        return self._transforms[stamp_size]

    def _draw(self, stamp_size: int) -> np.ndarray:
        galsim = require("galsim", "sim")
        canvas, pixel = _FourierCanvas(galsim, stamp_size), galsim.Pixel(PIXEL_SCALE)
        count, bands = self.fwhm.shape
        transforms = np.empty((bands, count, stamp_size, stamp_size // 2 + 1), np.float32)
        for row, band in np.ndindex(count, bands):
            moffat = galsim.Moffat(beta=MOFFAT_BETA, fwhm=float(self.fwhm[row, band]))
            canvas.draw(galsim.Convolve([moffat, pixel]), transforms[band, row])
        return transforms


def fluxes(sources: Sources) -> np.ndarray:
    """Flux of each source in r, i, z.

    Parameters
    ----------
    sources : Sources
        N sources.

    Returns
    -------
    float64 array, shape (3, N)
        Counts at zero point 30.
    """
    bands = [BANDS.index(band) for band in IMAGE_BANDS]
    return 10 ** (0.4 * (ZERO_POINT - sources.mag[:, bands].T))


def draw_sources(
    sources: Sources,
    x: np.ndarray,
    y: np.ndarray,
    psf_index: np.ndarray,
    psfs: PsfSet,
    sky_noise: np.ndarray,
    size: int,
) -> np.ndarray:
    """Draw sources, noise-free.

    Parameters
    ----------
    sources : Sources
        N sources.
    x, y : float64 array, shape (N,)
        Centres in pixels, 0 at the centre of the first pixel; may lie off the image.
    psf_index : int array, shape (N,)
        Which of `psfs` holds at each source.
    psfs : PsfSet
        The PSFs of this part of the sky.
    sky_noise : float array, shape (3,)
        Typical sky noise, counts per pixel, which decides how large the stamps must be.
    size : int
        Pixels along a side of the image.

    Returns
    -------
    float32 array, shape (3, size, size)
        Counts, indexed [band, y, x].
    """
    image = np.zeros((len(IMAGE_BANDS), size, size), np.float32)
    flux = fluxes(sources)
    stamp_sizes = _stamp_sizes(sources, flux, psfs.fwhm.max(), sky_noise)
    for stamp_size, rows in _batches(stamp_sizes):
        corner_x, shift_x = _corner(x[rows], stamp_size)
        corner_y, shift_y = _corner(y[rows], stamp_size)
        shape = _galaxy_transforms(sources.take(rows), stamp_size)
        waves = shape * _phases(shift_x, shift_y, stamp_size)
        stamps = _invert(waves, psfs.transforms(stamp_size)[:, psf_index[rows]], flux[:, rows])
        for row in range(len(rows)):
            _paste(image, stamps[:, row], int(corner_x[row]), int(corner_y[row]))
    return image


def _stamp_sizes(
    sources: Sources, flux: np.ndarray, psf_fwhm: float, sky_noise: np.ndarray
) -> np.ndarray:
    """Smallest stamp at whose edge each source is fainter than the tolerated brightness."""
    brightness = (flux / np.reshape(sky_noise, (-1, 1))).max(axis=0) * PIXEL_SCALE**2
    edge = np.reshape(_STAMP_SIZES, (-1, 1)) / 2 * PIXEL_SCALE
    core = psf_fwhm / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    wing = (MOFFAT_BETA - 1) / (np.pi * core**2) * (1 + (edge / core) ** 2) ** -MOFFAT_BETA
    shear = np.hypot(sources.g1, sources.g2)
    major = np.maximum(sources.half_light_radius * np.sqrt((1 + shear) / (1 - shear)), 1e-3)
    reach = np.maximum(edge - psf_fwhm, 0.0) / major
    disk = 0.4485 / major**2 * np.exp(-1.678 * reach)
    bulge = 0.0441 / major**2 * np.exp(-7.669 * (reach**0.25 - 1))
    profile = sources.bulge_fraction * bulge + (1 - sources.bulge_fraction) * disk
    light = np.where(sources.half_light_radius > 0, profile, 0.0) + wing
    fits = brightness * light < _EDGE_BRIGHTNESS
    smallest = _STAMP_SIZES[np.argmax(fits, axis=0)]
    stamp_sizes: np.ndarray = np.where(fits.any(axis=0), smallest, _STAMP_SIZES[-1])
    return stamp_sizes


def _batches(stamp_sizes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for stamp_size in np.unique(stamp_sizes):
        rows = np.flatnonzero(stamp_sizes == stamp_size)
        for start in range(0, len(rows), _BATCH):
            yield int(stamp_size), rows[start : start + _BATCH]


def _corner(centre: np.ndarray, stamp_size: int) -> tuple[np.ndarray, np.ndarray]:
    """First pixel of a stamp, and the centre counted from it."""
    corner = np.round(centre).astype(np.int64) - stamp_size // 2
    return corner, centre - corner


def _phases(shift_x: np.ndarray, shift_y: np.ndarray, stamp_size: int) -> np.ndarray:
    wave_x = np.exp(-2j * np.pi * np.outer(shift_x, np.fft.rfftfreq(stamp_size)))
    wave_y = np.exp(-2j * np.pi * np.outer(shift_y, np.fft.fftfreq(stamp_size)))
    return wave_y.astype(np.complex64)[:, :, None] * wave_x.astype(np.complex64)[:, None, :]


def _invert(waves: np.ndarray, psfs: np.ndarray, flux: np.ndarray) -> np.ndarray:
    import scipy.fft

    product = waves[None] * (psfs * flux[:, :, None, None].astype(np.float32))
    stamps: np.ndarray = scipy.fft.irfft2(product, axes=(2, 3))
    return stamps


def _paste(image: np.ndarray, stamp: np.ndarray, x: int, y: int) -> None:
    """Add a stamp whose first pixel is (x, y), as far as it lies on the image."""
    size, stamp_size = image.shape[-1], stamp.shape[-1]
    left, bottom = max(0, -x), max(0, -y)
    right, top = min(stamp_size, size - x), min(stamp_size, size - y)
    if left < right and bottom < top:
        image[:, y + bottom : y + top, x + left : x + right] += stamp[:, bottom:top, left:right]


def _galaxy_transforms(sources: Sources, stamp_size: int) -> np.ndarray:
    """Fourier image of each source at unit flux, before the PSF: float32 (N, size, size/2 + 1)."""
    galsim = require("galsim", "sim")
    canvas = _FourierCanvas(galsim, stamp_size)
    disk = galsim.Exponential(half_light_radius=1.0)
    bulge = galsim.DeVaucouleurs(half_light_radius=1.0)
    transforms = np.ones((len(sources), stamp_size, stamp_size // 2 + 1), np.float32)
    for row in np.flatnonzero(sources.half_light_radius > 0):
        share = float(sources.bulge_fraction[row])
        shear = galsim.Shear(g1=float(sources.g1[row]), g2=float(sources.g2[row]))
        radius = float(sources.half_light_radius[row])
        galaxy = galsim.Transform(
            galsim.Add([share * bulge, (1 - share) * disk]),
            jac=shear.getMatrix() * radius,
            flux_ratio=radius**-2,  # GalSim's transform keeps the surface brightness
        )
        canvas.draw(galaxy, transforms[row])
    return transforms


class _FourierCanvas:
    """GalSim image of half the Fourier plane, at a stamp's discrete frequencies."""

    def __init__(self, galsim: Any, stamp_size: int) -> None:
        half = stamp_size // 2
        step = 2 * np.pi / (stamp_size * PIXEL_SCALE)
        self._image = galsim.Image(
            galsim.BoundsI(0, half, -half, half - 1), dtype=complex, scale=step
        )
        self._half = half

    def draw(self, profile: Any, out: np.ndarray) -> None:
        """Write the transform (real: every profile here is point-symmetric), frequency 0 first."""
        profile._drawKImage(self._image)
        real = self._image.array.real
        out[: self._half], out[self._half :] = real[self._half :], real[: self._half]
