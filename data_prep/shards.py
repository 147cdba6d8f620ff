"""Training shards: TFRecord files of tf.train.Example, and manifest.json that describes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError, require
from data_prep.files import sha256_of, write_json
from data_prep.manifest import FORMAT_VERSION, MANIFEST_NAME, Manifest
from data_prep.progress import Progress
from data_prep.records import encode_examples, frame_records
from data_prep.schema import Schema

__all__ = ["Manifest", "SplitRows", "read_split", "write_shards"]

# A block of records fits the processor's second-level cache.
_BLOCK_ROWS = 8_192


@dataclass(frozen=True)
class SplitRows:
    """Rows of a table that make up a split, in the order they are written.

    Attributes
    ----------
    features : mapping of str to array or sequence of arrays
        Feature -> int64 array, shape (N,), or the float32 columns of a vector, each shape (N,).
    rows : int64 array, shape (K,)
        Which of the N rows, in order.
    """

    features: Mapping[str, np.ndarray | Sequence[np.ndarray]]
    rows: np.ndarray

    def block(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Features of rows ``start:stop``: int64 (n,) or float32 (n, width)."""
        rows = self.rows[start:stop]
        return {
            name: values[rows]
            if isinstance(values, np.ndarray)
            else np.stack([column[rows] for column in values], axis=1).astype(np.float32)
            for name, values in self.features.items()
        }


def write_shards(
    directory: Path,
    splits: Mapping[str, SplitRows],
    schema: Schema,
    content: Mapping[str, Any],
    shards: int,
) -> None:
    """Fill a directory with shards and their manifest.

    Parameters
    ----------
    directory : path
        Exists; give it through :func:`data_prep.files.atomic_directory`.
    splits : mapping of str to SplitRows
        Must have ``"train"``.
    schema : Schema
        Names the columns of condition and measured.
    content : mapping
        The rest of the manifest: preset, label, dropped, rows_read, regions, parents,
        map_patterns, provenance.
    shards : int
        Files of the train split; other splits get as many as keep files of about that size.

    Raises
    ------
    MissingExtraError
        If TensorFlow is not installed.
    OSError
        As raised by the write.
    """
    train_rows = max(len(splits["train"].rows), 1)
    described = {}
    with Progress("write shards", sum(len(s.rows) for s in splits.values()), "rows") as progress:
        for name, split in splits.items():
            files = min(shards, max(1, round(shards * len(split.rows) / train_rows)))
            described[name] = {
                "rows": len(split.rows),
                "shards": [
                    _write_file(
                        directory, f"{name}-{k:05d}-of-{files:05d}.tfrecord", part, progress
                    )
                    for k, part in enumerate(_parts(split, files))
                ],
            }
    manifest = {
        "format_version": FORMAT_VERSION,
        "schema": schema.to_dict(),
        "fingerprint": schema.fingerprint,
        "splits": described,
        "statistics": _statistics(splits["train"], schema),
    }
    write_json(directory / MANIFEST_NAME, manifest | dict(content))


def read_split(directory: str | os.PathLike[str], split: str) -> dict[str, np.ndarray]:
    """Read a split into memory.

    Parameters
    ----------
    directory : path
        Written by ``python -m data_prep prepare``.
    split : str
        ``"train"``, ``"validation"``, ``"test"``, ``"oracle"``, ``"detection-train"``, ...

    Returns
    -------
    dict of str to array
        Feature -> float32 (rows, width) for condition, measured and position; int64 (rows,) for
        row_id, parent_id, region and detected.

    Raises
    ------
    BalrogError
        If there is no such split, or a shard is truncated or changed.
    """
    manifest = Manifest.load(directory)
    if split not in manifest.splits:
        raise BalrogError(
            f"{directory} must have the split {split!r}; it has {', '.join(manifest.splits)}"
        )
    described = manifest.splits[split]
    widths = _feature_widths(manifest.schema, split)
    result = {
        name: np.empty((described["rows"], width) if width else described["rows"],
                       np.float32 if width else np.int64)
        for name, width in widths.items()
    }  # fmt: skip
    start = stop = 0
    for shard in described["shards"]:
        path = manifest.directory / shard["file"]
        if sha256_of(path) != shard["sha256"]:
            raise BalrogError(
                f"{path} must have the SHA-256 that the manifest says; it is truncated or "
                "changed; copy it anew or prepare the shards again"
            )
        for block in _parsed_blocks(path, widths):
            stop = start + len(block["row_id"])
            if stop > described["rows"]:
                break
            for name, values in block.items():
                result[name][start:stop] = values
            start = stop
    if stop != described["rows"]:
        raise BalrogError(
            f"{directory}: the manifest says {described['rows']:,} rows in split {split}, the "
            f"shards hold {stop:,} or more; prepare the shards again"
        )
    return result


def _feature_widths(schema: Schema, split: str) -> dict[str, int]:
    """Feature -> number of floats; 0 for a single integer."""
    ids = {"row_id": 0, "parent_id": 0, "region": 0, "position": 2}
    condition = {"condition": len(schema.condition_names)}
    if split.startswith("detection-"):
        return condition | {"detected": 0} | ids
    return condition | {"measured": len(schema.measured_names)} | ids


def _parsed_blocks(path: Path, widths: Mapping[str, int]) -> Any:
    """Blocks of parsed records: batched first, which parses 15 times faster than one by one."""
    tf = require("tensorflow", "cpu")
    spec = {
        name: tf.io.FixedLenFeature([width] if width else [], tf.float32 if width else tf.int64)
        for name, width in widths.items()
    }
    dataset = tf.data.TFRecordDataset([str(path)]).batch(8192)
    return dataset.map(lambda records: tf.io.parse_example(records, spec)).as_numpy_iterator()


def _parts(split: SplitRows, files: int) -> list[SplitRows]:
    return [SplitRows(split.features, rows) for rows in np.array_split(split.rows, files)]


def _write_file(directory: Path, name: str, part: SplitRows, progress: Progress) -> dict[str, Any]:
    path, digest = directory / name, hashlib.sha256()
    with open(path, "wb") as handle:
        for start in range(0, len(part.rows), _BLOCK_ROWS):
            records = frame_records(encode_examples(part.block(start, start + _BLOCK_ROWS)))
            handle.write(records.data)
            digest.update(records.data)
            progress.update(len(records))
    if len(part.rows):
        _require_readable(path, part.block(0, 1))
    return {"file": name, "rows": len(part.rows), "sha256": digest.hexdigest()}


def _require_readable(path: Path, block: Mapping[str, np.ndarray]) -> None:
    """Read the first record with TensorFlow's own classes and compare it with what went in."""
    tf = require("tensorflow", "cpu")
    record = next(tf.data.TFRecordDataset([str(path)]).take(1).as_numpy_iterator())
    features = tf.train.Example.FromString(record).features.feature
    for name, values in block.items():
        found = features[name].int64_list.value or features[name].float_list.value
        if not np.array_equal(np.asarray(found, values.dtype), np.ravel(values)):
            raise RuntimeError(f"{path}: the encoder wrote {name} wrongly: {found} for {values}")


def _statistics(train: SplitRows, schema: Schema) -> dict[str, Any]:
    """Count, mean, std, min, max and quantiles of each column of the train split."""
    levels = (0.001, 0.01, 0.05, 0.16, 0.25, 0.5, 0.75, 0.84, 0.95, 0.99, 0.999)
    result = {}
    for feature, names in (
        ("condition", schema.condition_names),
        ("measured", schema.measured_names),
    ):
        for name, column in zip(names, train.features[feature], strict=True):
            values = np.sort(column[train.rows]).astype(np.float64)
            result[name] = {
                "count": values.size,
                "mean": float(values.mean()),
                "std": float(values.std()),
                "min": float(values[0]),
                "max": float(values[-1]),
                "quantiles": {
                    str(level): float(value)
                    for level, value in zip(levels, np.quantile(values, levels), strict=True)
                },
            }
    return result
