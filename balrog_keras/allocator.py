"""How TensorFlow gets its memory from the operating system."""

from __future__ import annotations

import os

__all__ = ["keep_freed_memory"]


def keep_freed_memory() -> None:
    """Let TensorFlow's CPU allocator keep what it frees, for the next step to use.

    A compiled training step takes one block of tens of megabytes. By default the C library gives
    it back after every step, and the pages of the next one are zeroed and mapped anew: a third of
    the step's processor time at batch 2048. Must be called before TensorFlow's first operation;
    a value that the user has set stays.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
