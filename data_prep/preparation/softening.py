"""Softening of asinh magnitudes: given in the preset, or from the noise of the survey."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from data_prep.catalogs import Catalog
from data_prep.errors import BalrogError
from data_prep.expressions import evaluate
from data_prep.photometry import flux_at_zero_point
from data_prep.preparation.column_values import catalog_unit
from data_prep.preset import Preset
from data_prep.schema import NJY_ZERO_POINT, Column
from data_prep.selection import is_sentinel

__all__ = ["softening_of", "with_softening"]

logger = logging.getLogger(__name__)

# Lupton, Gunn & Szalay (1999, doi:10.1086/301004), section 3.1: b = 1.042 sigma balances the
# magnitude's error at zero flux against its bias.
_PER_NOISE = 1.042
_SAMPLE_ROWS = 100_000


def softening_of(noise: np.ndarray) -> float:
    """Softening b of asinh magnitudes for these flux errors.

    Parameters
    ----------
    noise : array, shape (N,)
        Errors of fluxes (1 sigma, flux units); those not finite or not positive are left out.

    Returns
    -------
    float
        1.042 times their median, to 4 digits, in flux units; NaN if none is usable.
    """
    noise = np.asarray(noise, np.float64)
    usable = noise[np.isfinite(noise) & (noise > 0)]
    return float(f"{_PER_NOISE * np.median(usable):.4g}") if usable.size else float("nan")


def with_softening(preset: Preset, catalog: Catalog, unit: str | None = None) -> Preset:
    """Fill in the softening of every asinh magnitude that has none.

    Parameters
    ----------
    preset : Preset
        Its columns say a softening, or the noise to estimate it from.
    catalog : Catalog
        Has the columns of the noise; its first rows are read.
    unit : str or None
        Unit of fluxes in the catalogue, if not what the preset says.

    Returns
    -------
    Preset

    Raises
    ------
    BalrogError
        If a softening is neither given nor to be estimated, or the catalogue holds magnitudes.
    """
    columns = []
    for column in preset.schema.columns:
        if column.unit == "asinh mag" and column.softening is None:
            column = replace(column, softening=_softening(column, preset, catalog, unit))
            logger.info(
                "%s: asinh softening %g (flux at zero point %g)",
                column.name, column.softening, column.zero_point,
            )  # fmt: skip
        columns.append(column)
    return replace(preset, schema=replace(preset.schema, columns=tuple(columns)))


def _softening(column: Column, preset: Preset, catalog: Catalog, unit: str | None) -> float:
    said = preset.sources[column.name].softening
    if said is None:
        raise BalrogError(
            f"column {column.name} is an asinh magnitude; the preset must give its `softening`: a "
            "flux, or the column of the flux errors as {error: [name]}"
        )
    if said.value is not None:
        return said.value
    flux_unit = catalog_unit(column.name, preset, unit)
    if flux_unit not in ("flux", "nJy"):
        raise BalrogError(
            f"{catalog.path}: the softening of {column.name} is estimated from errors of fluxes, "
            f"found the unit {flux_unit}; give a number in the preset"
        )
    inputs = {}
    for alias, entry in said.inputs.items():
        element = catalog.require(entry.names, f"softening of {column.name}", preset.vector_bands)
        values = next(catalog.batches([element.column], _SAMPLE_ROWS))[element.column]
        values = values if element.index is None or values.ndim == 1 else values[:, element.index]
        sentinel = is_sentinel(values, preset.sentinels.get(entry.unit, ()))
        inputs[alias] = np.where(sentinel, np.nan, values)
    where = f"{catalog.path}: softening of {column.name}"
    with np.errstate(invalid="ignore"):
        noise = evaluate(said.expression, inputs, where) if said.expression else inputs.popitem()[1]
    zero_point = NJY_ZERO_POINT if flux_unit == "nJy" else preset.zero_point
    to_zero_point = preset.zero_point if column.zero_point is None else column.zero_point
    softening = softening_of(flux_at_zero_point(noise, zero_point, to_zero_point))
    if not softening > 0:
        raise BalrogError(
            f"{where} is estimated from {' and '.join(inputs) or 'the flux errors'}, which must be "
            "positive in the first rows and are not; give a number in the preset"
        )
    return softening
