"""Rows per second of Dask workers from Parquet to Parquet, as JSON.

Arguments: bundle, directory of Parquet files, directory for the output, number of workers. Each
worker has one thread. Starting and loading, which a warm-up does, do not count; planning the work
and handing it out do.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import dask.dataframe as dd
import pandas as pd
from distributed import Client, LocalCluster

from balrog_keras.distributed import emulate_partitions
from balrog_keras.distributed_cache import description_sha256, loaded_emulator


def warm_up(bundle: str, table: pd.DataFrame) -> None:
    """Load the emulator as the partitions will find it, and draw a little."""
    loaded_emulator(bundle, description_sha256(bundle)).emulate(table)


def rate(bundle: str, files: str, output: Path, workers: int) -> dict[str, float]:
    """Rows per second by the clock, and by the processor time of the workers."""
    cluster = LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0
    )
    with cluster, Client(cluster) as client:
        truth = dd.read_parquet(files)
        measured = emulate_partitions(truth, bundle, seed=1)
        few, place = truth.head(1_000), str(Path(bundle).resolve())
        names = list(client.scheduler_info(n_workers=-1)["workers"])
        warm = [client.submit(warm_up, place, few, workers=each, pure=False) for each in names]
        client.gather(warm)
        start, used = time.perf_counter(), sum(client.run(time.process_time).values())
        measured.to_parquet(output, write_index=False)
        seconds = time.perf_counter() - start
        used = sum(client.run(time.process_time).values()) - used
    found = dd.read_parquet(output)
    rows = len(found)
    if rows != len(truth):
        raise RuntimeError(f"{rows} of {len(truth)} rows were written")
    shutil.rmtree(output)
    return {"wall": rows / seconds, "cpu": rows / used}


def main() -> None:
    """Measure."""
    bundle, files, output, workers = sys.argv[1:]
    print(json.dumps(rate(bundle, files, Path(output), int(workers))))


if __name__ == "__main__":
    main()
