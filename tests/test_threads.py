import json
import os
import subprocess
import sys

import pytest

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
