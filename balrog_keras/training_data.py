"""Training and validation rows of a run: in memory, or streamed where they do not fit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.config import Settings
from balrog_keras.datasets import WHOLE_BATCH, Share, training_batches
from balrog_keras.standardizer import Standardizer
from balrog_keras.streaming import StreamedRows
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.shards import check_shard, read_split

__all__ = ["MemoryRows", "available_memory", "open_training_rows", "read_validation_rows"]

# The hidden layers of the location/scale network take hundreds of bytes per row and layer.
_STANDARDIZED_TOGETHER = 65_536
# Read, standardized, and the copy that TensorFlow holds.
_COPIES = 3
# Each of five bins of a condition should have some.
_FEWEST_VALIDATION_ROWS = 50


class MemoryRows:
    """Rows of a split in memory (1.7 million rows of 12 columns are 82 MB).

    Parameters
    ----------
    condition, measured : float32 arrays, shapes (N, C) and (N, M)
        Physical units.
    weights : float32 array, shape (N,), optional
        Rows are drawn in proportion to them.
    """

    def __init__(
        self, condition: np.ndarray, measured: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        self.condition, self.measured, self.weights = condition, measured, weights
        self.rows = len(condition)

    def sample(self) -> dict[str, np.ndarray]:
        """All rows: ``condition`` and ``measured``, physical units."""
        return {"condition": self.condition, "measured": self.measured}

    def batches(
        self,
        standardizer: Standardizer,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        share: Share = WHOLE_BATCH,
    ) -> Any:
        """Endless batches of standardized rows; see :func:`.datasets.training_batches`.

        Returns
        -------
        tf.data.Dataset
            Tuples (context, measured) of float32 tensors, see :meth:`.Standardizer.context`.
        """
        standardized = self._standardized(standardizer)
        return training_batches(standardized, batch_size, seed, start_step, self.weights, share)

    def _standardized(self, standardizer: Standardizer) -> tuple[np.ndarray, np.ndarray]:
        context = np.empty((self.rows, standardizer.context_size), np.float32)
        measured = np.empty_like(self.measured)
        for start in range(0, self.rows, _STANDARDIZED_TOGETHER):
            some = slice(start, start + _STANDARDIZED_TOGETHER)
            context[some] = standardizer.context(self.condition[some])
            measured[some] = standardizer.standardize(self.condition[some], self.measured[some])
        return context, measured


def open_training_rows(shards: Path, settings: Settings) -> MemoryRows | StreamedRows:
    """The split ``train``, as ``settings.stream`` says.

    Parameters
    ----------
    shards : path
        Directory made by ``python -m data_prep prepare``.
    settings : Settings
        ``stream`` and ``use_weights`` are used.

    Raises
    ------
    BalrogError
        If there are no rows, no weights where they are asked for, less memory than the rows need,
        or a shard that is truncated or changed.
    """
    manifest = Manifest.load(shards)
    entry = _entry(manifest, "train")
    if settings.use_weights and "weight" not in entry["features"]:
        raise BalrogError(
            f"setting use_weights needs shards with weights, {shards} has none; prepare them with "
            "a preset that names the `weight` column"
        )
    if settings.stream:
        _check_shards(manifest, entry)
        return StreamedRows(manifest.directory, entry, settings.use_weights)
    _check_memory(entry)
    rows = read_split(shards, "train")
    weights = rows["weight"] if settings.use_weights else None
    return MemoryRows(rows["condition"], rows["measured"], weights)


def read_validation_rows(shards: Path, settings: Settings) -> dict[str, np.ndarray]:
    """Up to ``settings.validation_rows`` rows of the split ``validation``, physical units.

    Returns
    -------
    dict of str to float32 array
        ``condition`` (N, C) and ``measured`` (N, M).

    Raises
    ------
    BalrogError
        If there are none, or a shard is truncated or changed.
    """
    manifest = Manifest.load(shards)
    entry, most = _entry(manifest, "validation"), settings.validation_rows
    if settings.stream:
        _check_shards(manifest, entry)
        rows = StreamedRows(manifest.directory, entry).sample(most)
    else:
        rows = read_split(shards, "validation")
    if len(rows["condition"]) < _FEWEST_VALIDATION_ROWS:
        raise BalrogError(
            f"{manifest.directory} must have at least {_FEWEST_VALIDATION_ROWS} validation rows to "
            f"tell which generator is best, found {len(rows['condition'])}: prepare a larger "
            "catalogue or a larger --validation-fraction"
        )
    return {name: rows[name][:most] for name in ("condition", "measured")}


def _entry(manifest: Manifest, split: str) -> Any:
    entry = manifest.splits.get(split)
    if not entry or not entry["rows"]:
        raise BalrogError(f"{manifest.directory} has no {split} rows; prepare a larger catalogue")
    return entry


def _check_shards(manifest: Manifest, entry: Any) -> None:
    for shard in entry["shards"]:
        check_shard(manifest.directory / shard["file"], shard["sha256"])


def _check_memory(entry: Any) -> None:
    columns = sum(width or 2 for width in entry["features"].values())
    needed, available = _COPIES * 4 * columns * entry["rows"], available_memory()
    if needed > available:
        raise BalrogError(
            f"{entry['rows']:,} training rows need about {needed / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are available; train with --stream true"
        )


def available_memory() -> int:
    """Bytes that this process may still take without swapping; all of the machine if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
