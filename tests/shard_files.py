"""Shards from arrays in memory, written with the package's own writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.manifest import write_manifest
from data_prep.schema import Schema
from data_prep.shards import PieceWriter, assemble_split, feature_widths
from data_prep.splits import keyed_hash
from data_prep.statistics import ColumnStatistics


def write_shards(
    directory: Path,
    splits: Mapping[str, Mapping[str, np.ndarray]],
    schema: Schema,
    content: Mapping[str, Any],
    shards: int = 1,
) -> None:
    """Write splits (feature -> int64 (N,) or float32 (N, width)) and their manifest."""
    described = {}
    for name, features in splits.items():
        rows, pieces = len(features["row_id"]), []
        widths = feature_widths(schema, name, "weight" in features)
        for number, part in enumerate(np.array_split(np.arange(rows), min(shards, rows))):
            path = directory / f"{name}-{number}.piece"
            with PieceWriter.open(path) as writer:
                writer.write({key: np.asarray(values)[part] for key, values in features.items()})
            pieces.append((path, writer.describe()))
        described[name] = assemble_split(directory, name, pieces, widths, rows, len(pieces))
        for path, _ in pieces:
            path.unlink()
    train = splits["train"]
    values = np.concatenate([train["condition"], train["measured"]], axis=1)
    statistics = ColumnStatistics(values.shape[1])
    statistics.update(values, keyed_hash(train["row_id"], 0, "shuffle"))
    names = (*schema.condition_names, *schema.measured_names)
    found = dict(zip(names, statistics.describe(), strict=True))
    write_manifest(directory, schema, {"splits": described, "statistics": found} | dict(content))
