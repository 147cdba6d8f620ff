"""What magnification by lensing does to truth columns."""

from __future__ import annotations

import numpy as np

from data_prep.errors import BalrogError
from data_prep.photometry import asinh_mag_to_flux, flux_to_asinh_mag
from data_prep.schema import Column, Schema

__all__ = ["lensed", "magnified_columns"]

# A radius grows as the square root of the magnification, a squared radius or an area as itself.
_SIZE_POWERS = {"arcsec": 0.5, "arcsec2": 1.0}
_FLUXES = ("flux", "nJy")
_BRIGHTNESS = ("mag", "asinh mag", *_FLUXES)


def magnified_columns(schema: Schema) -> tuple[list[str], list[str]]:
    """Which truth columns magnification changes.

    Returns
    -------
    changed : list of str
        Those in a unit of brightness (mag, asinh mag, flux, nJy) or of size (arcsec: a radius,
        arcsec2: a squared radius or an area).
    kept : list of str
        The others, such as ellipticities.

    Raises
    ------
    BalrogError
        If there is none that it changes.
    """
    changed = [c.name for c in schema.truth if c.unit in (*_BRIGHTNESS, *_SIZE_POWERS)]
    if not changed:
        raise BalrogError(
            "magnification changes truth columns in the units "
            f"{', '.join((*_BRIGHTNESS, *_SIZE_POWERS))}; the emulator has "
            f"{', '.join(f'{column.name} ({column.unit})' for column in schema.truth)}"
        )
    return changed, [c.name for c in schema.truth if c.name not in changed]


def lensed(condition: np.ndarray, schema: Schema, kappa: float) -> np.ndarray:
    """Truth as it is seen behind a convergence.

    Parameters
    ----------
    condition : float32 array, shape (N, C)
        Columns ``schema.condition_names``, physical units.
    schema : Schema
        Names and units.
    kappa : float
        Convergence; the magnification is mu = 1 + 2 kappa.

    Returns
    -------
    float32 array, shape (N, C)
        Fluxes times mu, radii times sqrt(mu); survey properties and other columns as they were.

    Raises
    ------
    BalrogError
        If no column is changed, or asinh magnitudes have no softening.
    """
    magnified_columns(schema)
    mu = 1 + 2 * kappa
    result = np.array(condition, np.float32, order="C")
    for place, column in enumerate(schema.truth):
        result[:, place] = _magnified(condition[:, place], column, mu)
    return result


def _magnified(values: np.ndarray, column: Column, mu: float) -> np.ndarray:
    values = values.astype(np.float64)
    if column.unit == "mag":
        brighter: np.ndarray = values - 2.5 * np.log10(mu)
        return brighter
    if column.unit in _FLUXES:
        return values * mu
    if column.unit == "asinh mag":
        if column.zero_point is None or column.softening is None:
            raise BalrogError(
                f"{column.name}: asinh magnitudes need their softening to be magnified"
            )
        flux = asinh_mag_to_flux(values, column.zero_point, column.softening)
        return flux_to_asinh_mag(flux * mu, column.zero_point, column.softening)
    magnified: np.ndarray = values * mu ** _SIZE_POWERS.get(column.unit, 0.0)
    return magnified
