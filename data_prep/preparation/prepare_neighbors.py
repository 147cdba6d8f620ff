"""Neighbour conditions in bounded memory: cell of the sky by cell, between the two passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.neighbors import neighbor_values, sky_cells
from data_prep.preparation.injections import NO_REGION, TableSpec
from data_prep.preparation.prepare_job import Job
from data_prep.preparation.spill import bucket_of, read_bucket, write_chunk

__all__ = ["CellTask", "cell_tasks", "find_neighbors", "read_neighbors", "write_cells"]

# 768 cells of 54 deg2: hundreds of thousands of rows in each of a large survey.
_NSIDE = 8
_CELLS = 12 * _NSIDE**2
_TARGET, _NEIGHBOR = 1, 2


@dataclass(frozen=True)
class CellTask:
    """Objects of one cell of the sky, and those within reach beyond its edge."""

    job: Job
    cell: int
    chunks: tuple[Mapping[str, Any], ...]


def write_cells(rows: np.ndarray, spec: TableSpec, job: Job, name: str) -> dict[str, Any]:
    """Write rows by cell; neighbours also to the other cells that they are within reach of.

    Parameters
    ----------
    rows : structured array, shape (N,)
        As read.
    spec : TableSpec
        Of these rows.
    job : Job
        The job.
    name : str
        Of the file.

    Returns
    -------
    dict
        The chunk.
    """
    rows = rows[rows["region"] != NO_REGION]
    is_target = spec.role == job.plan.neighbor_role
    is_neighbor = spec.role == "neighbor" or job.plan.neighbor_table is None
    reach = max(neighbor.radius_arcsec for neighbor in job.plan.neighbors.values())
    index, cell, is_own = sky_cells(rows["ra"], rows["dec"], reach, _NSIDE)
    if not is_neighbor:
        index, cell, is_own = index[is_own], cell[is_own], is_own[is_own]
    objects = np.empty(len(index), _dtype(job))
    for field in ("key", "row_id", "ra", "dec"):
        objects[field] = rows[field][index]
    objects["kind"] = _TARGET * (is_own & is_target) + _NEIGHBOR * is_neighbor
    objects["brightness"] = rows["values"][index, len(spec.values) :]
    return write_chunk(job.rows_directory / name, objects, cell.astype(np.uint16), _CELLS)


def cell_tasks(job: Job, results: Sequence[Mapping[str, Any]]) -> tuple[list[CellTask], list[int]]:
    """One task for each occupied cell, and how many objects it has."""
    chunks = [chunk for result in results for chunk in result["cells"]]
    starts = np.array([chunk["starts"] for chunk in chunks])
    counts = np.diff(starts, axis=1).sum(axis=0)
    cells = np.flatnonzero(counts)
    # Of a chunk only this cell's place is needed: all starts of all chunks would be many.
    tasks = [
        CellTask(
            job,
            int(cell),
            tuple(
                {"file": chunk["file"], "starts": chunk["starts"][cell : cell + 2]}
                for chunk in chunks
                if chunk["starts"][cell] < chunk["starts"][cell + 1]
            ),
        )
        for cell in cells
    ]
    return tasks, counts[cells].tolist()


def find_neighbors(task: CellTask) -> dict[str, Any]:
    """Compute the neighbour columns of a cell's targets and write them by bucket.

    Returns
    -------
    dict
        ``chunks``: the file written.
    """
    job, neighbors = task.job, list(task.job.plan.neighbors.values())
    objects, _ = read_bucket(job.rows_directory, list(task.chunks), 0, _dtype(job))
    targets = objects[objects["kind"] & _TARGET > 0]
    others = objects[objects["kind"] & _NEIGHBOR > 0]
    found = np.empty(len(targets), _value_dtype(job))
    found["key"], found["row_id"] = targets["key"], targets["row_id"]
    found["values"] = neighbor_values(
        targets["ra"], targets["dec"], targets["brightness"],
        others["ra"], others["dec"], others["brightness"],
        neighbors,
    )  # fmt: skip
    bucket = bucket_of(found["key"], job.buckets)
    path = job.rows_directory / f"neighbors-{task.cell:05d}.rows"
    return {"chunks": [write_chunk(path, found, bucket, job.buckets)]}


def read_neighbors(job: Job, chunks: Sequence[Mapping[str, Any]], bucket: int) -> np.ndarray:
    """Neighbour columns of one bucket: ``row_id`` and ``values``, shape (N, columns)."""
    return read_bucket(job.rows_directory, chunks, bucket, _value_dtype(job))[0]


def _dtype(job: Job) -> np.dtype:
    spec = job.plan.tables[job.plan.neighbor_role]
    fields: list[tuple[Any, ...]] = [
        ("key", np.uint64), ("row_id", np.int64), ("ra", np.float64), ("dec", np.float64),
        ("kind", np.uint8), ("brightness", np.float32, (len(spec.brightness),)),
    ]  # fmt: skip
    return np.dtype(fields)


def _value_dtype(job: Job) -> np.dtype:
    columns = len(job.plan.neighbors)
    return np.dtype([("key", np.uint64), ("row_id", np.int64), ("values", np.float32, (columns,))])
