"""AB magnitudes, fluxes at a zero point, nJy, asinh magnitudes, their errors, and extinction.

Asinh magnitudes (Lupton, Gunn & Szalay 1999, doi:10.1086/301004) equal magnitudes for bright
objects and stay finite where the flux is below the noise or negative. With the softening b in
flux units,

    mu = zero_point - 2.5 / ln(10) * (asinh(flux / (2 b)) + ln(b)).

They do not change with the zero point, as long as b is the same flux. Stored as float32, a
magnitude in [16, 32) is rounded by at most 9.6e-7 mag; the flux is recovered to
8.8e-7 * sqrt(flux**2 + 4 b**2): to 8.8e-7 of itself where it is bright, and of 2 b where it is not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.schema import NJY_ZERO_POINT, PHOTOMETRIC_UNITS

__all__ = [
    "asinh_mag_error",
    "asinh_mag_to_flux",
    "convert",
    "deredden",
    "extinction_of",
    "flux_at_zero_point",
    "flux_to_asinh_mag",
    "flux_to_mag",
    "mag_error",
    "mag_to_flux",
    "redden",
]

# Pogson's ratio: d(mag) = -_POGSON * d(flux) / flux.
_POGSON = 2.5 / math.log(10)


def flux_to_mag(flux: Any, zero_point: float) -> np.ndarray:
    """Magnitude ``zero_point - 2.5 log10(flux)`` (Oke & Gunn 1983, doi:10.1086/160817).

    Parameters
    ----------
    flux : array_like
        In the unit whose value 1 has the magnitude `zero_point`.
    zero_point : float
        Magnitude of unit flux: 30 for DES, 31.4 for nJy, 22.5 for nanomaggies.

    Returns
    -------
    float64 array
        NaN where the flux is not positive: it has no magnitude.

    Examples
    --------
    >>> flux_to_mag([1000.0, -1.0], 30.0)
    array([22.5,  nan])
    """
    flux = np.asarray(flux, dtype=np.float64)
    positive = np.where(flux > 0, flux, np.nan)
    return zero_point - 2.5 * np.log10(positive)


def mag_to_flux(mag: Any, zero_point: float) -> np.ndarray:
    """Flux of a magnitude; inverse of :func:`flux_to_mag`.

    Parameters
    ----------
    mag : array_like
        AB magnitude.
    zero_point : float
        Magnitude of unit flux.

    Returns
    -------
    float64 array

    Examples
    --------
    >>> float(mag_to_flux(22.5, 30.0))
    1000.0
    """
    return 10 ** (0.4 * (zero_point - np.asarray(mag, dtype=np.float64)))


def flux_to_asinh_mag(flux: Any, zero_point: float, softening: float) -> np.ndarray:
    """Asinh magnitude; see the module for the formula and its accuracy.

    Parameters
    ----------
    flux : array_like
        Of any sign, at the zero point.
    zero_point : float
        Magnitude of unit flux.
    softening : float
        The b, in flux units; about the noise of a flux.

    Returns
    -------
    float64 array

    Examples
    --------
    >>> flux_to_asinh_mag([1000.0, 0.0, -100.0], 30.0, 50.0).round(1)
    array([22.5, 25.8, 26.7])
    """
    flux = np.asarray(flux, dtype=np.float64)
    ln_flux = np.arcsinh(flux / (2 * softening)) + math.log(softening)
    magnitude: np.ndarray = zero_point - _POGSON * ln_flux
    return magnitude


def asinh_mag_to_flux(mag: Any, zero_point: float, softening: float) -> np.ndarray:
    """Flux of an asinh magnitude; inverse of :func:`flux_to_asinh_mag`.

    Parameters
    ----------
    mag : array_like
        Asinh magnitude.
    zero_point, softening : float
        It was made with.

    Returns
    -------
    float64 array

    Examples
    --------
    >>> float(asinh_mag_to_flux(flux_to_asinh_mag(-3.0, 30.0, 50.0), 30.0, 50.0).round(9))
    -3.0
    """
    scaled = (zero_point - np.asarray(mag, dtype=np.float64)) / _POGSON - math.log(softening)
    return 2 * softening * np.sinh(scaled)


def mag_error(flux: Any, flux_error: Any) -> np.ndarray:
    """Error of a magnitude, ``2.5 / ln(10) * flux_error / flux``.

    Parameters
    ----------
    flux, flux_error : array_like
        In the same unit.

    Returns
    -------
    float64 array
        In mag; NaN where the flux is not positive.
    """
    flux = np.asarray(flux, dtype=np.float64)
    return _POGSON * np.asarray(flux_error) / np.where(flux > 0, flux, np.nan)


def asinh_mag_error(flux: Any, flux_error: Any, softening: float) -> np.ndarray:
    """Error of an asinh magnitude, ``2.5 / ln(10) * flux_error / sqrt(flux**2 + 4 b**2)``.

    Parameters
    ----------
    flux, flux_error : array_like
        In the same unit.
    softening : float
        The b, in that unit.

    Returns
    -------
    float64 array
        In mag; finite at any flux.
    """
    flux = np.asarray(flux, dtype=np.float64)
    magnitude_error: np.ndarray = _POGSON * np.asarray(flux_error) / np.hypot(flux, 2 * softening)
    return magnitude_error


def flux_at_zero_point(flux: Any, zero_point: float, to_zero_point: float) -> np.ndarray:
    """Flux (or its error, or a softening) in the unit of another zero point.

    Examples
    --------
    >>> float(flux_at_zero_point(1.0, 22.5, 30.0))
    1000.0
    """
    return np.asarray(flux, dtype=np.float64) * 10 ** (0.4 * (to_zero_point - zero_point))


def extinction_of(ebv: Any, coefficient: float) -> np.ndarray:
    """Extinction ``A_b = R_b E(B-V)`` in mag.

    Parameters
    ----------
    ebv : array_like
        E(B-V) in mag, as in the map of Schlegel, Finkbeiner & Davis (1998, doi:10.1086/305772).
    coefficient : float
        R_b; for that map and DECam g, r, i, z: 3.186, 2.140, 1.569, 1.196 (DES DR1).
    """
    return coefficient * np.asarray(ebv, dtype=np.float64)


def redden(values: Any, extinction: Any, unit: str) -> np.ndarray:
    """Brightness as seen through dust.

    Parameters
    ----------
    values : array_like
        Dereddened magnitudes, fluxes, or errors of fluxes.
    extinction : array_like
        A_b in mag.
    unit : {"mag", "flux", "nJy"}
        Unit of the values. Asinh magnitudes are reddened as fluxes.

    Returns
    -------
    float64 array

    Raises
    ------
    BalrogError
        If the unit is another.

    Examples
    --------
    >>> redden([22.0], [0.2], "mag")
    array([22.2])
    """
    values, extinction = np.asarray(values, np.float64), np.asarray(extinction, np.float64)
    if unit == "mag":
        reddened: np.ndarray = values + extinction
    elif unit in ("flux", "nJy"):
        reddened = values * 10 ** (-0.4 * extinction)
    else:
        raise BalrogError(f"extinction applies to mag, flux or nJy, found {unit}")
    return reddened


def deredden(values: Any, extinction: Any, unit: str) -> np.ndarray:
    """Brightness without dust; inverse of :func:`redden`."""
    return redden(values, -np.asarray(extinction, np.float64), unit)


def convert(
    values: Any,
    unit: str,
    to_unit: str,
    *,
    zero_point: float,
    to_zero_point: float,
    softening: float | None = None,
) -> np.ndarray:
    """Brightness in another photometric unit.

    Parameters
    ----------
    values : array_like
        In `unit`.
    unit, to_unit : {"mag", "flux", "nJy", "asinh mag"}
        From and to.
    zero_point, to_zero_point : float
        Magnitude of unit flux before and after; of no matter for mag and nJy.
    softening : float or None
        The b of the asinh magnitudes, in flux at their own zero point; needed if one unit is
        asinh mag. From asinh mag to asinh mag nothing changes.

    Returns
    -------
    float64 array
        NaN where a flux has no magnitude.

    Raises
    ------
    BalrogError
        If a unit is not photometric or the softening is missing.

    Examples
    --------
    >>> convert([1000.0], "flux", "nJy", zero_point=30.0, to_zero_point=31.4).round(2)
    array([3630.78])
    """
    wrong = [name for name in (unit, to_unit) if name not in PHOTOMETRIC_UNITS]
    if wrong:
        raise BalrogError(
            f"units of brightness are {', '.join(PHOTOMETRIC_UNITS)}; found {', '.join(wrong)}"
        )
    brightness = np.asarray(values, dtype=np.float64)
    if unit == to_unit and unit != "flux":
        return brightness
    if softening is None:
        if "asinh mag" in (unit, to_unit):
            raise BalrogError(f"from {unit} to {to_unit} needs the softening of the asinh mag")
        softening = math.nan
    zero_point = NJY_ZERO_POINT if unit == "nJy" else zero_point
    to_zero_point = NJY_ZERO_POINT if to_unit == "nJy" else to_zero_point
    if unit == "mag":
        brightness = mag_to_flux(brightness, zero_point)
    elif unit == "asinh mag":
        brightness = asinh_mag_to_flux(brightness, zero_point, softening)
    if to_unit == "mag":
        return flux_to_mag(brightness, zero_point)
    flux = flux_at_zero_point(brightness, zero_point, to_zero_point)
    return flux_to_asinh_mag(flux, to_zero_point, softening) if to_unit == "asinh mag" else flux
