"""Writing survey property maps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import atomic_path

__all__ = ["write_partial_map", "write_sparse_map"]

# A coverage pixel of a HealSparse map; coarser than its pixels.
_COVERAGE_NSIDE = 32


def write_partial_map(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    values: np.ndarray,
    *,
    nside: int,
    nest: bool = True,
    unit: str,
    extra_header: Mapping[str, Any] | None = None,
) -> None:
    """Write a partial-sky HEALPix map (columns PIXEL, SIGNAL), whole or not at all.

    Parameters
    ----------
    path : path
        ``.fits`` or ``.fits.gz``.
    pixels : int array, shape (P,)
        Distinct pixels; written ascending.
    values : array, shape (P,)
        Written as float32.
    nside, nest : int, bool
        Resolution and numbering of `pixels`.
    unit : str
        Unit of `values`.
    extra_header : mapping, optional
        More header keywords (at most 8 characters) and their values.

    Raises
    ------
    BalrogError
        If pixels repeat, are out of range, or differ in number from the values.
    """
    import fitsio

    pixels, values = _ascending(path, pixels, values, nside)
    table = np.empty(pixels.size, [("PIXEL", np.int64), ("SIGNAL", np.float32)])
    table["PIXEL"], table["SIGNAL"] = pixels, values
    header: dict[str, Any] = {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NESTED" if nest else "RING",
        "NSIDE": nside,
    }
    header |= {"INDXSCHM": "EXPLICIT", "OBJECT": "PARTIAL", "BAD_DATA": -1.6375e30}
    with atomic_path(path) as partial:
        fitsio.write(
            partial, table, header=header | dict(extra_header or {}), units=["", unit], clobber=True
        )


def write_sparse_map(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    values: np.ndarray,
    *,
    nside: int,
    unit: str,
    extra_header: Mapping[str, Any] | None = None,
) -> None:
    """Write a HealSparse map (FITS), whole or not at all.

    Parameters
    ----------
    path : path
        ``.hsp`` or ``.hs``.
    pixels : int array, shape (P,)
        Distinct pixels, NESTED.
    values : array, shape (P,)
        Written as float32; NaN is stored as no value.
    nside : int
        Resolution of `pixels`.
    unit : str
        Unit of `values`.
    extra_header : mapping, optional
        More header keywords (at most 8 characters) and their values.

    Raises
    ------
    BalrogError
        If pixels repeat, are out of range, or differ in number from the values.
    """
    import healsparse

    pixels, values = _ascending(path, pixels, values, nside)
    good = np.isfinite(values)
    metadata = {"TUNIT": unit} | dict(extra_header or {})
    sparse = healsparse.HealSparseMap.make_empty(
        min(_COVERAGE_NSIDE, nside), nside, np.float32, metadata=metadata
    )
    sparse.update_values_pix(pixels[good], values[good])
    with atomic_path(path) as partial:
        sparse.write(str(partial))


def _ascending(
    path: str | os.PathLike[str], pixels: np.ndarray, values: np.ndarray, nside: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (int64) and their values (float32) in ascending order, or BalrogError."""
    pixels, values = np.asarray(pixels, dtype=np.int64), np.asarray(values, dtype=np.float32)
    unique, first = np.unique(pixels, return_index=True)
    if unique.size != pixels.size or pixels.shape != values.shape:
        raise BalrogError(
            f"{path}: a map needs one value for each of its distinct pixels; found "
            f"{unique.size:,} distinct pixels in {pixels.size:,} and {values.size:,} values"
        )
    if unique.size and (unique[0] < 0 or unique[-1] >= 12 * nside**2):
        raise BalrogError(f"{path}: a pixel is out of range for nside {nside}")
    return unique, values[first]
