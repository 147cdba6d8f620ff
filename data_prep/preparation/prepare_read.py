"""First pass of prepare: a range of a catalogue -> rows in buckets on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.preparation.deep_table import join_deep
from data_prep.preparation.injections import NO_REGION, read_rows
from data_prep.preparation.prepare_job import Job
from data_prep.preparation.prepare_neighbors import write_cells
from data_prep.preparation.spill import bucket_of, write_chunk
from data_prep.splits import pack_regions

__all__ = ["ReadTask", "read_range", "read_tasks"]


@dataclass(frozen=True)
class ReadTask:
    """Rows `start` to `stop` of the catalogue that these tables share."""

    job: Job
    roles: tuple[str, ...]
    number: int
    start: int
    stop: int


def read_tasks(job: Job) -> list[ReadTask]:
    """Cut every catalogue into tasks; tables in one catalogue are read together."""
    shared: dict[int, list[str]] = {}
    for role, spec in job.specs.items():
        shared.setdefault(id(spec.catalog), []).append(role)
    ranges = [
        (tuple(roles), start, stop)
        for roles in shared.values()
        for start, stop in job.specs[roles[0]].catalog.pieces(job.settings.batch_rows)
    ]
    return [
        ReadTask(job, roles, number, start, stop)
        for number, (roles, start, stop) in enumerate(ranges)
    ]


def read_range(task: ReadTask) -> dict[str, Any]:
    """Read, convert and check the rows of a task, and write them in buckets.

    Returns
    -------
    dict
        ``chunks``: for each file written its role, name, bucket starts, rows and reasons;
        ``cells``: the same by cell of the sky, for neighbours; ``regions``: those occupied,
        packed.

    Raises
    ------
    BalrogError
        If the catalogue is damaged or an id is no whole number.
    OSError
        As raised by the write.
    """
    job = task.job
    specs = [job.specs[role] for role in task.roles]
    catalog, settings = specs[0].catalog, job.settings
    columns = list(dict.fromkeys(name for spec in specs for name in spec.needed))
    job.rows_directory.mkdir(exist_ok=True)
    chunks: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    regions, row = np.empty(0, np.int32), task.start
    batches = catalog.batches(columns, settings.batch_rows, task.start, task.stop)
    for part, batch in enumerate(batches):
        for spec in specs:
            rows, bad = read_rows(
                batch, row, spec, job.plan.preset, settings.unit, settings.split_seed
            )
            if spec.deep_columns and job.plan.deep is not None:
                join_deep(rows, bad, spec, job.plan.deep)
            if job.plan.neighbors and spec.role in ("neighbor", job.plan.neighbor_role):
                name = f"cells-{spec.role}-{task.number:05d}-{part:05d}.rows"
                cells.append(write_cells(rows, spec, job, name))
            if spec.role == "neighbor":
                continue
            bucket = bucket_of(rows["key"], job.buckets)
            path = job.rows_directory / f"{spec.role}-{task.number:05d}-{part:05d}.rows"
            chunk = write_chunk(path, rows, bucket, job.buckets)
            chunk |= {"role": spec.role, "rows": len(rows), "reasons": bad.reasons}
            chunks.append(chunk | {"bad_reasons": sorted(bad.bad_reasons)})
            if spec.role in ("matched", "detection"):
                regions = np.union1d(regions, np.unique(rows["region"]))
        row += len(batch[columns[0]])
    if row != task.stop:
        raise BalrogError(
            f"{catalog.path}: rows {task.start:,} to {task.stop:,} were expected, the file ends "
            f"at {row:,}; it is truncated or changed while it was read"
        )
    occupied = pack_regions(regions[regions != NO_REGION])
    return {"chunks": chunks, "cells": cells, "regions": occupied}
