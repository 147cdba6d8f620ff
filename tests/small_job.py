"""The small survey as a prepare job in memory, for tests of its steps one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import healpy
import numpy as np
from memory_catalog import MemoryCatalog
from small_survey import NSIDE, found_of, make_injections, write_preset

from data_prep.preparation.prepare_job import Job
from data_prep.preparation.prepare_plan import plan_job
from data_prep.preparation.prepare_read import read_range, read_tasks
from data_prep.prepare_settings import PrepareSettings

CUT = {"column": "flag", "operator": "==", "value": 0, "table": "detection", "rows": "all"}


class SkyMaps:
    """Stands for the maps: a whole-sky array for each column, NaN where there is none."""

    def __init__(self, **skies: np.ndarray) -> None:
        self.skies = skies

    def values_at(
        self, ra: np.ndarray, dec: np.ndarray, interpolate: bool = False
    ) -> dict[str, np.ndarray]:
        pixels = healpy.ang2pix(NSIDE, ra, dec, nest=True, lonlat=True)
        return {name: sky[pixels] for name, sky in self.skies.items()}


def make_sky(low: float = 0.5, high: float = 1.5) -> np.ndarray:
    return np.random.default_rng(3).uniform(low, high, 12 * NSIDE**2).astype(np.float32)


def tables_of(columns: dict[str, np.ndarray], *without: str) -> tuple[MemoryCatalog, MemoryCatalog]:
    """Matched catalogue in an order of its own, and detection catalogue."""
    matched = found_of(columns, "found", "flag", *without)
    order = np.random.default_rng(8).permutation(len(matched["id"]))
    detection = {name: values for name, values in columns.items() if name[:2] != "m_"}
    return (
        MemoryCatalog({name: values[order] for name, values in matched.items()}, "matched.fits"),
        MemoryCatalog(detection, "detection.fits"),
    )


def make_settings(
    directory: Path,
    columns: dict[str, np.ndarray] | None = None,
    preset: dict[str, Any] | None = None,
    without: tuple[str, ...] = (),
    **options: Any,
) -> PrepareSettings:
    """Settings over catalogues in memory, with one cut."""
    matched, detection = tables_of(make_injections() if columns is None else columns, *without)
    paths = {"maps": directory / "maps", "out": directory / "shards"}
    given = {"catalog": matched, "detection": detection, "batch_rows": 100} | paths | options
    preset_path = write_preset(directory, **({"cuts": [CUT]} | (preset or {})))
    return PrepareSettings(preset=preset_path, **given)


def make_job(settings: PrepareSettings, shards: int = 2, buckets_per_shard: int = 2) -> Job:
    """The job, whose first pass is done."""
    work = settings.out.parent / "work"
    for name in ("read", "pieces"):
        (work / name).mkdir(parents=True)
    job = Job(work, plan_job(settings), settings, shards, buckets_per_shard)
    for task in read_tasks(job):
        result = json.dumps(read_range(task))
        (work / "read" / f"{task.number:05d}.json").write_text(result)
    return job


def chunks_of(job: Job) -> list[dict[str, Any]]:
    return [
        chunk
        for path in sorted((job.work / "read").iterdir())
        for chunk in json.loads(path.read_text())["chunks"]
    ]
