"""Tables of arrays, vectors as (N, k), in every catalogue format."""

from __future__ import annotations

from pathlib import Path

import fitsio
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write_any_table(path: Path, columns: dict[str, np.ndarray]) -> Path:
    """Write columns, vectors as (N, k), in the format that the suffix says."""
    if path.suffix == ".fits":
        fitsio.write(path, list(columns.values()), names=list(columns), clobber=True)
    elif path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            write_group(file, columns)
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({name: _arrow(values) for name, values in columns.items()}), path)
    else:
        pd.DataFrame(columns).to_csv(path, index=False)
    return path


def write_group(group: h5py.Group, columns: dict[str, np.ndarray]) -> None:
    """Write compressed, chunked datasets of an HDF5 group."""
    for name, values in columns.items():
        chunks = (min(1000, len(values)), *values.shape[1:])
        group.create_dataset(name, data=values, chunks=chunks, compression="gzip", shuffle=True)


def _arrow(values: np.ndarray) -> pa.Array:
    flat = pa.array(values.ravel())
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
