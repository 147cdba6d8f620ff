"""Files that are whole or absent: temporary name, then rename; checksums."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError

__all__ = ["atomic_directory", "atomic_path", "read_versioned_json", "sha256_of", "write_json"]


def _partial_name(path: Path) -> Path:
    """Name beside `path`, hidden, unique to this process, ending as `path` does."""
    return path.with_name(f".{os.getpid()}.partial.{path.name}")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write; rename it to `path` only if the block succeeds.

    Parameters
    ----------
    path : path
        Where the finished file shall be. Its directory is created if missing.

    Yields
    ------
    pathlib.Path
        The temporary name, in the same directory, with the same suffix.

    Raises
    ------
    OSError
        As raised by the write (disk full, read-only); an older file at `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(path)
    try:
        yield partial
        with open(partial, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary directory to fill; put it in place of `path` only if the block succeeds.

    Parameters
    ----------
    path : path
        Where the finished directory shall be; one that exists is replaced.

    Yields
    ------
    pathlib.Path
        The temporary directory, beside `path`.

    Raises
    ------
    OSError
        As raised by the write; an older directory at `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(path)
    old = path.with_name(f".{os.getpid()}.old.{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            os.replace(path, old)
        os.replace(partial, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinity are refused (ValueError)."""
    text = json.dumps(content, indent=2, allow_nan=False)
    with atomic_path(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_versioned_json(
    path: str | os.PathLike[str], format_version: int, required: Sequence[str], remedy: str
) -> dict[str, Any]:
    """Read a JSON object that states its format version.

    Parameters
    ----------
    path : path
        The file, which exists.
    format_version : int
        The one this package reads.
    required : sequence of str
        Keys it must have.
    remedy : str
        What to do if it is not so, for the message.

    Returns
    -------
    dict
        The whole object.

    Raises
    ------
    BalrogError
        If it is not JSON, of another version, or lacks a key.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BalrogError(f"{path} must be JSON, but is damaged: {error}; {remedy}") from None
    found = content.get("format_version") if isinstance(content, dict) else None
    if found != format_version:
        raise BalrogError(
            f"{path} must have format_version {format_version}, found {found!r}; {remedy}"
        )
    missing = [key for key in required if key not in content]
    if missing:
        raise BalrogError(
            f"{path} must have {', '.join(required)}; missing {', '.join(missing)}; {remedy}"
        )
    return dict(content)
