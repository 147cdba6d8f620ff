"""How drawing and evaluation share the cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from data_prep.errors import require

__all__ = ["PARALLEL_BLOCKS", "draw_on_all_cores", "on_all_cores"]

# Blocks of rows that an exported graph computes at once, if there are threads for them.
PARALLEL_BLOCKS = 4
# Each thread of an evaluation holds arrays of its own.
_MOST_THREADS = 8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_here = threading.local()


def draw_on_all_cores() -> None:
    """Let threads take whole blocks of rows instead of halves of each operation.

    The operations of a block are short, and sharing each one costs more than it gains: on two
    cores an exported emulator draws twice as fast with a thread for each block. Must be called
    before TensorFlow's first operation; values that the user has set stay.
    """
    cores = _cores()
    # With more cores than blocks in flight, several share the operations of one.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(-(-cores // PARALLEL_BLOCKS)))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(cores))


def on_all_cores(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Results of a function for each item, in their order, by a thread for each core.

    For work that numpy and scikit-learn do outside Python's lock. Their libraries get one thread
    each meanwhile, so that results are the same on any number of cores; idle threads of theirs
    would spin, too. Where the function calls this again, that happens in its own thread.

    Parameters
    ----------
    function : callable
        Takes one item; must not change what another call reads.
    items : iterable
        Its arguments.

    Returns
    -------
    list
        What it returned.

    Raises
    ------
    BalrogError
        If scikit-learn is not installed.
    """
    if getattr(_here, "busy", False):
        return [function(item) for item in items]
    limit = _libraries().limit

    def begin() -> None:
        _here.busy = True
        limit(limits=1, user_api="openmp")  # OpenMP has a number for each thread that calls it

    threads = min(_cores(), _MOST_THREADS)
    with limit(limits=1), ThreadPoolExecutor(threads, initializer=begin) as pool:
        return list(pool.map(function, items))


@cache
def _libraries() -> Any:
    """Control of the libraries' threads; looking for them takes long enough to do it once."""
    require("sklearn.ensemble", "report")  # loads them
    return require("threadpoolctl", "report").ThreadpoolController()


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1
