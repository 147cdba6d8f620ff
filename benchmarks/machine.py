"""What the benchmarks share: the machine's name, and a printed table."""

import os
import platform
import sys
from pathlib import Path

# A script's folder comes first on the path, where data_prep.py would hide the package of that name.
sys.path[:] = [
    entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent
]


def machine() -> str:
    """CPU model, cores that may be used, Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines()
                 if line.startswith("model name")]  # fmt: skip
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, Python {platform.python_version()}"


def print_table(rows: list[tuple[str, str]]) -> None:
    """Print rows of (what, value), aligned."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
