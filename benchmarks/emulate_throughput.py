"""Emulation speed: the SavedModel alone, and the whole command from Parquet to Parquet.

    python benchmarks/emulate_throughput.py saved_models/mini-balrog [--rows 2000000]

The SavedModel is loaded and called with plain TensorFlow, as a pipeline would. The command's path
(emulate_catalog) reads truth and positions, looks up six nside-4096 maps, draws and writes. Both
use conditions inside the emulator's training range.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import healpy
import numpy as np
import pandas as pd
import tensorflow as tf
from machine import machine, print_table

from balrog_keras.catalog_emulation import emulate_catalog
from balrog_keras.emulator import Emulator
from data_prep.survey_maps import write_partial_map

CALL_ROWS, NSIDE, AREA_RADIUS_DEG = 262_144, 4096, 5.0


def conditions(emulator: Emulator, rows: int) -> dict[str, np.ndarray]:
    """Columns drawn uniformly within the 1-99 % range of the training rows."""
    rng = np.random.default_rng(0)
    columns = {}
    for name in emulator.schema.condition_names:
        quantiles = emulator.info["domain"][name]["quantiles"]
        columns[name] = rng.uniform(quantiles["0.01"], quantiles["0.99"], rows).astype("float32")
    return columns


def saved_model_rate(bundle: Path, columns: dict[str, np.ndarray], repeats: int) -> list[float]:
    """Rows/s of serving_default in calls of CALL_ROWS rows, inputs as NumPy arrays."""
    draw = tf.saved_model.load(str(bundle / "1")).signatures["serving_default"]
    rows = len(next(iter(columns.values())))
    rates = []
    for repeat in range(repeats + 1):
        start = time.perf_counter()
        for first in range(0, rows, CALL_ROWS):
            part = slice(first, first + CALL_ROWS)
            chunk = {name: tf.constant(values[part]) for name, values in columns.items()}
            ids = tf.range(first, min(first + CALL_ROWS, rows), dtype=tf.int64)
            drawn = draw(**chunk, row_id=ids, seed=tf.constant(repeat, tf.int64))
            for values in drawn.values():
                values.numpy()
        rates.append(rows / (time.perf_counter() - start))
    return rates[1:]


def command_rate(emulator: Emulator, columns: dict[str, np.ndarray], place: Path) -> float:
    """Rows/s of emulate_catalog with every survey property looked up in a map."""
    rows = len(next(iter(columns.values())))
    center = healpy.ang2vec(45.0, -30.0, lonlat=True)
    pixels = healpy.query_disc(NSIDE, center, np.radians(AREA_RADIUS_DEG), nest=True)
    for column in emulator.schema.survey:
        pattern = emulator.info["map_patterns"][column.name][0]
        values = np.resize(columns[column.name], len(pixels))
        path = place / "maps" / f"{pattern}.fits"
        write_partial_map(path, pixels, values, nside=NSIDE, unit=column.unit)
    where = np.random.default_rng(1).choice(pixels, rows)
    ra, dec = healpy.pix2ang(NSIDE, where, nest=True, lonlat=True)
    truth = {column.name: columns[column.name] for column in emulator.schema.truth}
    pd.DataFrame({**truth, "ra": ra, "dec": dec}).to_parquet(place / "truth.parquet")
    start = time.perf_counter()
    emulate_catalog(emulator, place / "truth.parquet", place / "out.parquet", place / "maps")
    return rows / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("emulator", type=Path)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    emulator = Emulator.load(options.emulator)
    columns = conditions(emulator, options.rows)
    rates = saved_model_rate(options.emulator, columns, options.repeats)
    with tempfile.TemporaryDirectory() as place:
        command = command_rate(emulator, columns, Path(place))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print_table([
        ("machine", machine()),
        ("tensorflow", tf.__version__),
        ("emulator", f"{options.emulator}, {options.rows:,} rows"),
        ("SavedModel galaxies/s, median (range)",
         f"{statistics.median(rates):,.0f} ({min(rates):,.0f} - {max(rates):,.0f})"),
        ("emulate command, Parquet + 6 maps -> Parquet", f"{command:,.0f} galaxies/s"),
        ("peak memory of this process", f"{peak:.1f} GiB"),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
