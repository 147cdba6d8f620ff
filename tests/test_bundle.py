import json
import shutil

import pytest

from balrog_keras.bundle import read_description, verify
from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError


@pytest.fixture
def copy(toy_bundle, tmp_path):
    return shutil.copytree(toy_bundle, tmp_path / "copy")


def _change(directory, **entries):
    path = directory / "emulator.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_untouched_bundle_verifies(copy):
    verify(copy, read_description(copy))


def test_changed_weights_are_named(copy):
    (weights,) = (copy / "1/variables").glob("*.data*")
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BalrogError, match="variables.data.* was changed"):
        Emulator.load(copy)


def test_missing_and_added_files_are_named(copy):
    (copy / "1/saved_model.pb").unlink()
    with pytest.raises(BalrogError, match="saved_model.pb is missing"):
        Emulator.load(copy)
    (copy / "1/saved_model.pb").touch()
    (copy / "1/assets/extra").parent.mkdir(exist_ok=True)
    (copy / "1/assets/extra").touch()
    with pytest.raises(BalrogError, match="extra does not belong"):
        Emulator.load(copy)


def test_no_bundle(tmp_path):
    with pytest.raises(BalrogError, match="no exported emulator.*train.py"):
        Emulator.load(tmp_path)


def test_damaged_and_foreign_descriptions(copy):
    _change(copy, format_version=99)
    with pytest.raises(BalrogError, match="format_version 1, found 99"):
        Emulator.load(copy)
    (copy / "emulator.json").write_text("{")
    with pytest.raises(BalrogError, match="damaged"):
        Emulator.load(copy)


def test_edited_schema_is_noticed(copy):
    content = json.loads((copy / "emulator.json").read_text())
    content["schema"]["columns"][0]["unit"] = "nJy"
    _change(copy, schema=content["schema"])
    with pytest.raises(BalrogError, match="fingerprint"):
        read_description(copy)
