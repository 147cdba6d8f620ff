"""What evaluate does with strange input and places: docs/reliability.md, row by row."""

import json
import shutil
from functools import partial

import light
import numpy as np
import pytest
from analytic_emulator import AnalyticEmulator
from evaluation_world import SCHEMA, KnownEmulator, splits
from fault_world import error_of
from killed import hidden, kill
from shard_files import write_shards
from toy import toy_rows, toy_schema
from toy_detection import MANIFEST

from balrog_keras.count_statistics import count_edges
from balrog_keras.emulator import Emulator
from balrog_keras.evaluate_command import main
from balrog_keras.evaluation import evaluate
from data_prep.locks import locked
from data_prep.manifest import manifest_checksum


@pytest.fixture(autouse=True)
def emulator(monkeypatch):
    monkeypatch.setattr(Emulator, "load", lambda directory: AnalyticEmulator())


def run(shards, out):
    return main(["bundle", "--data", str(shards), "--out", str(out), "--quiet"])


class Known(KnownEmulator):
    """With what a command asks of an emulator."""

    info, members, has_detection = {"name": "known"}, 1, False


def command(arguments):
    """Evaluate the known emulator in little time; :mod:`killed` calls it in another process."""
    with light.quick_classifiers(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Emulator, "load", lambda directory: Known())
        patch.setattr("balrog_keras.report.evaluation_figures", lambda evaluation: [])
        here = "balrog_keras.bundle_evaluation"
        patch.setattr(f"{here}.evaluate", partial(evaluate, replicates=20, least_draws=1))
        patch.setattr(f"{here}.evaluate_science", lambda *_, **more: None)
        return main(arguments)


@pytest.fixture
def known(tmp_path):
    """Shards of the known world, an emulator's description and an older evaluation."""
    for name in ("bundle", "shards", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "bundle/emulator.json").write_text("{}")
    test = splits(200)[0]
    test |= {"parent_id": test["row_id"], "position": np.zeros((200, 2), np.float32)}
    write_shards(tmp_path / "shards", dict.fromkeys(("train", "test"), test), SCHEMA, MANIFEST)
    for name in ("metrics.json", "report.html"):
        (tmp_path / "out" / name).write_text('{"older": 1}')
    return tmp_path


def options(known, out):
    return [str(known / "bundle"), "--data", str(known / "shards"), "--out", str(known / out),
            "--draws", "20", "--quiet"]  # fmt: skip


def found(out):
    """Metrics and report, without the time when they were made."""
    metrics = json.loads((out / "metrics.json").read_text())
    page = (out / "report.html").read_text()
    created = metrics.get("provenance", {}).pop("created", "never")
    return metrics, page.replace(created, "")


@pytest.mark.slow
def test_killed_the_old_report_stays_and_it_starts_anew(known):
    out = known / "out"
    old = found(out)
    assert command(options(known, "whole")) == 0
    whole = found(known / "whole")
    for moment, metrics in (("half", old[0]), ("published", whole[0])):
        kill("test_faults_evaluate", moment, options(known, "out"))
        assert found(out) == (metrics, old[1])
        assert len(hidden(out)) == 1
    assert command(options(known, "out")) == 0
    assert found(out) == whole
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "report.html"]


def test_two_processes_on_one_output(known, capsys):
    with locked(known / "out", "wait"):
        line = error_of(command(options(known, "out")), capsys)
    assert "must be written by one process at a time, and another is at it" in line


def test_metrics_that_do_not_follow_their_schema_are_kept_elsewhere(known, capsys, monkeypatch):
    """A fault of the package must not cost hours of work, nor an older result that is right."""
    old = found(known / "out")

    def faulty(document):
        raise RuntimeError("metrics.json, $.rows: 'test' is a required property")

    monkeypatch.setattr("balrog_keras.bundle_evaluation.check_metrics", faulty)
    line = error_of(command(options(known, "out")), capsys)
    assert "'test' is a required property: a fault of this package" in line
    assert line.endswith(f"What was measured is in {known / 'out/invalid'}")
    assert found(known / "out") == old
    metrics, page = found(known / "out/invalid")
    assert metrics["rows"]["test"] == 200
    assert "<h1>Evaluation of known</h1>" in page


@pytest.mark.parametrize("rows", [1, 2, 99])
def test_few_rows(tmp_path, capsys, rows):
    (tmp_path / "s").mkdir()
    splits = {name: toy_rows(rows, 1) for name in ("train", "validation", "test")}
    write_shards(tmp_path / "s", splits, toy_schema(), MANIFEST)
    line = error_of(run(tmp_path / "s", tmp_path / "out"), capsys)
    assert f"must have at least 100 test rows for statistics to mean anything, found {rows}" in line
    assert not (tmp_path / "out").exists()


def test_no_rows(known, capsys):
    path = known / "shards/manifest.json"
    content = json.loads(path.read_text())
    content["splits"]["test"] |= {"rows": 0, "shards": []}
    path.write_text(json.dumps(content | {"sha256": manifest_checksum(content)}))
    line = error_of(command(options(known, "new")), capsys)
    assert "must have at least 100 test rows for statistics to mean anything, found 0" in line
    assert not (known / "new").exists()


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
