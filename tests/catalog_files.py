"""One table in every catalogue format; written with nothing of data_prep."""

from __future__ import annotations

from pathlib import Path

import fitsio
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

# Ending of the file, or what else it is -> whether it can hold vectors.
FORMATS = {
    "t.fits": True,
    "t.fits.gz": True,
    "t.parquet": True,
    "directory": True,
    "t.hdf5": True,
    "t.hf5": True,
    "fixed.h5": False,
    "table.h5": False,
    "t.csv": False,
    "t.csv.gz": False,
    "t.pkl": False,
}
CHUNK_ROWS = 64


def make_columns(rows: int = 500, vectors: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    columns = {
        "bal_id": 10**15 - rng.permutation(rows),
        "ra": rng.uniform(0, 360, rows),
        "flux": rng.normal(0, 1e4, rows).astype(np.float32),
        "flag": rng.integers(-9999, 3, rows).astype(np.int32),
    }
    columns["flux"][::7] = np.nan
    if vectors:
        columns["mag"] = rng.uniform(18, 25, (rows, 4)).astype(np.float32)
    return columns


def write_catalog(path: Path, columns: dict[str, np.ndarray]) -> Path:
    """Write columns as the name says; vectors are (N, k)."""
    if path.name == "directory":
        path.mkdir()
        half = len(columns["bal_id"]) // 2
        for name, rows in (("a", slice(0, half)), ("b", slice(half, None))):
            write_parquet(path / f"{name}.parquet", {k: v[rows] for k, v in columns.items()})
    elif path.name.startswith("t.fits"):
        fitsio.write(path, list(columns.values()), names=list(columns), clobber=True)
    elif path.suffix == ".parquet":
        write_parquet(path, columns)
    elif path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            write_group(file.create_group("photometry"), columns)
    elif path.suffix == ".hf5":
        Table(columns).write(path, path="data", format="hdf5", serialize_meta=True)
    elif path.suffix == ".h5":
        pd.DataFrame(columns).to_hdf(path, key="data", format=path.stem, data_columns=["bal_id"])
    elif path.suffix == ".pkl":
        pd.DataFrame(columns).to_pickle(path)
    else:
        pd.DataFrame(columns).to_csv(path, index=False)
    return path


def write_parquet(path: Path, columns: dict[str, np.ndarray], group_rows: int = 100) -> Path:
    arrays = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        if values.ndim == 2
        else pa.array(values)
        for name, values in columns.items()
    }
    pq.write_table(pa.table(arrays), path, row_group_size=group_rows)
    return path


def write_group(group: h5py.Group, columns: dict[str, np.ndarray]) -> None:
    for name, values in columns.items():
        chunks = (min(CHUNK_ROWS, len(values)), *values.shape[1:]) if len(values) else None
        compression = "gzip" if chunks else None
        group.create_dataset(name, data=values, chunks=chunks, compression=compression)
