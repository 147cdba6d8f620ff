"""Training shards: TFRecord files of tf.train.Example, written in pieces and read back."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.example_messages import parse_example
from data_prep.files import atomic_path, sha256_of, sync_file
from data_prep.manifest import Manifest
from data_prep.records import decode_records, encode_examples, frame_records, record_bytes
from data_prep.schema import Schema

__all__ = [
    "PieceWriter",
    "assemble_split",
    "check_shard",
    "feature_widths",
    "read_records",
    "read_split",
]

# A block of records fits the processor's second-level cache.
_BLOCK_ROWS = 8_192
_READ_ROWS = 65_536
# Of the first block of each write, this share is parsed again.
_CHECKED_EVERY = 1_024


def feature_widths(schema: Schema, split: str, weighted: bool = False) -> dict[str, int]:
    """Features of a split's records.

    Parameters
    ----------
    schema : Schema
        Its condition and measured columns.
    split : str
        Those of ``detection-...`` have ``detected`` and no measured columns.
    weighted : bool
        Whether records have the injection's weight.

    Returns
    -------
    dict of str to int
        Feature -> number of floats; 0 for one integer.
    """
    widths = {"condition": len(schema.condition_names), "row_id": 0, "parent_id": 0}
    widths |= {"region": 0, "position": 2}
    if split.startswith("detection-"):
        widths["detected"] = 0
    else:
        widths["measured"] = len(schema.measured_names)
    return widths | ({"weight": 1} if weighted else {})


class PieceWriter:
    """One file of records with its checksum.

    Attributes
    ----------
    rows : int
        Records written so far.
    """

    def __init__(self, handle: Any) -> None:
        self._handle, self._digest, self.rows = handle, hashlib.sha256(), 0

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[PieceWriter]:
        """Write a piece, whole or not at all; it reaches the disk when it becomes a shard."""
        with atomic_path(path, sync=False) as partial, open(partial, "wb") as handle:
            yield cls(handle)

    def write(self, features: Mapping[str, np.ndarray]) -> None:
        """Append records: int64 arrays, shape (N,), and float32 arrays, shape (N, width).

        Raises
        ------
        RuntimeError
            If a sample, parsed with Google's library, differs: a fault of this package.
        """
        rows = len(features["row_id"])
        for start in range(0, rows, _BLOCK_ROWS):
            block = {name: values[start : start + _BLOCK_ROWS] for name, values in features.items()}
            records = frame_records(encode_examples(block))
            if not start:
                for row in range(0, len(records), _CHECKED_EVERY):
                    _require_parsed(records[row, 12:-4].tobytes(), row, block)
            self._handle.write(records.data)
            self._digest.update(records.data)
        self.rows += rows

    def describe(self) -> dict[str, Any]:
        """Rows and SHA-256 of what was written."""
        return {"rows": self.rows, "sha256": self._digest.hexdigest()}


def assemble_split(
    directory: Path,
    name: str,
    pieces: Sequence[tuple[Path, Mapping[str, Any]]],
    widths: Mapping[str, int],
    rows: int,
    files: int,
) -> dict[str, Any]:
    """Put the pieces of a split together as its shards.

    Parameters
    ----------
    directory : path
        Of the shards.
    name : str
        Of the split.
    pieces : sequence of (path, mapping)
        Pieces in order, with what :meth:`PieceWriter.describe` said.
    widths : mapping of str to int
        Of the records.
    rows : int
        Records to keep, from the first on.
    files : int
        Number of shards.

    Returns
    -------
    dict
        Entry of the manifest: rows, record_bytes, features, shards (file, rows, sha256).
    """
    size, shards, left = record_bytes(widths), [], rows
    for number, part in enumerate(np.array_split(np.arange(len(pieces)), files)):
        path = directory / f"{name}-{number:05d}-of-{files:05d}.tfrecord"
        mine = [pieces[k] for k in part]
        here = min(left, sum(said["rows"] for _, said in mine))
        left -= here
        if len(mine) == 1 and here == mine[0][1]["rows"]:
            _link(mine[0][0], path)
            digest = mine[0][1]["sha256"]
        else:
            _concatenate([piece for piece, _ in mine], path, here * size)
            digest = sha256_of(path)
        sync_file(path)
        shards.append({"file": path.name, "rows": here, "sha256": digest})
    return {"rows": rows, "record_bytes": size, "features": dict(widths), "shards": shards}


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes, or a copy where the file system has no such thing."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _concatenate(sources: Sequence[Path], target: Path, size: int) -> None:
    with open(target, "wb") as out:
        for source in sources:
            with open(source, "rb") as handle:
                shutil.copyfileobj(handle, out, 1 << 22)
        out.truncate(size)


def read_records(path: Path, widths: Mapping[str, int]) -> Iterator[dict[str, np.ndarray]]:
    """Read a shard in blocks of rows; see :func:`data_prep.records.decode_records`.

    Raises
    ------
    BalrogError
        If it does not hold whole records of these features.
    """
    size = record_bytes(widths)
    if path.stat().st_size % size:
        raise BalrogError(f"{path} must hold whole records of {size} bytes; it is truncated")
    with open(path, "rb") as handle:
        while block := handle.read(_READ_ROWS * size):
            framed = np.frombuffer(block, np.uint8).reshape(-1, size)
            try:
                yield decode_records(framed, widths)
            except BalrogError as error:
                raise BalrogError(f"{path}: {error}; prepare the shards again") from None


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
        Feature -> float32 (rows, width) for condition, measured and position; float32 (rows,)
        for weight, if the survey has one; int64 (rows,) for row_id, parent_id, region and
        detected.

    Raises
    ------
    BalrogError
        If there is no such split, or a shard is truncated or changed.
    """
    manifest = Manifest.load(directory)
    described = manifest.split(split)
    widths, rows = described["features"], described["rows"]
    result = {
        name: np.empty((rows, width), np.float32) if width else np.empty(rows, np.int64)
        for name, width in widths.items()
    }
    start = 0
    for shard in described["shards"]:
        path = manifest.directory / shard["file"]
        check_shard(path, shard["sha256"])
        for block in read_records(path, widths):
            stop = start + len(block["row_id"])
            if stop > rows:
                raise _wrong_count(directory, split, rows, stop)
            for name, values in block.items():
                result[name][start:stop] = values
            start = stop
    if start != rows:
        raise _wrong_count(directory, split, rows, start)
    if "weight" in result:
        result["weight"] = result["weight"][:, 0]
    return result


def check_shard(path: Path, sha256: str) -> None:
    """Compare a shard with its checksum in the manifest.

    Raises
    ------
    BalrogError
        If it differs.
    """
    if sha256_of(path) != sha256:
        raise BalrogError(
            f"{path} must have the SHA-256 that the manifest says; it is truncated or "
            "changed; copy it anew or prepare the shards again"
        )


def _wrong_count(
    directory: str | os.PathLike[str], split: str, rows: int, found: int
) -> BalrogError:
    return BalrogError(
        f"{directory}: the manifest says {rows:,} rows in split {split}, the shards hold "
        f"{found:,} or more; prepare the shards again"
    )


def _require_parsed(record: bytes, row: int, features: Mapping[str, np.ndarray]) -> None:
    """Parse a record with Google's own library and compare it with what went in."""
    parsed = parse_example(record)
    for name, values in features.items():
        if not np.array_equal(np.asarray(parsed.get(name), values.dtype), np.ravel(values[row])):
            raise RuntimeError(
                f"the encoder wrote {name} wrongly: {parsed.get(name)} for {values[row]}"
            )
