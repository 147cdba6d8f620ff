"""A small survey on disk in the columns of the DES Y3 SOF Balrog files, with known content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fitsio
import healpy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.survey_maps import write_partial_map

LABEL = "mini-Balrog: simulated images, realistic maps"
MAP_NAMES = {
    f"{prefix}_{band}": f"y3a2_{band}_o.4096_t.32768_{name}_EQU.fits"
    for prefix, name in (("fwhm", "FWHM.WMEAN"), ("sky_noise", "SKYVAR.UNCERTAINTY"))
    for band in "riz"
}
MAP_NSIDE = 1024


def write_maps(directory: Path, nside: int = MAP_NSIDE, hole: int | None = None) -> dict[str, Any]:
    """Six partial maps over ra 10-20, dec -6..6; `hole`: a pixel left out of the r FWHM map."""
    pixels = healpy.query_polygon(
        nside, healpy.ang2vec([9, 21, 21, 9], [-7, -7, 7, 7], lonlat=True), nest=True
    )
    rng = np.random.default_rng(5)
    values = {}
    for number, (column, name) in enumerate(MAP_NAMES.items()):
        value = (0.8 + number + 0.2 * rng.random(pixels.size)).astype(np.float32)
        keep = pixels != hole if column == "fwhm_r" else np.ones(pixels.size, bool)
        unit = "arcsec" if column.startswith("fwhm") else "count"
        write_partial_map(directory / name, pixels[keep], value[keep], nside=nside, unit=unit)
        values[column] = dict(zip(pixels[keep].tolist(), value[keep], strict=True))
    return values


def make_catalog(rows: int = 4000, parents: int = 400, seed: int = 1) -> dict[str, np.ndarray]:
    """Detection catalogue of injections with clean values, two thirds of them detected."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(19, 25, (rows, 1)) + rng.normal(0, 0.3, (rows, 4))
    detected = (rng.random(rows) < 0.67).astype(np.int32)
    return {
        "bal_id": 10**14 + rng.permutation(rows).astype(np.int64),
        "true_id": rng.integers(0, parents, rows),
        "true_ra": rng.uniform(10, 20, rows),
        "true_dec": rng.uniform(-6, 6, rows),
        "detected": detected,
        "true_bdf_mag_deredden": truth.astype(np.float32),
        "flags_foreground": np.zeros(rows, np.int32),
        "flags_badregions": np.zeros(rows, np.int32),
        "flags_footprint": np.ones(rows, np.int32),
        "meas_FLAGS_GOLD_SOF_ONLY": np.where(detected == 1, 0, -9999).astype(np.int32),
        "match_flag_1.5_asec": np.zeros(rows, np.int32),
    }


def matched_of(detection: dict[str, np.ndarray], seed: int = 2) -> dict[str, np.ndarray]:
    """Matched catalogue of the detected rows, in another row order."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.flatnonzero(detection["detected"] == 1))
    names = ("bal_id", "true_id", "true_ra", "true_dec", "true_bdf_mag_deredden")
    matched = {name: detection[name][rows] for name in names}
    noise = rng.normal(0, 0.1, (rows.size, 4))
    matched["meas_cm_mag"] = (matched["true_bdf_mag_deredden"] + noise + 0.05).astype(np.float32)
    matched["meas_cm_mag_deredden"] = matched["meas_cm_mag"] - np.float32(0.05)
    return matched


def write_table(path: Path, columns: dict[str, np.ndarray], label: str = LABEL) -> Path:
    """Write FITS or Parquet, as the suffix says; vectors as (N, k) or fixed-size lists."""
    if path.suffix == ".parquet":
        arrays = [
            pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            if values.ndim == 2
            else pa.array(values)
            for values in columns.values()
        ]
        table = pa.Table.from_arrays(arrays, names=list(columns))
        pq.write_table(table.replace_schema_metadata({"label": label}), path)
        return path
    types = [(name, values.dtype, values.shape[1:]) for name, values in columns.items()]
    table = np.empty(len(next(iter(columns.values()))), types)
    for name, values in columns.items():
        table[name] = values
    fitsio.write(path, table, header={"LABEL": label}, clobber=True)
    return path
