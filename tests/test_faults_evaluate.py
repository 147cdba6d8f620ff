"""What evaluate does with strange input and places: docs/reliability.md, row by row."""

import shutil

import numpy as np
import pytest
from analytic_emulator import AnalyticEmulator
from fault_world import error_of
from shard_files import write_shards
from toy import toy_rows, toy_schema
from toy_detection import MANIFEST

from balrog_keras.count_statistics import count_edges
from balrog_keras.emulator import Emulator
from balrog_keras.evaluate_command import main


@pytest.fixture(autouse=True)
def emulator(monkeypatch):
    monkeypatch.setattr(Emulator, "load", lambda directory: AnalyticEmulator())


def run(shards, out):
    return main(["bundle", "--data", str(shards), "--out", str(out), "--quiet"])


@pytest.mark.parametrize("rows", [1, 2, 99])
def test_few_rows(tmp_path, capsys, rows):
    (tmp_path / "s").mkdir()
    splits = {name: toy_rows(rows, 1) for name in ("train", "validation", "test")}
    write_shards(tmp_path / "s", splits, toy_schema(), MANIFEST)
    line = error_of(run(tmp_path / "s", tmp_path / "out"), capsys)
    assert f"must have at least 100 test rows for statistics to mean anything, found {rows}" in line
    assert not (tmp_path / "out").exists()


def test_duplicate_ids(tmp_path, capsys):
    (tmp_path / "s").mkdir()
    rows = toy_rows(200, 1)
    rows["row_id"][1] = rows["row_id"][0]
    write_shards(tmp_path / "s", {"train": rows, "test": rows}, toy_schema(), MANIFEST)
    line = error_of(run(tmp_path / "s", tmp_path / "out"), capsys)
    assert "must hold each row_id once, found 199 distinct of 200" in line


def test_corrupted_shard(toy_shards, tmp_path, capsys):
    shards = shutil.copytree(toy_shards, tmp_path / "s")
    path = next(shards.glob("test-*"))
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    line = error_of(run(shards, tmp_path / "out"), capsys)
    assert "must have the SHA-256 that the manifest says" in line
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_is_found_before_the_work(toy_shards, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    line = error_of(run(toy_shards, tmp_path / "out"), capsys)
    assert "--out must be a directory, found a file" in line
    assert (tmp_path / "out").read_text() == "mine"


def test_a_constant_measured_column_has_a_bin():
    edges = count_edges(toy_schema(), np.full((50, 3), 22.0, np.float32))
    for bounds in edges.values():
        assert len(bounds) >= 2
        assert bounds[0] <= 22.0 < bounds[-1]
