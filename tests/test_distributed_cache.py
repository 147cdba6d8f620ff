import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from balrog_keras import distributed_cache

NAMES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def shared(monkeypatch, modules, environ):
    """Threads in the environment of a process with these modules, afterwards."""
    monkeypatch.setattr(distributed_cache, "sys", SimpleNamespace(modules=modules))
    monkeypatch.setattr(distributed_cache, "os", SimpleNamespace(environ=environ))
    distributed_cache._share_cores()
    return tuple(environ.get(name) for name in NAMES)


def worker_of_three():
    return SimpleNamespace(state=SimpleNamespace(nthreads=3))


def no_worker():
    raise ValueError("No worker found")


WORKER = {"distributed": SimpleNamespace(get_worker=worker_of_three)}


def test_a_worker_uses_the_threads_that_dask_gave_it(monkeypatch):
    assert shared(monkeypatch, WORKER, {}) == ("1", "3")


def test_the_users_threads_stay(monkeypatch):
    assert shared(monkeypatch, WORKER, dict.fromkeys(NAMES, "7")) == ("7", "7")


@pytest.mark.parametrize(
    "modules",
    [{}, {"distributed": SimpleNamespace(get_worker=no_worker)}, {**WORKER, "tensorflow": None}],
)
def test_other_processes_are_left_alone(monkeypatch, modules):
    assert shared(monkeypatch, modules, {}) == (None, None)


_FAULTS = """
import resource
import numpy as np
from balrog_keras import distributed_cache

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
distributed_cache._keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("threshold", "kept"), [("65536", True), ("65537", False)])
def test_a_worker_uses_freed_memory_again_unless_the_user_chose(threshold, kept):
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": threshold}
    command = [sys.executable, "-c", _FAULTS]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    first, later = map(int, output.split())
    # A mebibyte has 256 pages.
    assert first > 20 * 200
    assert (later < 20 * 20) == kept
