"""The small DES Y3 survey of survey_files with a few of everything that is bad, as settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import healpy
import numpy as np
from survey_files import MAP_NSIDE, make_catalog, matched_of, write_maps, write_table

from data_prep.prepare_settings import PrepareSettings
from data_prep.shards import read_split

CUT_ROWS = 30
SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class PrepareWorld:
    """What is in the files, and the settings that name them."""

    settings: PrepareSettings
    detection: dict[str, np.ndarray]
    matched: dict[str, np.ndarray]
    replicate: dict[str, np.ndarray]
    maps: dict[str, Any]


def make_world(directory: Path, rows: int = 4000) -> PrepareWorld:
    """Write the survey: flagged rows, six bad magnitudes, a hole in one map, a redraw."""
    detection = make_catalog(rows)
    detection["flags_foreground"][:CUT_ROWS] = 1
    detected = np.flatnonzero(detection["detected"] == 1)
    ra, dec = (detection[name][detected[rows // 4]] for name in ("true_ra", "true_dec"))
    hole = int(healpy.ang2pix(MAP_NSIDE, ra, dec, nest=True, lonlat=True))
    maps = write_maps(directory / "maps", hole=hole)
    matched = matched_of(detection)
    by_id = {row_id: row for row, row_id in enumerate(matched["bal_id"].tolist())}
    bad = detection["bal_id"][detected[rows // 2 : rows // 2 + 6]].tolist()
    values = [37.5, np.nan, np.inf, 9.999e9, -9.999e9, -9999]
    for row_id, value in zip(bad, values, strict=True):
        matched["meas_cm_mag_deredden"][by_id[row_id], 2] = value
    replicate = matched_of(detection, seed=11)
    files = {
        name: write_table(directory / f"{name}_catalog.fits", columns)
        for name, columns in {
            "balrog_matched": matched,
            "balrog_detection": detection,
            "replicate_matched": replicate,
            "replicate_detection": detection,
        }.items()
    }
    settings = PrepareSettings(
        catalog=files["balrog_matched"],
        detection=files["balrog_detection"],
        replicate=files["replicate_matched"],
        maps=directory / "maps",
        out=directory / "shards",
        shards=3,
    )
    return PrepareWorld(settings, detection, matched, replicate, maps)


def all_rows(directory: Path, prefix: str = "") -> dict[str, np.ndarray]:
    """Train, validation and test rows together."""
    splits = [read_split(directory, prefix + name) for name in SPLIT_NAMES]
    return {key: np.concatenate([split[key] for split in splits]) for key in splits[0]}


def shard_bytes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.tfrecord"))}


def split_bytes(directory: Path) -> dict[str, bytes]:
    """Each split's records, whatever the files they are in."""
    records: dict[str, bytes] = {}
    for name, content in shard_bytes(directory).items():
        split = name.rsplit("-", 3)[0]
        records[split] = records.get(split, b"") + content
    return records
