"""Shards of random rows in the default schema's shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.manifest import write_manifest
from data_prep.preset import load_preset
from data_prep.shards import PieceWriter, assemble_split, feature_widths
from data_prep.statistics import ColumnStatistics

_PIECE_ROWS = 250_000


def write_random_shards(directory: Path, rows: int) -> None:
    """A split ``train`` of `rows` rows, written in pieces."""
    schema = load_preset("mini-balrog").schema
    widths = feature_widths(schema, "train")
    names = (*schema.condition_names, *schema.measured_names)
    statistics, pieces = ColumnStatistics(len(names)), []
    directory.mkdir()
    for start in range(0, rows, _PIECE_ROWS):
        part = _random_rows(min(_PIECE_ROWS, rows - start), start, len(schema.measured_names))
        path = directory / f"{start}.piece"
        with PieceWriter.open(path) as writer:
            writer.write(part)
        pieces.append((path, writer.describe()))
        if start == 0:
            values = np.concatenate([part["condition"], part["measured"]], axis=1)
            statistics.update(values, part["row_id"].astype(np.uint64))
    split = assemble_split(directory, "train", pieces, widths, rows, len(pieces))
    for path, _ in pieces:
        path.unlink()
    described = dict(zip(names, statistics.describe(), strict=True))
    empty: dict[str, Any] = {key: {} for key in ("dropped", "regions", "parents", "provenance")}
    content = {"preset": schema.name, "label": "random rows", "rows_read": rows, "map_patterns": {}}
    content |= {"splits": {"train": split}, "statistics": described}
    write_manifest(directory, schema, empty | content)


def _random_rows(rows: int, start: int, measured: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(start)
    mag = rng.uniform(19, 25, (rows, measured))
    survey = rng.uniform(0.7, 1.3, (rows, 2 * measured))
    row_id = np.arange(start, start + rows, dtype=np.int64)
    return {
        "condition": np.concatenate([mag, survey], axis=1).astype(np.float32),
        "measured": (mag + rng.normal(0, 0.2, mag.shape)).astype(np.float32),
        "row_id": row_id,
        "parent_id": row_id,
        "region": row_id % 50,
        "position": np.zeros((rows, 2), np.float32),
    }
