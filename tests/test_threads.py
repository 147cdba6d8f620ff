import json
import os
import subprocess
import sys
import threading
import time

import pytest
from threadpoolctl import threadpool_info

from balrog_keras import threads

NAMES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, ("1", "1")), (2, ("1", "2")), (4, ("1", "4")), (10, ("3", "10"))]
)
def test_every_core_has_a_thread(monkeypatch, cores, expected):
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(cores))
    threads.draw_on_all_cores()
    assert tuple(os.environ[name] for name in NAMES) == expected


def test_the_users_choice_stays(monkeypatch):
    monkeypatch.setattr(os, "environ", dict.fromkeys(NAMES, "7"))
    threads.draw_on_all_cores()
    assert os.environ == dict.fromkeys(NAMES, "7")


@pytest.mark.parametrize("command", ["emulate", "maps", "magnification", "evaluate"])
def test_commands_that_draw_set_them_before_tensorflow(command, tmp_path):
    """An emulator that does not exist: the command ends before it imports TensorFlow."""
    more = {"emulate": ["--out", "o.parquet"], "magnification": ["--out", "o"],
            "maps": ["--maps", ".", "--out", "o", "--nside", "64"],
            "evaluate": ["--data", ".", "--out", "o"]}  # fmt: skip
    catalog = ["--catalog", "none.parquet"] if command != "evaluate" else []
    code = (
        "import json, os, sys\nfrom balrog_keras.__main__ import main\n"
        f"main({[command, 'nothing', *catalog, *more[command]]!r})\n"
        f"print(json.dumps([os.environ.get(name) for name in {NAMES!r}]))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(json.loads(done.stdout.splitlines()[-1])), done.stderr


def test_results_keep_the_order_of_the_items(monkeypatch):
    monkeypatch.setattr(threads, "_cores", lambda: 4)
    waits = [0.05, 0.0, 0.02, 0.0, 0.01]
    assert threads.on_all_cores(lambda wait: time.sleep(wait) or wait, iter(waits)) == waits
    assert threads.on_all_cores(str, []) == []


def test_one_thread_for_each_core_and_none_for_calls_within(monkeypatch):
    monkeypatch.setattr(threads, "_cores", lambda: 3)
    together = threading.Barrier(3, timeout=20)

    def work(_):
        together.wait()  # passes only if three run at once
        mine = threading.get_ident()
        return mine, threads.on_all_cores(lambda _: threading.get_ident(), range(3))

    found = threads.on_all_cores(work, range(3))
    assert len({mine for mine, _ in found}) == 3
    assert all(within == [mine] * 3 for mine, within in found)


def test_libraries_have_one_thread_meanwhile_and_theirs_afterwards():
    before = threadpool_info()
    within = threads.on_all_cores(lambda _: threadpool_info(), range(4))
    assert {library["num_threads"] for found in within for library in found} == {1}
    assert threadpool_info() == before


def test_errors_reach_the_caller_and_leave_nothing_set():
    before = threadpool_info()
    with pytest.raises(ZeroDivisionError):
        threads.on_all_cores(lambda number: 1 / number, [1, 0, 1])
    assert threadpool_info() == before
    assert not hasattr(threads._here, "busy")
