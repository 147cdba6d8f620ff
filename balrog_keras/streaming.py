"""Training rows read from the shards as they are needed, in an order of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from balrog_keras.datasets import (
    WHOLE_BATCH,
    Share,
    batches_in_epoch,
    cumulative_probability,
    declared_endless,
)
from balrog_keras.standardizer import Standardizer
from data_prep.records import decode_records

__all__ = ["StreamedRows"]

# Rows read together from one place of a shard, and rows shuffled together.
_BLOCK_ROWS, _WINDOW_ROWS = 4_096, 262_144
# Batches ready while the next window is read.
_PREFETCHED = 16


@dataclass(frozen=True)
class _Block:
    path: Path
    start: int
    rows: int


class StreamedRows:
    """Rows of a split that are never in memory together.

    All records of a split have one size, so any block of rows can be read by its place. An epoch
    is a random permutation of blocks, cut into windows of 262,144 rows, each shuffled as a whole:
    with the rows already dealt over the shards at random by ``prepare``, as good as a permutation
    of all rows. Any step of any epoch is reached by reading one window.

    Parameters
    ----------
    directory : path
        Of the shards.
    split : mapping
        The split's entry in the manifest.
    weighted : bool
        Draw with replacement, inside each window, in proportion to the rows' weights. Windows are
        fair samples, so over an epoch this is a draw in proportion to the weight over all rows.
    """

    def __init__(self, directory: Path, split: Mapping[str, Any], weighted: bool = False) -> None:
        self.rows, self.weighted = int(split["rows"]), weighted
        self._widths, self._size = dict(split["features"]), int(split["record_bytes"])
        self._blocks = [
            _Block(directory / shard["file"], start, min(_BLOCK_ROWS, shard["rows"] - start))
            for shard in split["shards"]
            for start in range(0, shard["rows"], _BLOCK_ROWS)
        ]

    def sample(self, rows: int = 1_000_000) -> dict[str, np.ndarray]:
        """About so many random rows: ``condition`` (N, C) and ``measured`` (N, M), physical."""
        window = next(self._windows([0], rows))
        condition, measured, _ = self._read(window)
        return {"condition": condition, "measured": measured}

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

        Raises
        ------
        BalrogError
            If there are fewer rows than one batch.
        """
        epoch, inside = divmod(start_step, batches_in_epoch(self.rows, batch_size))
        widths = [self._widths[name] for name in ("condition", "measured")]

        def generate() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            skipped = inside
            for number in range(epoch, np.iinfo(np.int64).max):
                yield from self._epoch(batch_size, [seed, number], skipped)
                skipped = 0

        def standardize(condition: Any, measured: Any) -> tuple[Any, Any]:
            standardized = standardizer.standardize(condition, measured)
            return standardizer.context(condition), standardized

        signature = tuple(tf.TensorSpec((batch_size, width), tf.float32) for width in widths)
        whole = tf.data.Dataset.from_generator(generate, output_signature=signature)
        return declared_endless(share.divide(whole).map(standardize).prefetch(_PREFETCHED))

    def _epoch(
        self, batch_size: int, key: Sequence[int], skipped: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of one epoch in physical units, without the first `skipped`."""
        unwanted, left = skipped * batch_size, None
        for number, window in enumerate(self._windows(key, _WINDOW_ROWS), start=1):
            rows = sum(block.rows for block in window)
            if unwanted >= rows:
                unwanted -= rows
                continue
            values = [part[unwanted:] for part in self._shuffled(window, [*key, number])]
            unwanted = 0
            if left is not None:
                values = [np.concatenate(pair) for pair in zip(left, values, strict=True)]
            whole = len(values[0]) // batch_size * batch_size
            for start in range(0, whole, batch_size):
                condition, measured = (part[start : start + batch_size] for part in values)
                yield condition, measured
            left = [part[whole:] for part in values]

    def _windows(self, key: Sequence[int], rows: int) -> Iterator[list[_Block]]:
        """The blocks in random order, in groups of about `rows`."""
        order = np.random.default_rng(key).permutation(len(self._blocks))
        count = -(-rows // _BLOCK_ROWS)
        for start in range(0, len(order), count):
            yield [self._blocks[index] for index in order[start : start + count]]

    def _shuffled(self, window: list[_Block], key: Sequence[int]) -> list[np.ndarray]:
        condition, measured, weights = self._read(window)
        random = np.random.default_rng(key)
        if weights is None:
            order = random.permutation(len(condition))
        else:
            uniform = random.random(len(condition))
            order = np.searchsorted(cumulative_probability(weights), uniform, side="right")
        return [condition[order], measured[order]]

    def _read(self, window: list[_Block]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        blocks = [self._read_block(block) for block in window]
        condition, measured = (
            np.concatenate([block[name] for block in blocks]) for name in ("condition", "measured")
        )
        if not self.weighted:
            return condition, measured, None
        return condition, measured, np.concatenate([block["weight"][:, 0] for block in blocks])

    def _read_block(self, block: _Block) -> dict[str, np.ndarray]:
        size = self._size
        framed = np.fromfile(block.path, np.uint8, block.rows * size, offset=block.start * size)
        return decode_records(framed.reshape(-1, size), self._widths)
