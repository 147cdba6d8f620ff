import json
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras.__main__ import main
from balrog_keras.bundle import lacks, read_description, read_metrics, schema_path, verify
from balrog_keras.emulator import Emulator
from balrog_keras.stored_networks import stored_members
from data_prep.errors import BalrogError


def _change(directory, **entries):
    path = directory / "emulator.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_untouched_bundle_verifies(bundle_copy):
    verify(bundle_copy, read_description(bundle_copy))


def test_changed_weights_are_named(bundle_copy):
    (weights,) = (bundle_copy / "1/variables").glob("*.data*")
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BalrogError, match="variables.data.* was changed"):
        Emulator.load(bundle_copy)


def test_missing_and_added_files_are_named(bundle_copy):
    (bundle_copy / "1/saved_model.pb").unlink()
    with pytest.raises(BalrogError, match="saved_model.pb is missing"):
        Emulator.load(bundle_copy)
    (bundle_copy / "1/saved_model.pb").touch()
    (bundle_copy / "1/assets/extra").parent.mkdir(exist_ok=True)
    (bundle_copy / "1/assets/extra").touch()
    with pytest.raises(BalrogError, match="extra does not belong"):
        Emulator.load(bundle_copy)


def test_no_bundle(tmp_path):
    with pytest.raises(BalrogError, match="no exported emulator.*train.py"):
        Emulator.load(tmp_path)


def test_damaged_and_foreign_descriptions(bundle_copy):
    _change(bundle_copy, format_version=99)
    with pytest.raises(BalrogError, match="format_version 2, found 99"):
        Emulator.load(bundle_copy)
    (bundle_copy / "emulator.json").write_text("{")
    with pytest.raises(BalrogError, match="damaged"):
        Emulator.load(bundle_copy)


def test_edited_schema_is_noticed(bundle_copy):
    content = json.loads((bundle_copy / "emulator.json").read_text())
    content["schema"]["columns"][0]["unit"] = "nJy"
    _change(bundle_copy, schema=content["schema"])
    with pytest.raises(BalrogError, match="fingerprint"):
        read_description(bundle_copy)


@pytest.fixture
def old(bundle_copy):
    """With a description of the first format."""
    content = json.loads((bundle_copy / "emulator.json").read_text())
    for later in ("in_domain", "endpoints", "members", "seeds", "detection"):
        del content[later]
    (bundle_copy / "emulator.json").write_text(json.dumps({**content, "format_version": 1}))
    return bundle_copy


def test_exports_have_the_published_schema(untrained_bundle):
    committed = Path(__file__).parents[1] / "saved_models/mini-balrog"
    schema = json.loads(schema_path().read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for directory in (untrained_bundle, committed):
        content = json.loads((directory / "emulator.json").read_text())
        jsonschema.validate(content, schema, jsonschema.Draft202012Validator)
    for wrong in ({"latent_dim": 0}, {"surprise": 1}, {"files": {"1/saved_model.pb": "ab"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | wrong, schema)


def test_first_format_loads_and_says_what_it_lacks(old, caplog):
    description = read_description(old)
    assert (description["members"], description["detection"]) == (1, False)
    assert "no in_domain" in lacks(description)
    with caplog.at_level("WARNING"):
        Emulator.load(old)
    assert "train it again" in caplog.text
    with pytest.raises(BalrogError, match="networks that this version cannot go on from"):
        stored_members(old, description)


@pytest.mark.parametrize("broken", ["1/saved_model.pb", "training_weights/member-0.npz"])
def test_nothing_is_written_from_a_broken_bundle(bundle_copy, tmp_path, capsys, broken):
    truth, out = tmp_path / "truth.parquet", tmp_path / "out.parquet"
    pd.DataFrame(toy_conditions(10, 1), columns=toy_schema().condition_names).to_parquet(truth)
    arguments = ["emulate", str(bundle_copy), "--catalog", str(truth), "--out", str(out)]
    (bundle_copy / broken).unlink()
    assert main(arguments) == 1
    assert f"{broken} is missing" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("preset", ["lsst-ssi", "des-y3-metacal-lensing"])
def test_nothing_is_written_for_a_preset_of_another_schema(
    untrained_bundle, tmp_path, capsys, preset
):
    truth, out = tmp_path / "truth.parquet", tmp_path / "out.parquet"
    pd.DataFrame(toy_conditions(10, 1), columns=toy_schema().condition_names).to_parquet(truth)
    arguments = ["emulate", str(untrained_bundle), "--catalog", str(truth), "--out", str(out)]
    assert main([*arguments, "--preset", preset]) == 1
    assert "true_mag_r (mag) needs" in capsys.readouterr().err
    assert not out.exists()


def test_damaged_scores_are_named(bundle_copy):
    (bundle_copy / "metrics.json").write_text("{")
    with pytest.raises(BalrogError, match="metrics.json must be JSON"):
        read_metrics(bundle_copy)
