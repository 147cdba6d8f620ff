"""Dask workers that a test may kill."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from balrog_keras import distributed_cache


def kill_own_worker(frame, flag):
    """The partition unchanged; the worker that has it first is killed as by ``kill -9``."""
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return frame


def times_loaded():
    """How often this process has loaded an emulator."""
    return distributed_cache._loaded.cache_info().misses


@contextmanager
def two_workers(address, directory):
    """Two workers of a Dask scheduler, each a process of one thread, as ``dask worker`` starts."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny",
               "--nthreads", "1", "--memory-limit", "0", "--no-dashboard"]  # fmt: skip
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    with open(directory / "workers.log", "w") as log:
        workers = [
            subprocess.Popen(command, cwd=directory, env={**os.environ, "PYTHONPATH": paths},
                             stdout=log, stderr=subprocess.STDOUT)
            for _ in range(2)
        ]  # fmt: skip
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
