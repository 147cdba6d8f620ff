"""One process at a time on an output: a lock file that the kernel releases when its owner dies."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import BalrogError
from data_prep.files import discard_partials, linked_place

__all__ = ["locked"]

logger = logging.getLogger(__name__)

# What file systems without locks answer (Lustre mounted without -o flock, some NFS servers).
_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def locked(path: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Keep other processes off an output for as long as the block runs.

    What killed writers of `path` left hidden beside it is cleared away first.

    The lock is the file ``.NAME.lock`` beside `path`, so `path` itself may be replaced. It counts
    only while its owner lives: a file left by a process that was killed is in nobody's way. Where
    the file system has no locks, a warning is logged and the block runs without.

    Parameters
    ----------
    path : path
        File or directory that the block writes; need not exist yet.
    remedy : str
        What else the user can do, for the message; for example ``"give another --out"``.

    Raises
    ------
    BalrogError
        If another process has the lock; names that process.
    OSError
        If the lock file cannot be written.
    """
    path = linked_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    handle = _acquire(lock, path, remedy)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        discard_partials(path)
        yield
    finally:
        # Deleted while still held: nobody can be waiting for a file that is gone.
        lock.unlink(missing_ok=True)
        os.close(handle)


def _acquire(lock: Path, path: Path, remedy: str) -> int:
    """Open and lock the file; gives its descriptor."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 200, 0).decode(errors="replace") or "it has just started"
            os.close(handle)
            raise BalrogError(
                f"{path} must be written by one process at a time, and another is at it ({owner}): "
                f"wait until it ends, or {remedy}"
            ) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                os.close(handle)
                raise
            logger.warning(
                "%s is on a file system without locks: let no second process write there", path
            )
        if _is_at(lock, handle):
            return handle
        os.close(handle)


def _is_at(lock: Path, handle: int) -> bool:
    """Whether the open file still has its name: the last owner may have deleted it meanwhile."""
    try:
        return os.path.samestat(os.stat(lock), os.fstat(handle))
    except FileNotFoundError:
        return False
