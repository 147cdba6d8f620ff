"""A random part of a split, read in bounded memory: the same rows in every split.

Rows are chosen by a hash of their id, so that the rows chosen of the test split are, as far as
they are there, also those chosen of the oracle's and of the detection split's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.numpy_noise import keyed_uniform
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.progress import Progress
from data_prep.shards import check_shard, read_records

__all__ = ["RowSample", "sample_split"]


@dataclass(frozen=True)
class RowSample:
    """Rows of a split.

    Parameters
    ----------
    rows : dict of arrays
        As :func:`data_prep.shards.read_split` gives them.
    total : int
        Rows of the split.
    limit : float
        Rows whose hash is below it were taken, and all of them; 1 for the whole split.
    seed : int
        Of the hash.
    """

    rows: dict[str, np.ndarray]
    total: int
    limit: float
    seed: int

    @property
    def whole(self) -> bool:
        """Whether these are all rows."""
        return len(self.rows["row_id"]) == self.total

    def below(self, limit: float) -> dict[str, np.ndarray]:
        """The rows whose hash is below a limit.

        Parameters
        ----------
        limit : float
            As another split's; at most the own one, or rows would be missing.

        Returns
        -------
        dict of arrays
            As `rows`.
        """
        return _where(self.rows, _hashes(self.rows["row_id"], self.seed) < limit)


def sample_split(
    directory: Path, split: str, most: int | None, seed: int = 0, limit: float = 1.0
) -> RowSample:
    """Read at most so many rows of a split, chosen at random by their ids.

    Parameters
    ----------
    directory : pathlib.Path
        Written by ``python -m data_prep prepare``.
    split : str
        ``"test"``, ``"oracle"``, ``"detection-test"``, ...
    most : int or None
        Rows to keep; None keeps all. Memory is that of three times as many.
    seed : int
        Seed of the choice.
    limit : float
        Keep only rows whose hash is below it, as another split's :attr:`RowSample.limit`.

    Returns
    -------
    RowSample
        In the order of the shards.

    Raises
    ------
    BalrogError
        If there is no such split, or a shard is truncated or changed.
    """
    manifest = Manifest.load(directory)
    described, parts, kept, seen = manifest.split(split), [], 0, 0
    with Progress(f"read {split}", described["rows"], "rows") as progress:
        for shard in described["shards"]:
            path = manifest.directory / shard["file"]
            check_shard(path, shard["sha256"])
            for block in read_records(path, described["features"]):
                count = len(block["row_id"])
                block["_hash"] = _hashes(block["row_id"], seed)
                parts.append(_where(block, block["_hash"] < limit))
                seen, kept = seen + count, kept + len(parts[-1]["row_id"])
                if most is not None and kept > 2 * most:
                    parts, limit = _shrunk(parts, most, limit)
                    kept = len(parts[0]["row_id"])
                progress.update(count)
    if seen != described["rows"]:
        raise BalrogError(
            f"{directory} must have the {described['rows']:,} {split} rows of its manifest, found "
            f"{seen:,}: prepare the shards again"
        )
    if most is not None and kept > most:
        parts, limit = _shrunk(parts, most, limit)
    rows = _joined(parts, described["features"])
    return RowSample(rows, seen, limit, seed)


def _hashes(row_id: np.ndarray, seed: int) -> np.ndarray:
    """Uniform in [0, 1), 48 bits: float64 (N,)."""
    high, low = (keyed_uniform(seed, row_id, 0x5A30 + k).astype(np.float64) for k in (0, 1))
    return high + low * 2.0**-24


def _where(block: dict[str, np.ndarray], keep: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[keep] for name, values in block.items()}


def _shrunk(
    parts: list[dict[str, np.ndarray]], most: int, limit: float
) -> tuple[list[dict[str, np.ndarray]], float]:
    """The rows with the `most` smallest hashes, and the hash from which on there are none."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if len(whole["row_id"]) > most:
        limit = float(np.partition(whole["_hash"], most)[most])
    return [_where(whole, whole["_hash"] < limit)], limit


def _joined(parts: list[dict[str, np.ndarray]], widths: dict[str, int]) -> dict[str, np.ndarray]:
    rows: dict[str, Any] = {}
    for name, width in widths.items():
        empty = np.empty((0, width), np.float32) if width else np.empty(0, np.int64)
        rows[name] = np.concatenate([part[name] for part in parts]) if parts else empty
    if "weight" in rows:
        rows["weight"] = rows["weight"][:, 0]
    return rows
