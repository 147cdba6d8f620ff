"""Second pass of prepare: a range of the shuffle key -> one piece of every split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.files import atomic_path
from data_prep.preparation.injections import match_rows
from data_prep.preparation.joining import Table, join_neighbors, join_tables, look_up, read_tables
from data_prep.preparation.prepare_job import Job
from data_prep.preparation.prepare_neighbors import read_neighbors
from data_prep.shards import PieceWriter, feature_widths
from data_prep.splits import SPLITS, merge_parents, split_of_parents, unique_parents
from data_prep.statistics import ColumnStatistics

__all__ = ["WriteTask", "piece_path", "read_summary", "split_names", "write_shard"]


@dataclass(frozen=True, eq=False)
class WriteTask:
    """One range of the shuffle key.

    Attributes
    ----------
    job : Job
        The job.
    shard : int
        Which range.
    maps : StoredMaps
        The survey properties.
    split_of_region : int8 array, shape (49152,)
        Split of every region as an index into SPLITS.
    """

    job: Job
    shard: int
    maps: Any
    split_of_region: np.ndarray


def split_names(job: Job) -> list[str]:
    """Splits that the job writes."""
    names = list(SPLITS)
    if "oracle" in job.plan.tables:
        names.append("oracle")
    if job.writes_detection:
        names += [f"detection-{name}" for name in SPLITS]
    return names


def piece_path(work: Path, split: str, shard: int) -> Path:
    """File of one piece."""
    return work / "pieces" / f"{split}-{shard:05d}.tfrecord"


def read_summary(work: Path, shard: int) -> Any:
    """Statistics and parents of a range, as :func:`write_shard` saved them."""
    return np.load(work / "pieces" / f"summary-{shard:05d}.npz")


def write_shard(task: WriteTask) -> dict[str, Any]:
    """Join, cut, look up, split, shuffle and write one range of the shuffle key.

    Returns
    -------
    dict
        ``pieces``: split -> rows, sha256; ``kept``: split -> rows before the cap on validation
        rows; ``read``, ``dropped``, ``bad_values``: role -> counts; ``covered``: map column ->
        rows with a value.

    Raises
    ------
    BalrogError
        If an id repeats or an intermediate file is lost.
    OSError
        As raised by the write.
    """
    job, totals = task.job, _Totals(task.job)
    chunks, near = (_chunks(job, stage, task.shard) for stage in ("read", "neighbors"))
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(PieceWriter.open(piece_path(job.work, name, task.shard)))
            for name in split_names(job)
        }
        for bucket in range(job.buckets_per_shard):
            # In a function, so that a bucket is gone before the next one is read.
            _write_bucket(task, chunks, near, bucket, writers, totals)
        pieces = {name: writer.describe() for name, writer in writers.items()}
    totals.save(job.work / "pieces" / f"summary-{task.shard:05d}.npz")
    return {"pieces": pieces, **totals.counts}


def _chunks(job: Job, stage: str, shard: int) -> list[dict[str, Any]]:
    """What an earlier stage wrote, with the starts of this range's buckets alone."""
    first = shard * job.buckets_per_shard
    return [
        chunk | {"starts": chunk["starts"][first : first + job.buckets_per_shard + 1]}
        # A killed job may have left files that begin with a dot.
        for path in sorted((job.work / stage).glob("[0-9]*.json"))
        for chunk in json.loads(path.read_text(encoding="utf-8"))["chunks"]
    ]


def _write_bucket(
    task: WriteTask,
    chunks: Sequence[Mapping[str, Any]],
    near: Sequence[Mapping[str, Any]],
    bucket: int,
    writers: Mapping[str, PieceWriter],
    totals: _Totals,
) -> None:
    """Join, cut, look up and write one bucket."""
    job = task.job
    tables = read_tables(job, chunks, bucket)
    join_tables(tables, job)
    tables.pop("oracle-detection", None)
    if job.plan.neighbors:
        found = read_neighbors(job, near, bucket)
        join_neighbors(tables, list(job.plan.neighbors), found, job.plan.preset)
    if not job.writes_detection:
        tables.pop("detection", None)
    totals.add_covered(look_up(tables, task.maps, job.plan.preset, job.settings.interpolate))
    _write_tables(tables, task, writers, totals)


class _Totals:
    """What a range adds up to."""

    def __init__(self, job: Job) -> None:
        schema = job.plan.preset.schema
        columns = len(schema.condition_names) + len(schema.measured_names)
        self.statistics = {name: ColumnStatistics(columns) for name in SPLITS}
        self.parents = (np.empty(0, np.int64), np.empty(0, np.uint8))
        self.counts: dict[str, Any] = {
            "kept": dict.fromkeys(split_names(job), 0),
            "read": dict.fromkeys(job.plan.tables, 0),
            "dropped": {role: {} for role in job.plan.tables},
            "bad_values": dict.fromkeys(job.plan.tables, 0),
            "covered": {},
        }

    def add_covered(self, covered: Mapping[str, int]) -> None:
        for name, rows in covered.items():
            self.counts["covered"][name] = self.counts["covered"].get(name, 0) + rows

    def add_table(self, role: str, table: Table) -> None:
        self.counts["read"][role] += len(table)
        self.counts["bad_values"][role] += table.selection.bad_values
        dropped = self.counts["dropped"][role]
        for reason, rows in table.selection.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + rows

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {}
        arrays |= {"parents": self.parents[0], "parent_splits": self.parents[1]}
        for name, statistics in self.statistics.items():
            arrays |= {f"{name} {key}": v for key, v in statistics.to_arrays().items()}
        with atomic_path(path, sync=False) as partial, open(partial, "wb") as handle:
            np.savez(handle, **arrays)


def _write_tables(
    tables: Mapping[str, Table],
    task: WriteTask,
    writers: Mapping[str, PieceWriter],
    totals: _Totals,
) -> None:
    settings, tested = task.job.settings, np.empty(0, np.int64)
    for role in ("matched", "detection"):
        if role not in tables:
            continue
        table = tables[role]
        split = _split_of(table, task)
        keep = table.selection.keep
        if task.job.plan.preset.parent:
            parents = unique_parents(table.rows["parent_id"][keep], split[keep])
            totals.parents = merge_parents(totals.parents, parents)
        for index, name in enumerate(SPLITS):
            rows = np.flatnonzero(keep & (split == index))
            full_name = name if role == "matched" else f"detection-{name}"
            features = _features(table, rows, full_name, task)
            totals.counts["kept"][full_name] += len(rows)
            if role == "matched":
                values = np.concatenate([features["condition"], features["measured"]], axis=1)
                totals.statistics[name].update(values, table.rows["key"][rows])
            if role == "matched" and name == "test":
                tested = table.rows["row_id"][rows]
            if name == "validation":
                left = settings.validation_rows - writers[full_name].rows
                features = {key: values[:left] for key, values in features.items()}
            writers[full_name].write(features)
        totals.add_table(role, table)
    if "oracle" in tables:
        table = tables["oracle"]
        where = str(table.spec.catalog.path)
        partner = match_rows(table.rows["row_id"], tested, where)
        table.selection.drop(partner < 0, "no such row in the test split")
        rows = np.flatnonzero(table.selection.keep)
        writers["oracle"].write(_features(table, rows, "oracle", task))
        totals.counts["kept"]["oracle"] += len(rows)
        totals.add_table("oracle", table)


def _split_of(table: Table, task: WriteTask) -> np.ndarray:
    """Split of each row as an index into SPLITS; drops rows whose parent is elsewhere."""
    settings = task.job.settings
    of_region: np.ndarray = task.split_of_region[table.rows["region"]]
    if settings.split == "sky":
        return of_region
    of_parent = split_of_parents(
        table.rows["parent_id"],
        settings.split_seed,
        settings.validation_fraction,
        settings.test_fraction,
    )
    if settings.split == "sky+parent":
        table.selection.drop(of_parent != of_region, "parent belongs to another split")
    return of_parent


def _features(table: Table, rows: np.ndarray, split: str, task: WriteTask) -> dict[str, np.ndarray]:
    schema, columns, fields = task.job.plan.preset.schema, table.columns, table.rows[rows]
    arrays = {
        "condition": [columns[name][rows] for name in schema.condition_names],
        "position": [fields["ra"], fields["dec"]],
    }
    if not split.startswith("detection-"):
        arrays["measured"] = [columns[name][rows] for name in schema.measured_names]
    features = {name: np.stack(parts, axis=1).astype(np.float32) for name, parts in arrays.items()}
    for name in feature_widths(schema, split):
        if name not in features:
            features[name] = fields[name].astype(np.int64)
    if task.job.plan.weighted:
        features["weight"] = fields["weight"][:, None]
    return features
