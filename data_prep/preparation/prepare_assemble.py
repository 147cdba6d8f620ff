"""Last step of prepare: the pieces of all ranges -> shards and their manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.manifest import write_manifest
from data_prep.preparation.joining import NOT_DETECTED_IN
from data_prep.preparation.prepare_job import Job
from data_prep.preparation.prepare_write import piece_path, read_summary, split_names
from data_prep.schema import Schema
from data_prep.shards import assemble_split, feature_widths
from data_prep.splits import SPLITS, crossing_parents, merge_parents
from data_prep.statistics import ColumnStatistics

__all__ = ["assemble", "check_results", "total"]


def total(results: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Add up the counts of all ranges; nested counts too."""
    sums: dict[str, Any] = {}
    for result in results:
        for name, count in result[key].items():
            if isinstance(count, Mapping):
                inner = sums.setdefault(name, {})
                for reason, rows in count.items():
                    inner[reason] = inner.get(reason, 0) + rows
            else:
                sums[name] = sums.get(name, 0) + count
    return sums


def check_results(results: Sequence[Mapping[str, Any]], job: Job) -> None:
    """Demand that rows are left in every split, and with ``--strict`` that no value was bad.

    Raises
    ------
    BalrogError
        Saying what went where.
    """
    read, dropped, kept = (total(results, key) for key in ("read", "dropped", "kept"))
    bad = total(results, "bad_values")
    for role, spec in job.plan.tables.items():
        reasons = "; ".join(f"{reason}: {rows:,}" for reason, rows in dropped[role].items())
        if job.settings.strict and bad[role]:
            raise BalrogError(
                f"{spec.catalog.path}: --strict allows no bad value, found {bad[role]:,} rows with "
                f"one ({reasons})"
            )
        if role == "oracle" and not kept["oracle"]:
            raise BalrogError(
                f"{spec.catalog.path}: a redraw must hold injections of the test split, found "
                f"none (dropped: {reasons}); was it made with another --split-seed?"
            )
        if role in ("oracle", *_only_partners(job)):
            continue
        if not read[role]:
            raise BalrogError(
                f"{spec.catalog.path}: no row is detected, so there is nothing measured to learn; "
                "is `detected` of the preset the right column?"
            )
        if sum(dropped[role].values()) == read[role]:
            denied = any(reason.startswith(NOT_DETECTED_IN) for reason in dropped[role])
            raise BalrogError(
                f"{spec.catalog.path}: no row is left of {read[role]:,}; dropped: {reasons}"
                f"{'; is `detected` of the preset the right column?' if denied else ''}"
            )
        for split in SPLITS:
            if not kept[split if role == "matched" else f"detection-{split}"]:
                raise BalrogError(
                    f"{spec.catalog.path}: no row is left for the {split} split; give another "
                    "--split-seed or larger fractions"
                )


def _only_partners(job: Job) -> tuple[str, ...]:
    """Tables that are read for what others lack, and of which no row is written."""
    return ("oracle-detection",) if job.writes_detection else ("oracle-detection", "detection")


def assemble(
    directory: Path, results: Sequence[Mapping[str, Any]], job: Job, content: Mapping[str, Any]
) -> None:
    """Fill a directory with shards and their manifest.

    Parameters
    ----------
    directory : path
        Exists and is empty.
    results : sequence of mapping
        What each range gave, in order.
    job : Job
        The job.
    content : mapping
        The rest of the manifest.

    Raises
    ------
    OSError
        As raised by the write.
    """
    schema, kept = job.plan.preset.schema, total(results, "kept")
    dropped, splits = total(results, "dropped"), {}
    train_rows = max(kept["train"], 1)
    for name in split_names(job):
        rows = kept[name]
        if name.endswith("validation"):
            rows = _validation_rows(kept, name, job.settings.validation_rows)
            if rows < kept[name]:
                role = "detection" if name.startswith("detection") else "matched"
                dropped[role]["validation surplus"] = kept[name] - rows
        pieces = [
            (piece_path(job.work, name, shard), result["pieces"][name])
            for shard, result in enumerate(results)
        ]
        widths = feature_widths(schema, name, job.plan.weighted)
        files = min(job.shards, max(1, round(job.shards * rows / train_rows)))
        splits[name] = assemble_split(directory, name, pieces, widths, rows, files)
    statistics, parents, found_in = _summaries(job)
    others = [role for role in dropped if role not in ("matched", *_only_partners(job))]
    read = total(results, "read")
    manifest = {
        "splits": splits,
        "statistics": statistics["train"],
        "stratification": _stratification(statistics, schema),
        "rows_read": read["matched"],
        "dropped": dropped["matched"],
        "other_tables": {
            role: {"rows_read": read[role], "dropped": dropped[role]} for role in others
        },
        "parents": {
            "distinct": parents.size,
            "crossing": crossing_parents(found_in),
            "split": job.settings.split,
        },
    }
    write_manifest(directory, schema, manifest | dict(content))


def _validation_rows(kept: Mapping[str, int], name: str, most: int) -> int:
    """At most a tenth of all rows."""
    prefix = name.removesuffix("validation")
    everyone = sum(kept[prefix + split] for split in SPLITS)
    return min(kept[name], most, max(1, everyone // 10))


def _summaries(job: Job) -> tuple[dict[str, dict[str, Any]], np.ndarray, np.ndarray]:
    """Statistics of every split, and the parents with the splits they are in."""
    merged: dict[str, ColumnStatistics] = {}
    parents = (np.empty(0, np.int64), np.empty(0, np.uint8))
    for shard in range(job.shards):
        arrays = read_summary(job.work, shard)
        parents = merge_parents(parents, (arrays["parents"], arrays["parent_splits"]))
        for name in SPLITS:
            part = ColumnStatistics.from_arrays(
                {key: arrays[f"{name} {key}"] for key in ("count", "moments", "keys", "sample")}
            )
            if name in merged:
                merged[name].merge(part)
            else:
                merged[name] = part
    schema = job.plan.preset.schema
    columns = (*schema.condition_names, *schema.measured_names)
    described = {
        name: dict(zip(columns, statistics.describe(), strict=True))
        for name, statistics in merged.items()
    }
    return described, parents[0], parents[1]


def _stratification(statistics: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """How far the means of the held-out splits are from train's, in train's spreads."""
    report: dict[str, Any] = {}
    for split in SPLITS[1:]:
        report[split] = {}
        for name in (*schema.condition_names, *schema.measured_names):
            train, held_out = statistics["train"][name], statistics[split][name]
            spread = train["std"] or 1.0
            report[split][name] = (held_out["mean"] - train["mean"]) / spread
    return report
