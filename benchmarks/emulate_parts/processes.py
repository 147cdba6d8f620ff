"""Processes from outside: time, processor time, peak memory, first progress on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Run", "first_progress", "import_seconds", "run"]

# Standard error of tqdm once work is done: "emulate:  26%".
_PROGRESS = re.compile(rb"emulate:\s+[1-9]\d*%")


@dataclass(frozen=True)
class Run:
    """What a process took.

    Attributes
    ----------
    wall, cpu : float
        Seconds.
    peak_bytes : int
        Most memory resident.
    """

    wall: float
    cpu: float
    peak_bytes: int


def run(arguments: Sequence[str | Path], cores: Sequence[int] | None = None) -> Run:
    """Run Python with these arguments, on these cores; RuntimeError with its output if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
    )  # fmt: skip
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(errors.decode(errors="replace")[-2_000:])
    scale = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Run(time.perf_counter() - start, cpu, usage.ru_maxrss * scale)


def import_seconds(module: str) -> float:
    """Time that a process needs which imports a module and nothing else."""
    return run(["-c", f"import {module}"]).wall


def first_progress(arguments: Sequence[str | Path]) -> float:
    """Seconds until the bar of a command shows work that is done; the command is then ended."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while not _PROGRESS.search(seen):
            seen += os.read(ours, 65_536)
        return time.perf_counter() - start
    except OSError as error:  # a terminal that nobody has open any more
        raise RuntimeError(seen.decode(errors="replace")[-2_000:]) from error
    finally:
        process.kill()
        process.wait()
        os.close(ours)
