"""Find and measure objects as SExtractor does, with SEP, its core.

Background subtracted in each band, detection on the combined r+i+z image, elliptical Kron
(AUTO) fluxes in all bands through the detection's aperture, neighbours masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import require
from data_prep.mini_balrog.images import PIXEL_SCALE

__all__ = ["Detections", "Photometry", "detect", "measure"]

# SExtractor's parameters by their names there. DES thresholds at 1.5 times a noise that resampling
# has correlated; on uncorrelated noise 1.2 finds as many objects per area (docs/mini-balrog.md).
_DETECT_THRESH, _DETECT_MINAREA = 1.2, 5
_DEBLEND_NTHRESH, _DEBLEND_MINCONT = 32, 0.005
_BACK_SIZE, _BACK_FILTERSIZE = 128, 3
_PHOT_AUTOPARAMS = (2.5, 1.75)  # Kron factor; least radius, pixels
_FILTER_FWHM, _FILTER_SIZE = 3.0, 7


@dataclass(frozen=True)
class Detections:
    """What was found on the combined image.

    Attributes
    ----------
    x, y : float64 array, shape (N,)
        Barycentres, pixels.
    a, b, theta : float64 array, shape (N,)
        Semi-axes of the isophotal second moments (pixels), and their angle.
    flag : int64 array, shape (N,)
        SEP's extraction flags.
    images : float32 array, shape (3, size, size)
        Background-subtracted r, i, z.
    combined : float32 array, shape (size, size)
        The detection image, in units of its noise.
    segments : int32 array, shape (size, size)
        Which object (from 1) each pixel belongs to.
    """

    x: np.ndarray
    y: np.ndarray
    a: np.ndarray
    b: np.ndarray
    theta: np.ndarray
    flag: np.ndarray
    images: np.ndarray
    combined: np.ndarray
    segments: np.ndarray


@dataclass(frozen=True)
class Photometry:
    """Measurements of N objects.

    Attributes
    ----------
    flux, flux_error : float64 array, shape (3, N)
        Kron flux in r, i, z and its error from sky and photon noise, counts.
    half_light_radius : float64 array, shape (N,)
        Radius of half the Kron flux on the combined image, arcsec; not corrected for the PSF.
    truncated : bool array, shape (N,)
        The aperture leaves the image or has no good pixel, or SEP truncated the object.
    blended : bool array, shape (N,)
        SEP found the object merged with another.
    """

    flux: np.ndarray
    flux_error: np.ndarray
    half_light_radius: np.ndarray
    truncated: np.ndarray
    blended: np.ndarray


def detect(images: np.ndarray, sky_noise: np.ndarray, mask: np.ndarray) -> Detections:
    """Subtract backgrounds and find objects.

    Parameters
    ----------
    images : float32 array, shape (3, size, size)
        r, i, z in counts.
    sky_noise : float32 array, shape (3, size, size)
        Rms of the sky in each pixel, counts.
    mask : bool array, shape (size, size)
        Pixels without data.

    Returns
    -------
    Detections

    Notes
    -----
    The combined image is the sum of the bands' signal-to-noise images over sqrt(3): for the
    colours of galaxies nearly the best linear sum, and like DES's CHI-MEAN image it gives each
    band a weight by its depth.
    """
    sep = require("sep", "sim")
    flat = np.empty_like(images)
    for band, image in enumerate(images):
        background = sep.Background(
            image, mask=mask, bw=_BACK_SIZE, bh=_BACK_SIZE, fw=_BACK_FILTERSIZE, fh=_BACK_FILTERSIZE
        )
        flat[band] = image - background.back(dtype=np.float32)
    combined = (flat / sky_noise).sum(axis=0) / np.float32(np.sqrt(len(images)))
    sep.set_sub_object_limit(8192)
    objects, segments = sep.extract(
        combined,
        _DETECT_THRESH,
        err=1.0,
        mask=mask,
        minarea=_DETECT_MINAREA,
        filter_kernel=_gaussian_filter(),
        filter_type="conv",
        deblend_nthresh=_DEBLEND_NTHRESH,
        deblend_cont=_DEBLEND_MINCONT,
        segmentation_map=True,
    )
    x, y, a, b, theta = (objects[name] for name in ("x", "y", "a", "b", "theta"))
    flag = objects["flag"].astype(np.int64)
    return Detections(x, y, a, b, theta, flag, flat, combined, segments)


def measure(
    found: Detections, rows: np.ndarray, sky_noise: np.ndarray, gain: np.ndarray, mask: np.ndarray
) -> Photometry:
    """Measure some of the detected objects in all bands.

    Parameters
    ----------
    found : Detections
        From :func:`detect`.
    rows : int array, shape (N,)
        Which objects.
    sky_noise : float32 array, shape (3, size, size)
        Rms of the sky, counts.
    gain : float32 array, shape (3, size, size)
        Electrons per count.
    mask : bool array, shape (size, size)
        Pixels without data.

    Returns
    -------
    Photometry
    """
    sep = require("sep", "sim")
    x, y, a, b = (getattr(found, name)[rows] for name in ("x", "y", "a", "b"))
    theta = np.clip(found.theta[rows], -np.pi / 2, np.pi / 2)
    others = {"mask": mask, "segmap": found.segments, "seg_id": rows.astype(np.int32) + 1}
    radius, kron_flag = sep.kron_radius(found.combined, x, y, a, b, theta, 6.0, **others)
    radius = np.maximum(np.nan_to_num(radius) * _PHOT_AUTOPARAMS[0], 0.0)
    # The rule of SEP's manual: no aperture smaller than a circle of the least radius. (SExtractor
    # itself bounds the Kron factor.)
    small = radius * np.sqrt(a * b) < _PHOT_AUTOPARAMS[1]
    a, b = np.where(small, 1.0, a), np.where(small, 1.0, b)
    radius = np.where(small, _PHOT_AUTOPARAMS[1], radius)
    aperture = (x, y, a, b, theta, radius)
    flux, flux_error = np.empty((2, len(found.images), len(rows)))
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    for band, image in enumerate(found.images):
        flux[band], sky_error, flag = sep.sum_ellipse(
            image, *aperture, err=sky_noise[band], subpix=5, **others
        )
        photons = np.maximum(flux[band], 0.0) / gain[band][row, column]
        flux_error[band] = np.sqrt(sky_error**2 + photons)
    total, _, _ = sep.sum_ellipse(found.combined, *aperture, subpix=5, **others)
    half_light, _ = sep.flux_radius(
        found.combined, x, y, 6.0 * found.a[rows], 0.5, normflux=total, subpix=5, **others
    )
    return Photometry(
        flux,
        flux_error,
        half_light * PIXEL_SCALE,
        _is_truncated(sep, found.flag[rows], flag | kron_flag),
        (found.flag[rows] & sep.OBJ_MERGED) > 0,
    )


def _is_truncated(sep: Any, object_flag: np.ndarray, aperture_flag: np.ndarray) -> np.ndarray:
    aperture_bits = sep.APER_TRUNC | sep.APER_ALLMASKED
    in_object, in_aperture = object_flag & sep.OBJ_TRUNC, aperture_flag & aperture_bits
    truncated: np.ndarray = (in_object > 0) | (in_aperture > 0)
    return truncated


def _gaussian_filter() -> np.ndarray:
    """Smoothing kernel of FWHM 3 pixels, as SExtractor's gauss_3.0_7x7.conv."""
    offset = np.arange(_FILTER_SIZE) - _FILTER_SIZE // 2
    profile = np.exp(-4 * np.log(2) * (offset / _FILTER_FWHM) ** 2)
    return np.outer(profile, profile).astype(np.float32)
