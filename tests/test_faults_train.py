"""What train does with strange input, places and damaged runs: docs/reliability.md, row by row."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fault_world import error_of, full_disk, tree, unwritable
from shard_files import write_shards
from test_checkpoints import _parts
from toy import toy_rows, toy_schema
from toy_detection import MANIFEST

from balrog_keras.config import Settings
from balrog_keras.emulator import Emulator
from balrog_keras.file_errors import tensorflow_file_errors
from balrog_keras.runs import Run, RunData
from balrog_keras.train_command import main
from balrog_keras.training import train
from balrog_keras.training_data import open_training_rows, read_validation_rows
from data_prep.errors import BalrogError
from data_prep.manifest import manifest_checksum


def run(shards, place, *more):
    return main([
        "--data", str(shards), "--name", "x", "--runs", str(place / "runs"),
        "--saved_models", str(place / "models"), "--quiet", *more,
    ])  # fmt: skip


def few(place, rows, validation=60):
    """Shards with so many training rows."""
    place.mkdir()
    sizes = {"train": rows, "validation": validation, "test": 60}
    splits = {name: toy_rows(size, seed) for seed, (name, size) in enumerate(sizes.items(), 1)}
    write_shards(place, splits, toy_schema(), MANIFEST)
    return place


@pytest.mark.parametrize("rows", [1, 2])
def test_few_rows(tmp_path, capsys, rows):
    line = error_of(run(few(tmp_path / "s", rows), tmp_path), capsys)
    assert f"the training split has {rows}; lower batch_size or prepare more data" in line
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("stream", [False, True])
def test_no_rows(tmp_path, stream):
    shards = few(tmp_path / "s", 60)
    content = json.loads((shards / "manifest.json").read_text())
    content["splits"]["train"] |= {"rows": 0, "shards": []}
    content["sha256"] = manifest_checksum(content)
    (shards / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(BalrogError, match="s has no train rows; prepare a larger catalogue"):
        open_training_rows(shards, Settings(stream=stream))


@pytest.mark.slow
@pytest.mark.usefixtures("no_training_figures")
def test_constant_columns_are_trained_on(tmp_path, hasty_settings):
    """A condition and a measured column of one value: no division by their widths."""
    splits = {name: toy_rows(600, seed) for seed, name in enumerate(("train", "validation"))}
    for rows in splits.values():
        rows["condition"][:, 3], rows["measured"][:, 2] = 0.9, 22.0
    (tmp_path / "s").mkdir()
    write_shards(tmp_path / "s", splits, toy_schema(), MANIFEST)
    settings = replace(hasty_settings, steps=4, validation_interval=4)
    train(tmp_path / "s", "x", settings, tmp_path / "runs", tmp_path / "models")
    condition = splits["validation"]["condition"]
    drawn = Emulator.load(tmp_path / "models/x").draw(condition, np.arange(600), 1)
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize("stream", [False, True])
def test_few_validation_rows(tmp_path, stream):
    """Found out before training; the score of 49 rows was NaN at its end."""
    settings = Settings(stream=stream)
    assert len(read_validation_rows(few(tmp_path / "s", 60, 50), settings)["condition"]) == 50
    with pytest.raises(BalrogError, match="must have at least 50 validation rows .* found 49"):
        read_validation_rows(few(tmp_path / "t", 60, 49), settings)


def test_corrupted_shard(toy_shards, tmp_path, capsys):
    shards = shutil.copytree(toy_shards, tmp_path / "s")
    path = next(shards.glob("train-*"))
    content = bytearray(path.read_bytes())
    content[1_000] ^= 1
    path.write_bytes(content)
    assert "must have the SHA-256 that the manifest says" in error_of(run(shards, tmp_path), capsys)


def test_what_is_no_run_and_no_emulator_is_never_replaced(toy_shards, tmp_path, capsys):
    for name, more, said in (
        ("models", (), "goes to .*models/x, which holds something else"),
        ("runs", ("--overwrite",), "runs/x must be a run to be replaced, but holds something else"),
    ):
        (tmp_path / name / "x").mkdir(parents=True)
        (tmp_path / name / "x/precious").write_text("mine")
        line = error_of(run(toy_shards, tmp_path, *more), capsys)
        assert re.search(said, line), line
        assert [path.name for path in (tmp_path / name / "x").iterdir()] == ["precious"]
        shutil.rmtree(tmp_path / name / "x")


def test_a_run_killed_at_its_start_can_be_replaced(tmp_path):
    run_directory = Run(tmp_path / "x")
    run_directory.directory.mkdir()
    (run_directory.directory / ".0123456789ab.partial.data.yaml").touch()
    data = RunData(shards="s", manifest_sha256="0")
    run_directory.start(Settings(), data, overwrite=True)
    assert run_directory.saved_data() == data
    assert sorted(tree(tmp_path)) == ["x/config.yaml", "x/data.yaml"]


def test_unwritable_place_is_one_line(toy_shards, tmp_path, capsys):
    place = unwritable(tmp_path)
    assert str(place) in error_of(run(toy_shards, place), capsys)


def test_full_disk_at_the_start(toy_shards, tmp_path, capsys):
    with full_disk(100):
        code = run(toy_shards, tmp_path)
    assert "File too large" in error_of(code, capsys)


def test_full_disk_at_a_checkpoint_keeps_the_last_one(tmp_path):
    """TensorFlow's error is no OSError; what it left over does not count."""
    gan, _, checkpoints = _parts(tmp_path)
    gan.optimizer.iterations.assign(3)
    checkpoints.save()
    gan.optimizer.iterations.assign(4)
    with (
        full_disk(2_000),
        pytest.raises(OSError, match=r"File too large; make room"),
        tensorflow_file_errors("make room"),
    ):
        checkpoints.save()
    restored = _parts(tmp_path, seed=1)[2]
    assert restored.restore()
    assert restored.step == 3


def test_damaged_checkpoint_and_the_one_before_it(tmp_path):
    """Doing what the message says goes on from the checkpoint before the damaged one."""
    gan, _, checkpoints = _parts(tmp_path)
    for step in (1, 2):
        gan.optimizer.iterations.assign(step)
        checkpoints.save()
    for damaged in ("ckpt-2.index", "ckpt-2.data-00000-of-00001"):
        content = (tmp_path / damaged).read_bytes()
        (tmp_path / damaged).write_bytes(content[: len(content) // 2])
        with pytest.raises(BalrogError, match="ckpt-2 cannot be restored .* delete its files"):
            _parts(tmp_path)[2].restore()
        (tmp_path / damaged).write_bytes(content)
    for path in tmp_path.glob("ckpt-2.*"):
        path.unlink()
    restored = _parts(tmp_path)[2]
    assert restored.restore()
    assert restored.step == 1


def test_damaged_list_of_checkpoints(tmp_path, caplog):
    _parts(tmp_path)[2].save()
    (tmp_path / "checkpoint").unlink()
    assert not _parts(tmp_path)[2].restore()
    assert "holds checkpoints that its list does not name" in caplog.text
    (tmp_path / "checkpoint").write_bytes(b"\xff\x00")
    with pytest.raises(BalrogError, match="checkpoint must list the checkpoints .* is damaged"):
        _parts(tmp_path)


@pytest.mark.parametrize("name", ["config.yaml", "data.yaml"])
@pytest.mark.parametrize(
    "content",
    ["", "[1]", "members: x", "width: !!python/object/apply:os.system ['touch run']", "a: 'b"],
)
def test_damaged_settings_of_a_run(toy_shards, tmp_path, capsys, monkeypatch, name, content):
    """Also a file that would run a command with an unsafe reader of YAML."""
    monkeypatch.chdir(tmp_path)
    place = Run(tmp_path / "runs/x")
    place.start(Settings(), RunData(shards="s", manifest_sha256="0"), overwrite=False)
    (place.directory / name).write_text(content)
    assert str(place.directory / name) in error_of(run(toy_shards, tmp_path, "--resume"), capsys)
    assert not Path("run").exists()


def test_settings_file_builds_no_objects(toy_shards, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("width: !!python/object/apply:os.system ['touch run']")
    line = error_of(run(toy_shards, tmp_path, "--config", "c.yaml"), capsys)
    assert "c.yaml must be YAML: could not determine a constructor" in line
    assert not Path("run").exists()


def test_links_blanks_and_other_alphabets(tmp_path, monkeypatch):
    """A run whose directory is a link to another disk is kept there."""

    def stop(*arguments):
        raise BalrogError("far enough")

    monkeypatch.setattr("balrog_keras.training._train_members", stop)
    home, disk = tmp_path / "données de Σιγμα 星", tmp_path / "disk"
    (home / "runs").mkdir(parents=True)
    (home / "runs/x").symlink_to(disk)
    (home / "s").symlink_to(few(tmp_path / "shards", 4_096))
    assert run(home / "s", home) == 1
    assert (home / "runs/x").is_symlink()
    assert Run(disk).saved_settings() == Settings()
    assert sorted(os.listdir(tmp_path)) == sorted([home.name, "disk", "shards"])
