"""Check a directory of shards against its manifest: every byte, record and feature."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.command_line import add_examples
from data_prep.errors import BalrogError
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.progress import Progress
from data_prep.records import decode_records, frame_records, record_bytes
from data_prep.shards import feature_widths

__all__ = ["add_arguments", "run", "verify"]

logger = logging.getLogger(__name__)

_BLOCK_ROWS = 8_192
_EXAMPLES = """\
examples:
  python -m data_prep verify demo/shards
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m data_prep verify``."""
    add_examples(parser, _EXAMPLES)
    parser.add_argument("directory", metavar="DIR", help="shards that prepare wrote")


def run(arguments: argparse.Namespace) -> None:
    """Print every problem of the shards, then a summary."""
    print(verify(arguments.directory, tell=print))


def verify(directory: str | os.PathLike[str], tell: Callable[[str], None] = logger.error) -> str:
    """Check shards against their manifest.

    Every flipped bit of any file is found, and whatever is missing, cut off, swapped or added.
    Files are read once, in constant memory.

    Parameters
    ----------
    directory : path
        Written by ``python -m data_prep prepare``.
    tell : callable
        Takes each problem, one line, as it is found.

    Returns
    -------
    str
        What was checked.

    Raises
    ------
    BalrogError
        If anything is wrong.
    """
    manifest = Manifest.load(directory, require_shards=False)
    rows = sum(split["rows"] for split in manifest.splits.values())
    problems = 0
    with Progress("verify", rows, "records") as progress:
        for problem in _problems(manifest, progress):
            tell(problem)
            problems += 1
    shards = len(_shard_names(manifest))
    if problems:
        raise BalrogError(
            f"{directory}: its {shards} shards must be as the manifest says; problems found: "
            f"{problems}; copy the directory anew or prepare the shards again"
        )
    return f"{directory}: {rows:,} records in {shards} shards are as they were written"


def _problems(manifest: Manifest, progress: Progress) -> Iterator[str]:
    yield from _manifest_problems(manifest)
    yield from _other_files(manifest)
    for split, described in manifest.splits.items():
        yield from _split_problems(manifest, split, described)
        for shard in described["shards"]:
            path, widths = manifest.directory / shard["file"], described["features"]
            yield from (f"{path.name}: {text}" for text in _shard_problems(path, shard, widths))
            progress.update(shard["rows"])


def _manifest_problems(manifest: Manifest) -> Iterator[str]:
    # Its checksum is that of the content; a flipped bit may leave that what it is (1e-5, 1E-5).
    written = json.dumps(manifest.content, indent=2) + "\n"
    if (manifest.directory / MANIFEST_NAME).read_bytes() != written.encode():
        yield f"{MANIFEST_NAME}: its text is not as it was written, though it says the same"


def _other_files(manifest: Manifest) -> Iterator[str]:
    known = {MANIFEST_NAME, *_shard_names(manifest)}
    for path in sorted(manifest.directory.iterdir()):
        if path.name not in known:
            yield f"{path.name}: is not in the manifest"


def _shard_names(manifest: Manifest) -> list[str]:
    return [shard["file"] for split in manifest.splits.values() for shard in split["shards"]]


def _split_problems(manifest: Manifest, split: str, described: Mapping[str, Any]) -> Iterator[str]:
    """What the manifest says of a split must fit together."""
    widths = described["features"]
    expected = feature_widths(manifest.schema, split, "weight" in widths)
    if widths != expected:
        yield f"split {split}: its features must be {expected} by the schema, found {widths}"
    if record_bytes(widths) != described["record_bytes"]:
        yield (
            f"split {split}: its records have {record_bytes(widths)} bytes, the manifest says "
            f"{described['record_bytes']}"
        )
    rows = sum(shard["rows"] for shard in described["shards"])
    if rows != described["rows"]:
        yield f"split {split}: its shards have {rows:,} records, it says {described['rows']:,}"


def _shard_problems(
    path: Path, shard: Mapping[str, Any], widths: Mapping[str, int]
) -> Iterator[str]:
    if not path.is_file():
        yield "is missing"
        return
    size, found = shard["rows"] * record_bytes(widths), path.stat().st_size
    if found != size:
        yield f"must have {size:,} bytes ({shard['rows']:,} records), found {found:,}"
    else:
        yield from _record_problems(path, shard["sha256"], widths)


def _record_problems(path: Path, sha256: str, widths: Mapping[str, int]) -> Iterator[str]:
    digest, size = hashlib.sha256(), record_bytes(widths)
    damaged, first_damaged, foreign, row = 0, 0, 0, 0
    with open(path, "rb") as handle:
        while block := handle.read(_BLOCK_ROWS * size):
            digest.update(block)
            framed = np.frombuffer(block, np.uint8).reshape(-1, size)
            bad = (frame_records(framed[:, 12:-4]) != framed).any(axis=1)
            if bad.any() and not damaged:
                first_damaged = row + int(np.argmax(bad))
            damaged += int(bad.sum())
            foreign += not _has_features(framed[~bad], widths)
            row += len(framed)
    if digest.hexdigest() != sha256:
        yield f"its SHA-256 must be {sha256[:16]}..., found {digest.hexdigest()[:16]}..."
    if damaged:
        yield f"{damaged:,} damaged records, the first is number {first_damaged:,} (from 0)"
    if foreign:
        yield f"holds records without the features {', '.join(sorted(widths))}"


def _has_features(framed: np.ndarray, widths: Mapping[str, int]) -> bool:
    try:
        decode_records(framed, widths)
    except BalrogError:
        return False
    return True
