from dataclasses import replace

import pytest

from balrog_keras.config import Settings
from balrog_keras.runs import Run, RunData
from data_prep.errors import BalrogError

DATA = RunData(shards="/somewhere", manifest_sha256="a" * 64)


def test_settings_round_trip(tmp_path):
    run = Run(tmp_path / "x")
    run.start(Settings(width=7), DATA, overwrite=False)
    assert run.saved_settings() == Settings(width=7)
    run.check_same(Settings(width=7), DATA)


def test_overwrite_removes_the_old_run(tmp_path):
    run = Run(tmp_path / "x")
    run.start(Settings(), DATA, overwrite=False)
    (run.directory / "old").touch()
    with pytest.raises(BalrogError, match="--overwrite"):
        run.start(Settings(), DATA, overwrite=False)
    run.start(Settings(width=9), DATA, overwrite=True)
    assert not (run.directory / "old").exists()
    assert run.saved_settings().width == 9


@pytest.mark.parametrize(
    "files",
    [
        {"config.yaml": "width: 9\n"},
        {"config.yaml": "", "data.yaml": "shards: here\n"},
        {"data.yaml": f"shards: x\nmanifest_sha256: {'a' * 64}\nmine: 1\n"},
        {"data.yaml": "- 1\n"},
        {"notes.partial.txt": ""},
    ],
)
def test_what_looks_like_a_run_but_is_none_is_never_replaced(tmp_path, files):
    run = Run(tmp_path / "x")
    run.directory.mkdir()
    for name, text in files.items():
        (run.directory / name).write_text(text)
    with pytest.raises(BalrogError, match="must be a run to be replaced, but holds something else"):
        run.start(Settings(), DATA, overwrite=True)
    assert {path.name: path.read_text() for path in run.directory.iterdir()} == files


def test_other_shards_are_refused(tmp_path):
    run = Run(tmp_path / "x")
    run.start(Settings(), DATA, overwrite=False)
    with pytest.raises(BalrogError, match="other shards"):
        run.check_same(Settings(), replace(DATA, manifest_sha256="b" * 64))


@pytest.mark.parametrize(
    ("name", "value"), [("members", 3), ("detection", False), ("start_from", "/an/emulator")]
)
def test_what_else_differs_is_named(tmp_path, name, value):
    run = Run(tmp_path / "x")
    run.start(Settings(), DATA, overwrite=False)
    with pytest.raises(BalrogError, match=f"{name} was .*, now {value!r}"):
        run.check_same(Settings(), replace(DATA, **{name: value}))


def test_data_round_trip(tmp_path):
    run = Run(tmp_path / "x")
    data = replace(DATA, members=4, detection=False, start_from="/e", start_from_sha256="c" * 64)
    run.start(Settings(), data, overwrite=False)
    assert run.saved_data() == data


def test_data_of_a_run_that_had_shards_alone(tmp_path):
    run = Run(tmp_path / "x")
    run.start(Settings(), DATA, overwrite=False)
    run.data.write_text(f"shards: /somewhere\nmanifest_sha256: {'a' * 64}\n")
    run.check_same(Settings(), DATA)
    run.data.write_text("shards: /somewhere\nmembrs: 3\n")
    with pytest.raises(BalrogError, match="data.yaml must have.*membrs"):
        run.saved_data()


def test_no_member_is_an_error():
    with pytest.raises(BalrogError, match="members must be at least 1"):
        replace(DATA, members=0)


@pytest.mark.parametrize("text", ["width: [", "width: 0", "widht: 3", "- 1"])
def test_damaged_config_is_an_error_not_a_crash(tmp_path, text):
    run = Run(tmp_path / "x")
    run.start(Settings(), DATA, overwrite=False)
    run.config.write_text(text)
    with pytest.raises(BalrogError):
        run.saved_settings()
