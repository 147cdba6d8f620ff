"""Files that are whole or absent: temporary name, then rename; checksums."""

from __future__ import annotations

import ctypes
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError

__all__ = [
    "atomic_directory",
    "atomic_path",
    "discard_partials",
    "inside",
    "linked_place",
    "read_versioned_json",
    "remove_directory",
    "replace_directory",
    "sha256_of",
    "sync_file",
    "write_json",
]


def linked_place(path: str | os.PathLike[str]) -> Path:
    """Where an output goes: `path`, or what it is a symbolic link to (which need not exist yet).

    A link stays a link: what it leads to is written, and locked, there.
    """
    path = Path(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def inside(directory: str | os.PathLike[str], name: Any, said_by: str) -> Path:
    """Path of a file that a description names, which must lie in the description's directory.

    Parameters
    ----------
    directory : path
        Where it must lie, or in a directory below.
    name : str
        As in the description, with ``/`` between directories.
    said_by : str
        What named it, for the message.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    BalrogError
        If the name is none, absolute or leads out of the directory by ``..``.

    Examples
    --------
    >>> inside("shards", "train-0.tfrecord", "manifest.json").as_posix()
    'shards/train-0.tfrecord'
    """
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or not all(parts) or {".", ".."} & set(parts) or "\0" in name:
        raise BalrogError(
            f"{said_by} must name files in {directory}, found {name!r}, which leads elsewhere; do "
            "not use it unless you know where it is from"
        )
    return Path(directory, *parts)


def _partial_name(path: Path, kind: str = "partial") -> Path:
    """Name beside `path`, hidden, unique to this writer on any machine, ending as `path` does."""
    return path.with_name(f".{uuid.uuid4().hex[:12]}.{kind}.{path.name}")


def _left_over(path: Path, kind: str) -> list[Path]:
    """What is beside `path` under such names."""
    return list(path.parent.glob(f".{'[0-9a-f]' * 12}.{kind}.{glob.escape(path.name)}"))


def discard_partials(path: Path) -> None:
    """Delete what killed writers of `path` left beside it; the caller has the lock of `path`.

    A directory that was moved away for its successor, which then did not come, is put back.
    """
    for old in _left_over(path, "old"):
        if not path.exists():
            os.replace(old, path)
    for left in _left_over(path, "old") + _left_over(path, "partial"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: str | os.PathLike[str], sync: bool = True) -> Iterator[Path]:
    """Give a temporary path to write; rename it to `path` only if the block succeeds.

    Parameters
    ----------
    path : path
        Where the finished file shall be. Its directory is created if missing.
    sync : bool
        Whether the bytes must be on the disk itself, against power loss; intermediate files
        need not.

    Yields
    ------
    pathlib.Path
        The temporary name, in the same directory, with the same suffix.

    Raises
    ------
    OSError
        As raised by the write (disk full, read-only); an older file at `path` is untouched.
    """
    path = linked_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(path)
    try:
        yield partial
        if sync:
            sync_file(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk itself."""
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


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
    path = linked_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial_name(path)
    partial.mkdir()
    try:
        yield partial
        replace_directory(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace_directory(source: Path, target: Path) -> None:
    """Rename a directory to `target`, in place of what may be there; both on one file system.

    One directory replaces another in a single step where the file system can do that (ext4, XFS,
    Btrfs, tmpfs on Linux). Elsewhere the older one is first moved to a hidden name.

    Raises
    ------
    OSError
        As raised by the rename; `target` is then what it was.
    """
    if source.is_dir() and target.is_dir() and _exchange(source, target):
        shutil.rmtree(source, ignore_errors=True)
        return
    old = _partial_name(target, "old")
    try:
        if target.exists():
            os.replace(target, old)
        os.replace(source, target)
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        shutil.rmtree(old, ignore_errors=True)


def remove_directory(path: Path) -> None:
    """Delete a directory so that a kill meanwhile leaves no part of it under its name."""
    partial = _partial_name(path)
    os.replace(path, partial)
    shutil.rmtree(partial)


# <fcntl.h> and <linux/fs.h>
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _exchange(first: Path, second: Path) -> bool:
    """Let two paths change places in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    places = _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second)
    return rename is not None and rename(*places, _RENAME_EXCHANGE) == 0


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, or of the names and checksums of a directory's files."""
    if os.path.isdir(path):
        inside = sorted(each for each in Path(path).rglob("*") if each.is_file())
        lines = [f"{each.relative_to(path).as_posix()} {sha256_of(each)}\n" for each in inside]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
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
