import pytest

from balrog_keras.config import Settings
from balrog_keras.runs import Run
from data_prep.errors import BalrogError

DATA = {"shards": "/somewhere", "manifest_sha256": "a" * 64}


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


def test_other_shards_are_refused(tmp_path):
    run = Run(tmp_path / "x")
    run.start(Settings(), DATA, overwrite=False)
    with pytest.raises(BalrogError, match="other shards"):
        run.check_same(Settings(), {**DATA, "manifest_sha256": "b" * 64})


@pytest.mark.parametrize("text", ["width: [", "width: 0", "widht: 3", "- 1"])
def test_damaged_config_is_an_error_not_a_crash(tmp_path, text):
    run = Run(tmp_path / "x")
    run.start(Settings(), DATA, overwrite=False)
    run.config.write_text(text)
    with pytest.raises(BalrogError):
        run.saved_settings()
