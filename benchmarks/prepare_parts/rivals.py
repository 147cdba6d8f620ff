"""Prepare's job done without this package, in three ways.

    python benchmarks/prepare_parts/rivals.py plain|rows|batches CATALOG MAPS OUT

plain    healpy.read_map of all maps, pandas.apply row by row, one tf.train.Example for each row
rows     arrays throughout, one map in memory at a time; one tf.train.Example for each row
batches  the same, but one tf.train.Example for 1,024 rows (raw bytes; not the same format)

None of them writes statistics or checksums, counts what it drops, or survives being killed. Each
prints, as JSON, its rows, on how many of them the slow step was timed, and the seconds that step
would have needed for the others.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fitsio
import healpy
import numpy as np
import pandas as pd
import tensorflow as tf
from inputs import MAP_FILES, NSIDE

TRUTH, MEASURED = "true_bdf_mag_deredden", "meas_cm_mag_deredden"
FLAGS = {
    "flags_foreground": 0,
    "flags_badregions": 0,
    "flags_footprint": 1,
    "meas_FLAGS_GOLD_SOF_ONLY": 0,
    "match_flag_1.5_asec": 0,
}
# What takes long for all rows is timed on this many: in all, and in each shard.
PLAIN_ROWS, SHARD_EXAMPLE_ROWS = 20_000, 50_000
RECORD_ROWS = 1024
SPLITS = ("train", "validation", "test")


def plain(catalog: Path, maps: Path, out: Path) -> dict[str, float]:
    """All maps in memory, every row on its own."""
    skies = {name: healpy.read_map(maps / file, nest=True) for name, file in MAP_FILES.items()}
    table = _read(catalog)
    names = [name for name in table.dtype.names if table.dtype[name].shape == ()]
    frame = pd.DataFrame(
        {name: table[name].astype(table[name].dtype.newbyteorder("=")) for name in names}
    )
    for column, prefix in ((TRUTH, "true_mag"), (MEASURED, "meas_mag")):
        for index, band in enumerate("riz", start=1):
            frame[f"{prefix}_{band}"] = table[column][:, index].astype(np.float32)
    frame = frame[_keeps(frame) & (frame["meas_mag_r"] < 37)]
    regions = healpy.ang2pix(64, frame["true_ra"], frame["true_dec"], nest=True, lonlat=True)
    frame["split"] = _split_of_region()[regions]
    part = frame.iloc[:PLAIN_ROWS]

    def look_up(row: pd.Series) -> pd.Series:
        pixel = healpy.ang2pix(NSIDE, row["true_ra"], row["true_dec"], nest=True, lonlat=True)
        return pd.Series({name: sky[pixel] for name, sky in skies.items()})

    start = time.perf_counter()
    part = part.join(part.apply(look_up, axis=1))
    for split, rows in part.groupby("split"):
        with tf.io.TFRecordWriter(str(out / f"{SPLITS[int(split)]}.tfrecord")) as writer:
            for _, row in rows.iterrows():
                writer.write(_plain_example(row))
    per_row = (time.perf_counter() - start) / len(part)
    return {
        "rows": len(frame),
        "timed_rows": len(part),
        "more_seconds": per_row * (len(frame) - len(part)),
    }


def _plain_example(row: pd.Series) -> bytes:
    names = [
        f"{prefix}_{b}" for prefix in ("true_mag", "fwhm", "sky_noise", "meas_mag") for b in "riz"
    ]
    feature = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[row[name]])) for name in names
    }
    for name in ("bal_id", "true_id"):
        feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(row[name])]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def vectorised(
    catalog: Path, maps: Path, out: Path, write: Callable[[Path, dict[str, np.ndarray]], int]
) -> dict[str, float]:
    """Whole-array look-ups, one map at a time, then shards in random order."""
    table = _read(catalog)
    table = table[_keeps(table) & (table[MEASURED][:, 1] < 37)]
    position = table["true_ra"].astype(float), table["true_dec"].astype(float)
    pixels = healpy.ang2pix(NSIDE, *position, nest=True, lonlat=True)
    rows = len(table)
    condition = np.empty((rows, 9), np.float32)
    condition[:, :3] = table[TRUTH][:, 1:]
    for index, file in enumerate(MAP_FILES.values(), start=3):
        sky = healpy.read_map(maps / file, nest=True)
        condition[:, index] = sky[pixels]
        del sky
    good = np.isfinite(condition).all(axis=1)
    regions = healpy.ang2pix(64, *position, nest=True, lonlat=True)
    split = _split_of_region()[regions]
    features = {
        "condition": condition,
        "measured": table[MEASURED][:, 1:].astype(np.float32),
        "row_id": table["bal_id"].astype(np.int64),
        "parent_id": table["true_id"].astype(np.int64),
        "region": regions,
        "position": np.stack(position, axis=1).astype(np.float32),
    }
    order = np.random.default_rng(0).permutation(rows)
    order = order[good[order]]
    timed_rows, more_seconds = 0, 0.0
    for index, name in enumerate(SPLITS):
        chosen = order[split[order] == index]
        for shard, part in enumerate(np.array_split(chosen, 8 if name == "train" else 1)):
            block = {key: values[part] for key, values in features.items()}
            start = time.perf_counter()
            written = write(out / f"{name}-{shard}.tfrecord", block)
            more_seconds += (time.perf_counter() - start) * (len(part) / written - 1)
            timed_rows += written
    return {"rows": len(order), "timed_rows": timed_rows, "more_seconds": more_seconds}


def write_rows(path: Path, block: dict[str, np.ndarray]) -> int:
    """One Example for each row, its message reused; the first rows of each shard only."""
    count = min(len(block["row_id"]), SHARD_EXAMPLE_ROWS)
    example = tf.train.Example()
    feature = example.features.feature
    lists = [
        (
            feature[name].int64_list.value
            if values.dtype.kind == "i"
            else feature[name].float_list.value,
            values.reshape(len(values), -1)[:count].tolist(),
        )
        for name, values in block.items()
    ]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in range(count):
            for target, values in lists:
                target[:] = values[row]
            writer.write(example.SerializeToString())
    return count


def write_batches(path: Path, block: dict[str, np.ndarray]) -> int:
    """One Example for 1,024 rows, each feature the bytes of an array."""
    count = len(block["row_id"])
    with tf.io.TFRecordWriter(str(path)) as writer:
        for first in range(0, count, RECORD_ROWS):
            example = tf.train.Example()
            for name, values in block.items():
                part = values[first : first + RECORD_ROWS]
                example.features.feature[name].bytes_list.value.append(part.tobytes())
            writer.write(example.SerializeToString())
    return count


WRITERS = {"rows": write_rows, "batches": write_batches}


def _read(catalog: Path) -> np.ndarray:
    names = ["bal_id", "true_id", "true_ra", "true_dec", TRUTH, MEASURED, *FLAGS]
    return fitsio.read(catalog, columns=names)


def _keeps(table: Any) -> Any:
    keep = np.ones(len(table), bool)
    for name, value in FLAGS.items():
        keep &= np.asarray(table[name] == value)
    return keep


def _split_of_region() -> np.ndarray:
    return np.digitize(np.random.default_rng(0).random(12 * 64**2), (0.7, 0.8))


def main() -> None:
    way, (catalog, maps, out) = sys.argv[1], map(Path, sys.argv[2:])
    out.mkdir(parents=True, exist_ok=True)
    ways = {name: partial(vectorised, write=write) for name, write in WRITERS.items()}
    print(json.dumps((ways | {"plain": plain})[way](catalog, maps, out)))


if __name__ == "__main__":
    main()
