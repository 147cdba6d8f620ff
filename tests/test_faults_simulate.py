"""What simulate does when it is killed, and in strange places: docs/reliability.md, row by row."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_world import error_of, full_disk, tree, unwritable

from data_prep.__main__ import main
from data_prep.locks import locked

pytest.importorskip("galsim")
pytest.importorskip("sep")

ROOT = Path(__file__).parents[1]
SMALL = ["--tiles", "12", "--realizations", "1", "--tile-pixels", "300", "--parents", "60"]


def words(out):
    return ["simulate", "--out", str(out), *SMALL, "--workers", "1", "--quiet"]


def catalogues(out):
    return {name: sha for name, sha in tree(out).items() if name != "simulation.json"}


def test_killed_it_leaves_no_output_and_starts_anew(tmp_path):
    out = tmp_path / "out"
    assert main(words(tmp_path / "whole")) == 0
    command = [sys.executable, "-m", "data_prep", *words(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob(".*.partial.out/maps/*")):
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    assert list(tmp_path.glob(".*.partial.out"))
    assert main(words(out)) == 0
    assert catalogues(out) == catalogues(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_full_disk_and_unwritable_place_are_one_line(tmp_path, capsys):
    with full_disk(3_000):
        code = main(words(tmp_path / "out"))
    assert error_of(code, capsys)
    assert not list(tmp_path.iterdir())
    place = unwritable(tmp_path)
    assert str(place) in error_of(main(words(place / "out")), capsys)


def test_two_processes_on_one_output(tmp_path, capsys):
    with locked(tmp_path / "out", ""):
        line = error_of(main(words(tmp_path / "out")), capsys)
    assert "must be written by one process at a time, and another is at it" in line
    assert not list(tmp_path.iterdir())
