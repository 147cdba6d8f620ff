"""AB magnitudes and fluxes at a zero point."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["flux_to_mag", "mag_to_flux"]


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
