"""Catalogue and maps for the benchmark of the emulate command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import healpy
import numpy as np
import pandas as pd

from data_prep.schema import Schema
from data_prep.survey_maps import write_partial_map

__all__ = ["FILE_ROWS", "catalog_of", "conditions", "write_world"]

# Larger catalogues are directories with the same file again and again.
FILE_ROWS = 1_000_000
_NSIDE, _AREA_RADIUS_DEG = 4096, 5.0


def conditions(info: dict[str, Any], rows: int) -> dict[str, np.ndarray]:
    """Columns drawn uniformly within the 1-99 % range of the training rows."""
    rng, columns = np.random.default_rng(0), {}
    for name in Schema.from_dict(info["schema"]).condition_names:
        quantiles = info["domain"][name]["quantiles"]
        columns[name] = rng.uniform(quantiles["0.01"], quantiles["0.99"], rows).astype("float32")
    return columns


def write_world(info: dict[str, Any], place: Path) -> None:
    """Write truth.parquet, and maps/ at nside 4096 of every survey property."""
    schema, columns = Schema.from_dict(info["schema"]), conditions(info, FILE_ROWS)
    center = healpy.ang2vec(45.0, -30.0, lonlat=True)
    pixels = healpy.query_disc(_NSIDE, center, np.radians(_AREA_RADIUS_DEG), nest=True)
    for column in schema.survey:
        source = info["map_patterns"][column.name]
        pattern = source[0] if isinstance(source, list) else next(iter(source["maps"].values()))[0]
        path = place / "maps" / f"{pattern}.fits"
        values = np.resize(columns[column.name], len(pixels))
        write_partial_map(path, pixels, values, nside=_NSIDE, unit=column.unit)
    where = np.random.default_rng(1).choice(pixels, FILE_ROWS)
    ra, dec = healpy.pix2ang(_NSIDE, where, nest=True, lonlat=True)
    truth = {column.name: columns[column.name] for column in schema.truth}
    pd.DataFrame({**truth, "ra": ra, "dec": dec}).to_parquet(place / "truth.parquet")


def catalog_of(place: Path, rows: int) -> Path:
    """The catalogue with so many rows, a multiple of FILE_ROWS, which takes no more room."""
    if rows == FILE_ROWS:
        return place / "truth.parquet"
    directory = place / f"truth_{rows}"
    directory.mkdir(exist_ok=True)
    for number in range(rows // FILE_ROWS):
        link = directory / f"{number:05d}.parquet"
        if not link.is_symlink():
            link.symlink_to(place / "truth.parquet")
    return directory
