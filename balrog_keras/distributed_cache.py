"""Emulators loaded once in each process, however many partitions it gets."""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from balrog_keras.bundle import read_description
from data_prep.errors import BalrogError

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["description_sha256", "loaded_emulator"]

# Threads of one process wait for the first of them to load.
_LOADING = threading.Lock()
_KEPT = 2
# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_DASK_TRIM_THRESHOLD = "65536"


def description_sha256(directory: str | Path) -> str:
    """SHA-256 of an emulator's ``emulator.json``.

    Parameters
    ----------
    directory : path
        ``saved_models/NAME``.

    Returns
    -------
    str
        Hexadecimal.

    Raises
    ------
    BalrogError
        If the directory is no emulator.
    """
    read_description(directory)
    return hashlib.sha256((Path(directory) / "emulator.json").read_bytes()).hexdigest()


def loaded_emulator(directory: str, sha256: str) -> Emulator:
    """An emulator that is loaded, and its files checked, once in this process.

    Parameters
    ----------
    directory, sha256 : str
        As in :class:`balrog_keras.distributed_partition.PartitionDraws`.

    Returns
    -------
    Emulator
        The same one for all threads of the process.

    Raises
    ------
    BalrogError
        If it is another one than the checksum says, or was damaged.
    """
    with _LOADING:
        return _loaded(directory, sha256)


@lru_cache(maxsize=_KEPT)
def _loaded(directory: str, sha256: str) -> Emulator:
    from balrog_keras.emulator import Emulator

    found = description_sha256(directory)
    if found != sha256:
        raise BalrogError(
            f"emulator {directory} must be the same for all partitions, with SHA-256 {sha256} of "
            f"its emulator.json; found {found}: copy the same one to every machine"
        )
    _share_cores()
    _keep_freed_memory()
    return Emulator.load(directory)


def _share_cores() -> None:
    """Give TensorFlow as many threads as Dask gave this worker, if it is one and has a choice.

    Each takes whole blocks of rows: see :func:`balrog_keras.threads.draw_on_all_cores`. More
    threads for the operations of a block would come on top of those that Dask counts.
    """
    if "distributed" not in sys.modules or "tensorflow" in sys.modules:
        return
    try:
        threads = sys.modules["distributed"].get_worker().state.nthreads
    except ValueError:  # no task of a worker
        return
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(threads))


def _keep_freed_memory() -> None:
    """Let a worker of Dask use again what it has freed, up to 256 MiB.

    Dask starts workers with MALLOC_TRIM_THRESHOLD_ at 64 kB, with which the C library takes every
    larger array from the operating system anew, its pages zeroed: a quarter of the time of a
    partition. Another value than Dask's is the user's choice and stays.
    """
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") != _DASK_TRIM_THRESHOLD:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # the GNU C library
        mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
