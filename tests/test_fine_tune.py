import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from mixed_world import mixed_rows, mixed_schema
from shard_files import write_shards
from toy import toy_rows, toy_schema
from toy_detection import MANIFEST
from untrained import export_untrained

from balrog_keras.building import build_gan
from balrog_keras.config import Settings
from balrog_keras.fine_tune import RATE_FRACTION, Base, tuned_defaults
from balrog_keras.member_training import build_standardizer
from balrog_keras.train_command import main
from balrog_keras.training import train
from balrog_keras.training_data import read_validation_rows
from balrog_keras.validation import Validator
from data_prep.errors import BalrogError
from data_prep.schema import Schema

pytestmark = pytest.mark.usefixtures("no_training_figures")
STEPS = 60


def _places(home):
    return home / "runs", home / "saved_models"


def _score(bundle):
    metrics = json.loads((bundle / "metrics.json").read_text())
    return metrics["validation"]["selection_score"]


def _score_of_weights(bundle, shards):
    """Selection score of an emulator's weights on the validation rows of other shards."""
    settings = Settings.from_dict(json.loads((bundle / "emulator.json").read_text())["settings"])
    gan, standardizer = build_gan(settings, 9, 3), build_standardizer(settings, toy_schema())
    Base(bundle).load(0, gan, standardizer)
    rows = read_validation_rows(shards, settings)
    validator = Validator(
        standardizer, toy_schema(), rows["condition"], rows["measured"],
        settings.validation_draws, settings.seed,
    )  # fmt: skip
    return validator.scores(gan.ema_generator)["selection_score"]


@pytest.fixture(scope="module")
def new_season(tmp_path_factory):
    """Few rows of the toy after its zero points moved by 0.02 mag."""
    directory = tmp_path_factory.mktemp("season") / "shards"
    splits = {}
    for seed, (name, rows) in enumerate((("train", 600), ("validation", 1_000)), 71):
        splits[name] = toy_rows(rows, seed)
        splits[name]["measured"] = splits[name]["measured"] + np.float32(0.02)
    directory.mkdir()
    write_shards(directory, splits, toy_schema(), MANIFEST)
    return directory


@pytest.fixture(scope="module")
def base(tmp_path_factory, toy_shards, toy_settings, no_training_figures):
    """An emulator of the old season, trained well enough to be worth keeping."""
    settings = replace(toy_settings, steps=500, validation_interval=100)
    return train(toy_shards, "base", settings, *_places(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, base, new_season, no_training_figures):
    """The same through the command line, which takes the settings from the emulator."""
    home = tmp_path_factory.mktemp("tuned")
    arguments = ["--data", str(new_season), "--name", "season2", "--from", str(base)]
    places = ["--runs", str(home / "runs"), "--saved_models", str(home / "saved_models")]
    steps = ["--steps", str(STEPS), "--validation_interval", "20"]
    assert main([*arguments, *places, *steps]) == 0
    return home / "saved_models/season2"


def test_better_than_before_and_than_from_scratch(tuned, base, new_season, toy_settings, tmp_path):
    before = _score_of_weights(base, new_season)
    scratch = train(
        new_season, "scratch", replace(toy_settings, steps=STEPS), *_places(tmp_path)
    )  # fmt: skip
    assert _score_of_weights(tuned, new_season) == pytest.approx(_score(tuned), rel=1e-5)
    assert _score(tuned) < before
    assert _score(tuned) < _score(scratch)


def test_a_start_that_got_worse_is_not_gone_on_from(
    base, new_season, toy_settings, tmp_path, monkeypatch, caplog
):
    from balrog_keras import member_training

    def spoil(generator, *_):
        generator.set_weights([2.0 * weight for weight in generator.get_weights()])

    monkeypatch.setattr(member_training, "fit_generator", spoil)
    before = _score_of_weights(base, new_season)
    settings = replace(toy_settings, steps=1, validation_interval=1)
    with caplog.at_level("INFO"):
        tuned = train(new_season, "tuned", settings, *_places(tmp_path), start_from=base)
    assert "the critic starts with the emulator as it was" in caplog.text
    assert _score(tuned) <= 1.005 * before


def test_the_standardizer_is_kept(tuned, base):
    from balrog_keras.training_weights import read_weights

    (mine, _), (theirs, _) = (read_weights(bundle, "member-0") for bundle in (tuned, base))
    for one, other in zip(mine["standardizer"], theirs["standardizer"], strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((a != b).any() for a, b in zip(mine["generator"], theirs["generator"], strict=True))
    assert any((a != b).any() for a, b in zip(mine["critic"], theirs["critic"], strict=True))


def test_settings_are_the_emulators_at_lower_rates_once(tuned, base):
    saved = yaml.safe_load((tuned.parents[1] / "runs/season2/config.yaml").read_text())
    first = json.loads((base / "emulator.json").read_text())["settings"]
    for name, value in first.items():
        if name.endswith("learning_rate"):
            assert saved[name] == RATE_FRACTION * value
        elif name not in ("steps", "validation_interval"):
            assert saved[name] == value
    again = tuned_defaults(tuned)
    assert again["generator_learning_rate"] == saved["generator_learning_rate"]
    assert again["members"] == 1


def test_provenance_is_a_chain(tuned, base, new_season, hasty_settings, tmp_path):
    settings = replace(hasty_settings, steps=20)
    third = train(new_season, "season3", settings, *_places(tmp_path), start_from=tuned)
    origin = json.loads((third / "emulator.json").read_text())["fine_tuned_from"]
    assert origin["name"] == "season2"
    assert origin["emulator_json_sha256"] == Base(tuned).sha256
    assert origin["fine_tuned_from"]["name"] == "base"
    assert origin["fine_tuned_from"]["training_data"]["rows"]["train"] == 8_000
    card = (third / "README.md").read_text()
    assert "Fine-tuned from `season2`" in card


def test_resume_needs_no_from_and_refuses_another(tuned, base, new_season, tmp_path, capsys):
    arguments = ["--data", str(new_season), "--name", "season2", "--resume"]
    places = ["--runs", str(tuned.parents[1] / "runs"), "--saved_models", str(tmp_path)]
    assert main([*arguments, *places]) == 0
    assert _score(tmp_path / "season2") == _score(tuned)
    assert main([*arguments, *places, "--from", str(tuned)]) == 1
    assert "start_from was" in capsys.readouterr().err


def test_detection_is_kept_where_the_shards_have_none(
    toy_ensemble, new_season, hasty_settings, tmp_path
):
    from toy import toy_conditions

    from balrog_keras.emulator import Emulator

    pair = toy_ensemble / "saved_models/pair"
    settings = replace(hasty_settings, steps=20)
    bundle = train(new_season, "next", settings, *_places(tmp_path), start_from=pair)
    condition = toy_conditions(500, 3)
    np.testing.assert_allclose(
        Emulator.load(bundle).p_detect(condition), Emulator.load(pair).p_detect(condition),
        rtol=1e-6,
    )  # fmt: skip
    assert "not fitted again" in (tmp_path / "runs/next/train.log").read_text()


@pytest.mark.parametrize(
    ("change", "members", "message"),
    [
        (
            {"width": 17},
            1,
            "width of its (critic|generator|standardizer) must be 16, .* make it 17",
        ),
        ({"spline_bins": 4}, 1, "bins of its generator must be 8, the settings make it 4"),
        ({"critic_activation": "relu"}, 1, "activation of its critic"),
        ({}, 2, "--members must be at most the 1"),
    ],
)
def test_what_does_not_fit_is_named(
    toy_bundle, new_season, toy_settings, tmp_path, change, members, message
):
    settings = replace(toy_settings, **change)
    with pytest.raises(BalrogError, match=message):
        train(new_season, "x", settings, *_places(tmp_path), members=members, start_from=toy_bundle)
    assert not (tmp_path / "runs").exists()


def test_another_schema_is_refused(toy_bundle, toy_settings, tmp_path):
    content = toy_schema().to_dict()
    content["columns"][0]["unit"] = "nJy"
    with pytest.raises(BalrogError, match="fine-tuning .*toy.*the first that differs"):
        Base(toy_bundle).require_fits(Schema.from_dict(content), toy_settings, 1, tmp_path)


def test_an_emulator_is_not_tuned_into_itself(toy_run, new_season, toy_settings):
    bundle = toy_run / "saved_models/toy"
    with pytest.raises(BalrogError, match="--name must be another"):
        train(new_season, "toy", toy_settings, *_places(toy_run), start_from=bundle)


def test_an_emulator_without_a_critic_says_so(toy_bundle, tmp_path, new_season, capsys):
    old = shutil.copytree(toy_bundle, tmp_path / "old")
    shutil.rmtree(old / "training_weights")
    arguments = ["--data", str(new_season), "--name", "x", "--from", str(old)]
    assert main([*arguments, "--runs", str(tmp_path / "runs")]) == 1
    assert "holds no critic to go on from" in capsys.readouterr().err


def test_changed_weights_are_noticed(toy_bundle, tmp_path):
    copy = shutil.copytree(toy_bundle, tmp_path / "copy")
    weights = copy / "training_weights/member-0.npz"
    content = bytearray(weights.read_bytes())
    content[200] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BalrogError, match="member-0.npz was changed"):
        Base(copy)


@pytest.mark.parametrize(
    ("changed", "to", "says"),
    [
        ("standardizer.link_indices", None, "as differences from each other"),
        ("building.reference_indices", [0], "the residuals and latents of the columns before"),
    ],
)
def test_an_emulator_of_an_earlier_version_says_so(
    changed, to, says, tmp_path, toy_settings, monkeypatch
):
    """Flux errors were learned each alone, or without residuals; today's networks do not fit."""
    schema, rows = mixed_schema(), mixed_rows(200, 1)
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards", {"train": rows, "test": rows}, schema, MANIFEST)
    settings = replace(toy_settings, generator_width=toy_settings.width, generator_depth=2)
    export_untrained(tmp_path / "now", tmp_path / "shards", settings)
    Base(tmp_path / "now").require_fits(schema, settings, 1, tmp_path / "other")
    with monkeypatch.context() as before:
        before.setattr(f"balrog_keras.{changed}", lambda schema: to)
        export_untrained(tmp_path / "before", tmp_path / "shards", settings)
    with pytest.raises(BalrogError, match=says):
        Base(tmp_path / "before").require_fits(schema, settings, 1, tmp_path / "other")
