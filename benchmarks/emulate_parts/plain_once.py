"""Rows per second of plain processes that do the work of Dask workers, as JSON.

Arguments as of dask_once.py. Each process, of one thread, reads, draws and writes its share of the
files, without Dask: what this machine allows. Starting and loading do not count.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

# What a Dask worker of one thread sets for itself: for the processes, which inherit it.
ONE_THREAD = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def work(bundle: str, files: Sequence[tuple[Path, int]], output: Path, ready: Any) -> list[float]:
    """Start, end and processor seconds of a process; files come with the number of their row."""
    from balrog_keras.distributed_cache import description_sha256
    from balrog_keras.distributed_partition import PartitionDraws
    from balrog_keras.draw_plan import DrawPlan

    draws = PartitionDraws(
        emulator=bundle, sha256=description_sha256(bundle), plan=DrawPlan(seed=1)
    )
    draws.draw(pd.read_parquet(files[0][0]).head(1_000))
    ready.wait()
    start, used = time.monotonic(), time.process_time()
    for file, first_row in files:
        drawn = draws.draw(pd.read_parquet(file), first_row)
        drawn.to_parquet(output / file.name, index=False)
    return [start, time.monotonic(), time.process_time() - used]


def rate(bundle: str, files: Path, output: Path, processes: int) -> dict[str, float]:
    """Rows per second by the clock, and by the processor time of the processes."""
    output.mkdir()
    shares: list[list[tuple[Path, int]]] = [[] for _ in range(processes)]
    rows = 0
    for number, file in enumerate(sorted(files.iterdir())):
        shares[number % processes].append((file, rows))
        rows += pq.read_metadata(file).num_rows
    spawn = get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(processes) as pool:
        ready = manager.Barrier(processes)
        place = str(Path(bundle).resolve())
        jobs = [(place, share, output, ready) for share in shares]
        found = pool.starmap(work, jobs, chunksize=1)
    shutil.rmtree(output)
    starts, ends, used = zip(*found, strict=True)
    return {"wall": rows / (max(ends) - min(starts)), "cpu": rows / sum(used)}


def main() -> None:
    """Measure."""
    os.environ |= dict.fromkeys(ONE_THREAD, "1")
    bundle, files, output, processes = sys.argv[1:]
    print(json.dumps(rate(bundle, Path(files), Path(output), int(processes))))


if __name__ == "__main__":
    main()
