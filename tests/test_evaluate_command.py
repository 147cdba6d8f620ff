"""What evaluate.py refuses, end to end and before any statistic; none of it needs TensorFlow."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_world import SCHEMA, KnownEmulator, splits
from fault_world import error_of, tree, unwritable
from shard_files import write_shards
from toy import toy_rows, toy_schema
from toy_detection import MANIFEST

from balrog_keras.emulator import Emulator
from balrog_keras.evaluate_command import main

MINI = Path(__file__).parents[1] / "saved_models/mini-balrog"


@pytest.fixture(autouse=True)
def no_tensorflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)


@pytest.fixture
def world(tmp_path):
    """A bundle of the committed emulator, shards of another schema, an older evaluation."""
    shutil.copytree(MINI, tmp_path / "mini")
    test = splits(150)[0]
    test |= {"parent_id": test["row_id"], "position": np.zeros((150, 2), np.float32)}
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards", dict.fromkeys(("train", "test"), test), SCHEMA, MANIFEST)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/metrics.json").write_text('{"older": 1}')
    return tmp_path


class Known(KnownEmulator):
    """With what a command asks of an emulator."""

    info, members, has_detection = {"name": "known"}, 1, False


@pytest.fixture
def known(world, monkeypatch):
    """The emulator that is loaded is of that schema, and exact."""
    monkeypatch.setattr(Emulator, "load", lambda directory: Known())
    return world


def refusal(world, capsys, *more, bundle="mini", shards="shards", out="out"):
    """The error line; nothing on disk has changed."""
    before = tree(world)
    paths = [str(world / bundle), "--data", str(world / shards), "--out", str(world / out)]
    line = error_of(main([*paths, "--quiet", *more]), capsys)
    assert tree(world) == before
    return line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--data", "s", "--out", "o", "--drawss", "3"], r"--drawss \(did you mean --draws"),
        (["x", "--dta", "s", "--out", "o"], r"required: --data; --dta \(did you mean --data"),
        (["--data", "s", "--out", "o"], "an emulator is needed"),
        (["--compare", "--data", "s", "--out", "o"], "an emulator is needed"),
        (["x", "--data", "s", "--out", "o", "--draws", "many"], "invalid int value: 'many'"),
        (["x", "--data", "s", "--out", "o", "--redshift", "c", "Z"], "expected 3 arguments"),
    ],
)
def test_options(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_missing_emulator_and_shards(world, capsys):
    line = refusal(world, capsys, bundle="none")
    assert "none is no exported emulator: " in line
    line = refusal(world, capsys, shards="none")
    assert "none must be a directory of shards; it has no manifest.json" in line


def change(path):
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda place: change(place / "mini/1/saved_model.pb"), "1/saved_model.pb"),
        (lambda place: (place / "mini/1/extra").touch(), "1/extra"),
        (lambda place: (place / "mini/emulator.json").write_text("[]"), "emulator.json must have"),
        (lambda place: (place / "shards/manifest.json").write_text("{"), "manifest.json"),
        (lambda place: change(place / "shards/manifest.json"), "manifest.json"),
        (lambda place: next((place / "shards").glob("test-*")).unlink(), "test-"),
    ],
)
def test_damaged_emulator_and_shards(world, capsys, harm, message):
    harm(world)
    assert message in refusal(world, capsys)


def test_shards_of_another_schema(known, capsys):
    toy = known / "toy"
    toy.mkdir()
    write_shards(toy, dict.fromkeys(("train", "test"), toy_rows(150, 1)), toy_schema(), MANIFEST)
    line = refusal(known, capsys, shards="toy")
    assert "emulator" in line
    assert re.search("sky_noise_r|true_mag_r", line), line


def test_another_emulator_to_compare_with(world, capsys, monkeypatch):
    load = Emulator.load

    def first_known(path):
        return Known() if path.name == "first" else load(path)

    monkeypatch.setattr(Emulator, "load", first_known)
    line = refusal(world, capsys, "--compare", str(world / "none"), bundle="first")
    assert "none is no exported emulator" in line
    line = refusal(world, capsys, "--compare", str(world / "first"), bundle="none")
    assert "none is no exported emulator" in line


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("mini", "another directory than what is read"),
        ("link", "another directory than what is read"),
        ("shards", "another directory than what is read"),
        ("mini/1", "must lie outside .*mini/1, whose files are those of an emulator alone"),
        ("mini/training_weights/report", "must lie outside .*mini/training_weights"),
        ("mini/README.md", "--out must be a directory, found a file"),
    ],
)
def test_an_output_that_harms_what_is_read(world, capsys, out, message):
    """An emulator has a metrics.json too."""
    (world / "link").symlink_to(world / "mini")
    line = refusal(world, capsys, out=out)
    assert re.search(message, line), line


def test_events_among_what_is_read(world, capsys):
    for place, message in (("shards", "be another directory"), ("mini/1/events", "lie outside")):
        line = refusal(world, capsys, "--tensorboard", str(world / place))
        assert f"--tensorboard must {message}" in line


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--max-rows", "0"], "--max-rows of at least 1, found 0"),
        (["--max-rows", "99"], "at least 100 test rows .*found 99.*leave out --max-rows"),
        (["--draws", "0"], "at least 20 draws, found 0: raise --draws"),
        (["--cut", "meas_mag_q < 22"], r"--cut .* found meas_mag_q \(did you mean meas_mag_"),
        (["--cut", "meas_mag_i"], "--cut must be a comparison"),
        (["--cut", "meas_mag_i <"], "meas_mag_i <"),
        (["--redshift", "none.fits", "Z", "ID"], "none.fits"),
    ],
)
def test_bad_options(known, capsys, more, message):
    line = refusal(known, capsys, *more)
    assert re.search(message, line), line


def test_a_redshift_that_the_catalogue_lacks(known, capsys):
    np.savetxt(known / "z.csv", [[1, 0.5]], delimiter=",", header="ID,Z", comments="")
    line = refusal(known, capsys, "--redshift", str(known / "z.csv"), "ZZ", "ID")
    assert "ZZ" in line
    line = refusal(known, capsys, "--redshift", str(known / "z.csv"), "Z", "ID")
    assert "must have Z of test rows by the injection ids in ID, found none of 150" in line


def test_unwritable_place(known, tmp_path, capsys):
    place = unwritable(tmp_path)
    line = error_of(main([str(known / "mini"), "--data", str(known / "shards"), "--quiet",
                          "--out", str(place / "out")]), capsys)  # fmt: skip
    assert str(place) in line


def test_what_is_refused_is_all_that_keeps_it_from_tensorflow(world, capsys):
    """So that the other tests here cannot pass for want of it."""
    assert "tensorflow is not installed" in refusal(world, capsys)
    assert json.loads((world / "out/metrics.json").read_text()) == {"older": 1}
