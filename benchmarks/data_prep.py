"""How fast `python -m data_prep prepare` is, in how much memory, and what it survives.

    python benchmarks/data_prep.py [--only compare stream workers] [--rows 10000000]
        [--stream-rows 10000000 100000000] [--workers 1 2 4] [--worker-rows 2000000]
        [--directory DIR]

compare   the command on a FITS catalogue and six full-sky nside-4096 maps, beside the plain way and
          a vectorised one (prepare_parts/rivals.py), each a process of its own
stream    peak memory when that many rows are made while they are read
workers   shards from 1, 2, 4 Dask workers, and with a worker killed in the middle

The whole takes an hour and, in DIR (a temporary directory if not given), 40 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from machine import machine, print_table

PARTS = Path(__file__).parent / "prepare_parts"
GIB = 2**30
Table = list[tuple[str, str]]


@dataclass(frozen=True)
class Run:
    """A finished process: wall seconds, peak resident memory in GiB, last line it printed."""

    seconds: float
    peak_gib: float
    output: str


def run(*command: object) -> Run:
    """Run Python on a script or module; its peak memory is that of its own process."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, *map(str, command)], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        output.seek(0)
        lines = output.read().strip().splitlines()
    if status:
        sys.exit(f"{' '.join(map(str, command))} failed (status {status})")
    # Linux counts KiB, macOS bytes.
    scale = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_maxrss * scale / GIB, lines[-1] if lines else "")


def prepare_command(catalog: Path, out: Path, *options: object) -> list[object]:
    """Arguments of Python that prepare a catalogue."""
    return [
        "-m", "data_prep", "prepare", "--preset", "des-y3-sof", "--catalog", catalog,
        "--maps", catalog.parent / "maps", "--out", out, *options,
    ]  # fmt: skip


def make_inputs(directory: Path, rows: int) -> Path:
    """Write maps and a catalogue unless they are there, and return the catalogue."""
    run(PARTS / "inputs.py", directory, rows)
    return directory / f"catalog-{rows}.fits"


def read_once(catalog: Path) -> None:
    """Bring the inputs into the page cache, so that no contender pays for the disk."""
    for path in (catalog, *(catalog.parent / "maps").iterdir()):
        with open(path, "rb") as file:
            while file.read(2**24):
                pass


def compare(directory: Path, rows: int) -> Table:
    """Prepare beside its rivals."""
    catalog, out = make_inputs(directory, rows), directory / "shards"
    read_once(catalog)
    ours = run(*prepare_command(catalog, out))
    manifest = json.loads((out / "manifest.json").read_text())
    records = sum(split["rows"] for split in manifest["splits"].values())
    shutil.rmtree(out)
    table = [
        ("input", f"{rows:,} injections, FITS; 6 full-sky maps of nside 4096, FITS"),
        ("prepare", f"{ours.seconds:.1f} s, {rows / ours.seconds:,.0f} injections/s, "
                    f"{records:,} records, peak {ours.peak_gib:.2f} GiB"),
    ]  # fmt: skip
    for way, title in (
        ("plain", "plain: all maps, apply, Examples"),
        ("rows", "vectorised, an Example per row"),
        ("batches", "vectorised, an Example per 1,024"),
    ):
        read_once(catalog)
        rival = run(PARTS / "rivals.py", way, catalog, catalog.parent / "maps", out)
        shutil.rmtree(out)
        table += _rival_rows(title, rival, ours)
    return table


def _rival_rows(title: str, rival: Run, ours: Run) -> Table:
    result = json.loads(rival.output)
    seconds = rival.seconds + result["more_seconds"]
    scaled = ""
    if result["timed_rows"] < result["rows"]:
        scaled = f", scaled from {result['timed_rows']:,} of {result['rows']:,} records"
    return [
        (title, f"{seconds:,.1f} s{scaled}, peak {rival.peak_gib:.2f} GiB"),
        ("  prepare is", f"{seconds / ours.seconds:.1f} times faster, in "
                         f"{ours.peak_gib / rival.peak_gib:.2f} of its memory"),
    ]  # fmt: skip


def stream(directory: Path, sizes: list[int]) -> Table:
    """Peak memory at each number of rows."""
    maps, out = make_inputs(directory, 0).parent / "maps", directory / "streamed"
    peaks, table = [], []
    for rows in sizes:
        result = run(PARTS / "stream.py", rows, maps, out)
        shutil.rmtree(out)
        peaks.append(result.peak_gib)
        table.append((f"{rows:,} rows generated while read",
                      f"{result.seconds:,.1f} s, {rows / result.seconds:,.0f} rows/s, peak "
                      f"{result.peak_gib:.3f} GiB"))  # fmt: skip
    return [*table, ("  last peak over first", f"{peaks[-1] / peaks[0]:.3f}")]


def workers(directory: Path, rows: int, counts: list[int]) -> Table:
    """Checksums of the shards by 0, 1, 2, 4 workers, and with one killed."""
    catalog, out = make_inputs(directory, rows), directory / "shards"
    table: Table = []
    reference: dict[str, str] = {}
    for count in (0, *counts):
        result = run(*prepare_command(catalog, out, "--workers", count))
        found = checksums(out)
        reference = reference or found
        table.append((f"{count} workers" if count else "no workers (in this process)",
                      f"{result.seconds:.1f} s, {_same(found, reference)}"))  # fmt: skip
        shutil.rmtree(out)
    count = max(2, counts[-1] // 2)
    seconds, killed = killing_one(prepare_command(catalog, out, "--workers", count))
    table.append((f"{count} workers, kill -9 of one",
                  f"{seconds:.1f} s, killed after {killed:.1f} s, "
                  f"{_same(checksums(out), reference)}"))  # fmt: skip
    shutil.rmtree(out)
    return table


def killing_one(command: list[object]) -> tuple[float, float]:
    """Run prepare and kill one of its workers once it is busy; seconds in all, and until then."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.DEVNULL)
    killed = 0.0
    while process.poll() is None:
        if not killed:
            busy = [worker for worker in spawned(process.pid) if worker.cpu_times().user > 4]
            if busy:
                os.kill(busy[0].pid, signal.SIGKILL)
                killed = time.perf_counter() - start
        time.sleep(0.2)
    if process.returncode or not killed:
        sys.exit(f"prepare exited with {process.returncode}; worker killed: {bool(killed)}")
    return time.perf_counter() - start, killed


def spawned(pid: int) -> list[psutil.Process]:
    """Worker processes below a process (multiprocessing starts them by `spawn_main`)."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if any("spawn_main" in part for part in child.cmdline())]


def checksums(out: Path) -> dict[str, str]:
    """Shard -> SHA-256."""
    splits = json.loads((out / "manifest.json").read_text())["splits"]
    return {
        shard["file"]: shard["sha256"] for split in splits.values() for shard in split["shards"]
    }


def _same(found: dict[str, str], reference: dict[str, str]) -> str:
    different = [name for name, value in reference.items() if found.get(name) != value]
    if different or found.keys() != reference.keys():
        return f"DIFFERENT: {', '.join(different) or 'other files'}"
    return f"all {len(found)} checksums identical"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ("compare", "stream", "workers")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--stream-rows", type=int, nargs="+", default=[10_000_000, 100_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--worker-rows", type=int, default=2_000_000)
    parser.add_argument("--directory", type=Path, help="where files go; inputs are kept there")
    options = parser.parse_args()
    print_table([("machine", machine())])
    with tempfile.TemporaryDirectory() as temporary:
        place = options.directory or Path(temporary)
        for name in options.only:
            if name == "compare":
                table = compare(place, options.rows)
            elif name == "stream":
                table = stream(place, options.stream_rows)
            else:
                table = workers(place, options.worker_rows, options.workers)
            print_table(table)


if __name__ == "__main__":
    main()
