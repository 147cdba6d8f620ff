"""Rows on disk between two passes: chunks of rows, sorted into buckets that are read apart.

A pass that must bring together rows from everywhere (join, shuffle) writes each batch of rows as
one chunk whose rows are sorted by bucket; the next pass reads one bucket of all chunks. No more
than one batch, or one bucket, is ever in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import atomic_path

__all__ = ["bucket_of", "read_bucket", "write_chunk"]


def bucket_of(keys: np.ndarray, buckets: int) -> np.ndarray:
    """Bucket of each key: equal ranges of the keys, in ascending order.

    Parameters
    ----------
    keys : uint64 array, shape (N,)
        Uniform random bits; see :func:`data_prep.splits.keyed_hash`.
    buckets : int
        At most 65,536.

    Returns
    -------
    uint16 array, shape (N,)

    Examples
    --------
    >>> bucket_of(np.array([0, 2**63, 2**64 - 1], np.uint64), 4)
    array([0, 2, 3], dtype=uint16)
    """
    high = keys >> np.uint64(32)
    return ((high * np.uint64(buckets)) >> np.uint64(32)).astype(np.uint16)


def write_chunk(path: Path, rows: np.ndarray, bucket: np.ndarray, buckets: int) -> dict[str, Any]:
    """Write rows sorted by bucket, whole or not at all.

    Parameters
    ----------
    path : path
        File to write.
    rows : structured array, shape (N,)
        Rows of one dtype.
    bucket : uint16 array, shape (N,)
        Bucket of each row.
    buckets : int
        Number of buckets.

    Returns
    -------
    dict
        JSON-able: ``file``, and ``starts``, the first row of each bucket and the row after the
        last.

    Raises
    ------
    OSError
        As raised by the write.
    """
    order = np.argsort(bucket, kind="stable")
    counts = np.bincount(bucket, minlength=buckets)
    with atomic_path(path, sync=False) as partial, open(partial, "wb") as handle:
        handle.write(rows[order].view(np.uint8).data)
    return {"file": path.name, "starts": [0, *np.cumsum(counts).tolist()]}


def read_bucket(
    directory: Path, chunks: Sequence[Mapping[str, Any]], bucket: int, dtype: np.dtype
) -> tuple[np.ndarray, list[slice]]:
    """Rows of one bucket, of all chunks.

    Parameters
    ----------
    directory : path
        Where the chunks lie.
    chunks : sequence of mapping
        As :func:`write_chunk` gave them.
    bucket : int
        Which one.
    dtype : numpy.dtype
        Of the rows.

    Returns
    -------
    rows : structured array, shape (N,)
        Chunk by chunk.
    parts : list of slice
        Where each chunk's rows are.

    Raises
    ------
    BalrogError
        If a chunk is missing or shorter than it was.
    """
    spans = [chunk["starts"][bucket : bucket + 2] for chunk in chunks]
    ends = np.cumsum([0, *(stop - start for start, stop in spans)]).tolist()
    rows = np.empty(ends[-1], dtype)
    parts = [slice(first, last) for first, last in zip(ends[:-1], ends[1:], strict=True)]
    # Into one array: many small ones would leave the memory in pieces.
    content = rows.view(np.uint8)
    for chunk, (start, _), part in zip(chunks, spans, parts, strict=True):
        path, width = directory / chunk["file"], dtype.itemsize
        wanted = content[part.start * width : part.stop * width]
        try:
            with open(path, "rb") as handle:
                handle.seek(start * width)
                found = handle.readinto(wanted.data)
        except OSError as error:
            raise _lost(path) from error
        if found != wanted.size:
            raise _lost(path)
    return rows, parts


def _lost(path: Path) -> BalrogError:
    return BalrogError(
        f"{path}, an intermediate file of prepare, is missing or truncated; run prepare again "
        "without --resume"
    )
