"""How fast `python -m data_prep prepare` is: one command, one table.

    python benchmarks/prepare_throughput.py [--rows 2000000] [--area 500]

Writes a catalogue of injections and six nside-4096 partial maps to a temporary directory, runs
prepare's own code on them, and compares with the plain way (healpy's full-sky read_map, one
tf.train.Example per row) in the same process.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import healpy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.errors import require
from data_prep.prepare import shard_tables
from data_prep.prepare_settings import PrepareSettings
from data_prep.prepare_tables import Tables, read_tables
from data_prep.preset import load_preset
from data_prep.survey_maps import write_partial_map

NSIDE = 4096
PLAIN_ROWS = 50_000
TARGET = 200_000


def write_inputs(directory: Path, rows: int, area_deg2: float) -> tuple[Path, Path]:
    """Catalogues and maps of a disc of sky; returns matched and detection catalogue."""
    rng = np.random.default_rng(0)
    center = healpy.ang2vec(45.0, -30.0, lonlat=True)
    cosine = 1 - np.radians(1) ** 2 * area_deg2 / (2 * np.pi)
    pixels = healpy.query_disc(NSIDE, center, np.arccos(cosine), nest=True)
    for patterns in load_preset("des-y3-sof").map_patterns.values():
        path = directory / "maps" / f"{patterns[0]}.fits"
        values = rng.uniform(0.8, 1.2, pixels.size)
        write_partial_map(path, pixels, values, nside=NSIDE, unit="test")
    where = pixels[rng.integers(0, pixels.size, rows)]
    ra, dec = healpy.pix2ang(NSIDE, where, nest=True, lonlat=True)
    detected = (rng.random(rows) < 0.67).astype(np.int32)
    truth = rng.uniform(19, 25, (rows, 4)).astype(np.float32)
    columns = {
        "bal_id": rng.permutation(rows) + 10**14,
        "true_id": rng.integers(0, 50_000, rows),
        "true_ra": ra % 360,
        "true_dec": dec,
        "true_bdf_mag_deredden": truth,
        "detected": detected,
        "meas_cm_mag_deredden": truth + rng.normal(0, 0.1, truth.shape).astype(np.float32),
    }
    flags = ("flags_foreground", "flags_badregions", "match_flag_1.5_asec")
    for name in (*flags, "meas_FLAGS_GOLD_SOF_ONLY"):
        columns[name] = np.zeros(rows, np.int32)
    columns["flags_footprint"] = np.ones(rows, np.int32)
    detection = directory / "detection.parquet"
    matched = directory / "matched.parquet"
    write_parquet(detection, {k: v for k, v in columns.items() if "meas_cm" not in k})
    write_parquet(matched, {k: v[detected == 1] for k, v in columns.items() if "flag" not in k})
    return matched, detection


def write_parquet(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Write columns, vectors as fixed-size lists."""
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(v.ravel()), v.shape[1])
        if v.ndim == 2
        else pa.array(v)
        for v in columns.values()
    ]
    pq.write_table(pa.Table.from_arrays(arrays, names=list(columns)), path)


def plain_seconds_per_row(tables: Tables, directory: Path) -> tuple[float, float]:
    """The plain way: seconds to look up all rows, and seconds per row to encode and write."""
    tf = require("tensorflow", "cpu")
    start = time.perf_counter()
    everyone = list(tables.all.values())
    ra = np.concatenate([table.ra for table in everyone])
    dec = np.concatenate([table.dec for table in everyone])
    for survey_map in tables.maps.maps.values():
        sky = healpy.read_map(survey_map.path, nest=True)
        sky[healpy.ang2pix(NSIDE, ra, dec, nest=True, lonlat=True)]
        del sky
    look_up = time.perf_counter() - start
    schema, table = tables.preset.schema, tables.matched
    names = (*schema.condition_names, *schema.measured_names)
    features, example = tf.train.Features, tf.train.Example
    start = time.perf_counter()
    with tf.io.TFRecordWriter(str(directory / "plain.tfrecord")) as writer:
        for row in range(min(PLAIN_ROWS, len(table))):
            feature = {
                name: tf.train.Feature(
                    float_list=tf.train.FloatList(value=[table.columns[name][row]])
                )
                for name in names
            }
            feature["row_id"] = tf.train.Feature(
                int64_list=tf.train.Int64List(value=[table.row_id[row]])
            )
            writer.write(example(features=features(feature=feature)).SerializeToString())
    return look_up, (time.perf_counter() - start) / min(PLAIN_ROWS, len(table))


def machine() -> str:
    """Processor and usable cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.processor()}, {cores} cores"


def measure(directory: Path, rows: int, area_deg2: float) -> None:
    """Run and print the table."""
    require("tensorflow", "cpu")
    print(f"writing {rows:,} injections and six maps of {area_deg2:g} deg2 ...", flush=True)
    matched, detection = write_inputs(directory, rows, area_deg2)
    before = peak_mib()
    settings = PrepareSettings(
        catalog=matched, detection=detection, maps=directory / "maps", out=directory / "shards"
    )
    start = time.perf_counter()
    tables = read_tables(settings)
    read = time.perf_counter() - start
    start, start_cpu = time.perf_counter(), time.process_time()
    manifest = shard_tables(tables, settings)
    after_reading = time.perf_counter() - start
    cpu = time.process_time() - start_cpu
    peak = peak_mib()
    look_up, per_row = plain_seconds_per_row(tables, directory)
    records = sum(split["rows"] for split in manifest.splits.values())
    plain = look_up + per_row * records
    read_rows = rows + len(tables.matched)
    pixels = tables.maps.maps["fwhm_r"].good_pixels()[0].size
    for name, value in {
        "machine": machine(),
        "maps": f"6 of nside {NSIDE}, {pixels:,} pixels each",
        "reading": f"{read_rows / read:,.0f} rows/s ({read_rows:,} rows in {read:.1f} s)",
        "after reading": f"{after_reading:.1f} s for {rows:,} injections, {records:,} records",
        "  injections": f"{rows / after_reading:,.0f} /s (target {TARGET:,})",
        "  records": f"{records / after_reading:,.0f} /s",
        "  CPU time": f"{cpu:.1f} s (below the wall time if other work shares the cores)",
        "peak memory": f"{peak:,.0f} MiB ({before:,.0f} MiB before)",
        "plain way": f"{plain:.1f} s ({look_up:.1f} s look-up + {per_row * 1e6:.0f} us/record, "
        f"measured on {PLAIN_ROWS:,})",
        "ratio": f"{plain / after_reading:.1f} times faster than the plain way",
    }.items():
        print(f"{name:<14} {value}")


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="injections")
    parser.add_argument("--area", type=float, default=500.0, help="deg2 that the maps cover")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory), arguments.rows, arguments.area)


if __name__ == "__main__":
    main()
