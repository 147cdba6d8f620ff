"""The mini-Balrog's two catalogues, in the columns of the DES Y3 SOF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.files import atomic_path
from data_prep.mini_balrog.images import ZERO_POINT
from data_prep.mini_balrog.population import T_OF_HALF_LIGHT, Sources
from data_prep.mini_balrog.tile_job import MATCH_RADII, Injections

__all__ = ["detection_table", "matched_table", "write_table"]

# DES clips fluxes here before it takes the logarithm: 30 - 2.5 log10(0.001) = 37.5.
_LEAST_FLUX = 0.001
_NOT_MEASURED = -9999.0
# A galaxy is larger than this share of the PSF's T: surely, likely, perhaps (classes 3, 2, 1).
_EXTENDED = (0.40, 0.20, 0.08)


def detection_table(
    injections: Injections, tile: str, parents: Sources, true_id: np.ndarray
) -> dict[str, np.ndarray]:
    """Every injection.

    Parameters
    ----------
    injections : Injections
        N injections of one tile.
    tile : str
        Name of the tile.
    parents : Sources
        All parents.
    true_id : int64 array, shape (P,)
        Id of each parent.

    Returns
    -------
    dict of str to array, shape (N,) or (N, 2) or (N, 4)
        Columns of the DES Y3 detection catalogue.
    """
    detected = injections.meas_id >= 0
    table = _truth(injections, tile, parents, true_id)
    table |= {
        "detected": detected.astype(np.int16),
        "meas_id": injections.meas_id,
        "flags_foreground": np.zeros(len(detected), np.int16),
        "flags_badregions": np.zeros(len(detected), np.int16),
        "flags_footprint": np.ones(len(detected), np.int16),
        "meas_FLAGS_GOLD_SOF_ONLY": np.where(detected, injections.flags, -9999).astype(np.int16),
        "meas_EXTENDED_CLASS_SOF": np.where(detected, _extended(injections), -9999).astype(
            np.int16
        ),
    }
    for column, radius in enumerate(MATCH_RADII):
        table[f"match_flag_{radius}_asec"] = injections.match_flag[:, column]
    return table


def matched_table(
    injections: Injections, tile: str, parents: Sources, true_id: np.ndarray
) -> dict[str, np.ndarray]:
    """Build the table of detected injections and their measurements; arguments as above.

    Returns
    -------
    dict of str to array
        Columns of the DES Y3 matched SOF catalogue, for the detected injections alone. Band
        vectors are griz; g is not simulated and holds -9999. There is no dust, so dereddened
        magnitudes equal the others.
    """
    detected = injections.meas_id >= 0
    truth = _truth(injections, tile, parents, true_id)
    table = {name: values[detected] for name, values in truth.items()}
    flux, error = injections.flux[detected], injections.flux_error[detected]
    mag = (ZERO_POINT - 2.5 * np.log10(np.maximum(flux, _LEAST_FLUX))).astype(np.float32)
    table |= {
        "meas_id": injections.meas_id[detected],
        "detected": np.ones(len(flux), np.int16),
        "meas_ra": injections.meas_ra_deg[detected],
        "meas_dec": injections.meas_dec_deg[detected],
        "meas_cm_mag": _with_g(mag),
        "meas_cm_mag_deredden": _with_g(mag),
        "meas_cm_flux": _with_g(flux),
        "meas_cm_flux_err": _with_g(error),
        "meas_cm_flux_s2n": _with_g(flux / error),
        "meas_cm_T": injections.size[detected],
        "meas_cm_g": injections.meas_g[detected],
        "flags": injections.flags[detected],
    }
    return table


def write_table(path: Path, table: dict[str, np.ndarray], label: str) -> None:
    """Write a catalogue as FITS and as Parquet, each whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        Name without suffix.
    table : dict of str to array
        Columns; all have as many rows.
    label : str
        Provenance, kept in the FITS keyword LABEL and the Parquet metadata ``label``.
    """
    import fitsio
    import pyarrow
    import pyarrow.parquet

    with atomic_path(path.with_suffix(".fits")) as partial:
        names = list(table)
        fitsio.write(partial, [table[name] for name in names], names=names, header={"LABEL": label})
    columns = {name: _arrow(values) for name, values in table.items()}
    arrow = pyarrow.table(columns).replace_schema_metadata({"label": label})
    with atomic_path(path.with_suffix(".parquet")) as partial:
        pyarrow.parquet.write_table(arrow, partial)


def _truth(
    injections: Injections, tile: str, parents: Sources, true_id: np.ndarray
) -> dict[str, np.ndarray]:
    parent = injections.parent
    return {
        "bal_id": injections.bal_id,
        "true_id": true_id[parent],
        "true_ra": injections.ra_deg,
        "true_dec": injections.dec_deg,
        "true_bdf_mag_deredden": parents.mag[parent].astype(np.float32),
        "true_bdf_T": (T_OF_HALF_LIGHT * parents.half_light_radius[parent] ** 2).astype(np.float32),
        "true_bdf_g": np.stack([injections.g1, injections.g2], axis=1),
        "true_bdf_fracdev": parents.bulge_fraction[parent].astype(np.float32),
        "tilename": np.full(len(parent), tile),
    }


def _extended(injections: Injections) -> np.ndarray:
    ratio = injections.size / injections.psf_size
    extended: np.ndarray = sum((ratio > limit).astype(np.int16) for limit in _EXTENDED)
    return extended


def _with_g(values: np.ndarray) -> np.ndarray:
    """Put g, which is not simulated, before r, i, z."""
    g = np.full((len(values), 1), _NOT_MEASURED, np.float32)
    return np.concatenate([g, values.astype(np.float32)], axis=1)


def _arrow(values: np.ndarray) -> Any:
    import pyarrow

    flat = pyarrow.array(values.ravel())
    if values.ndim == 1:
        return flat
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
