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
