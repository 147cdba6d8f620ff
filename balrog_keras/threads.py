"""How TensorFlow shares the cores when an emulator draws."""

from __future__ import annotations

import os

__all__ = ["PARALLEL_BLOCKS", "draw_on_all_cores"]

# Blocks of rows that an exported graph computes at once, if there are threads for them.
PARALLEL_BLOCKS = 4


def draw_on_all_cores() -> None:
    """Let threads take whole blocks of rows instead of halves of each operation.

    The operations of a block are short, and sharing each one costs more than it gains: on two
    cores an exported emulator draws twice as fast with a thread for each block. Must be called
    before TensorFlow's first operation; values that the user has set stay.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    # With more cores than blocks in flight, several share the operations of one.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(-(-cores // PARALLEL_BLOCKS)))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(cores))
