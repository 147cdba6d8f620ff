import json
import os
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
import yaml
from toy import write_toy_shards

from balrog_keras.callbacks import StopOnSignal
from balrog_keras.config import Settings
from balrog_keras.runs import Run, RunData
from balrog_keras.training import Interrupted, train
from data_prep.errors import BalrogError
from data_prep.locks import locked

pytestmark = pytest.mark.usefixtures("no_training_figures")


def _checkpoint(run):
    reader = tf.train.load_checkpoint(str(run / "checkpoints"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if not name.startswith(("_CHECKPOINTABLE", "save_counter"))
    }


def _assert_same_checkpoint(first, second):
    first, second = _checkpoint(first), _checkpoint(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_run_leaves_everything_in_its_place(toy_run, toy_settings):
    run = toy_run / "runs" / "toy"
    assert Settings.from_dict(yaml.safe_load((run / "config.yaml").read_text())) == toy_settings
    assert list((run / "tensorboard").glob("events*"))
    metrics = json.loads((toy_run / "saved_models/toy/metrics.json").read_text())
    assert np.isfinite(metrics["validation"]["energy_score"])


def test_checkpoint_holds_every_weight(toy_run, toy_settings):
    """A hidden layer and a head in each conditioner, two in the critic; the optimizers' moments."""
    names = _checkpoint(toy_run / "runs" / "toy")
    shapes = [value.shape for name, value in names.items() if name.startswith("gan/")]
    assert shapes.count((12, 16)) == shapes.count((16, 16)) == 1
    for j in range(3):
        assert shapes.count((9 + j, 8)) == 2
    # A spline; then with one and two columns before, and a scale.
    assert [shapes.count((8, size)) for size in (18, 20, 21)] == [2, 2, 2]
    assert sum(name.startswith("best_generator/") for name in names) == 12
    assert sum(name.startswith("generator_optimizer/") for name in names) >= 25


def test_tensorboard_has_scalars_and_figures(toy_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(toy_run / "runs/toy/tensorboard")).Reload()
    tags = set(events.Tags()["tensors"])
    assert {
        "train/critic_loss", "train/generator_loss", "train/critic_gap",
        "train/gradient_penalty", "learning_rate/generator", "learning_rate/critic",
        "validation/energy_score", "validation/bias/meas_mag_r",
        "validation/spread_ratio/meas_mag_z", "colours",
    } <= tags  # fmt: skip
    rates = [tf.make_ndarray(e.tensor_proto).item() for e in events.Tensors("learning_rate/critic")]
    assert len(rates) == 3
    assert rates[0] > rates[1] > rates[2]


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [20, 33])
def test_resume_after_a_signal_matches_the_uninterrupted_run(
    tmp_path, toy_run, toy_shards, toy_settings, monkeypatch, stop_at
):
    """Stop after a given step, inside or at the end of an interval, then resume."""
    original = StopOnSignal.on_train_batch_end

    def kill_self(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        original(self, batch, logs)

    places = (tmp_path / "runs", tmp_path / "saved_models")
    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignal, "on_train_batch_end", kill_self)
        with pytest.raises(Interrupted, match=f"stopped at step {stop_at} of 60"):
            train(toy_shards, "toy", toy_settings, *places)
    assert not (tmp_path / "saved_models").exists()
    train(toy_shards, "toy", toy_settings, *places, resume=True)
    _assert_same_checkpoint(tmp_path / "runs/toy", toy_run / "runs/toy")


def test_resume_with_other_settings_names_them(tmp_path, toy_run, toy_shards, toy_settings):
    other = Settings.from_dict({**toy_settings.to_dict(), "width": 17})
    with pytest.raises(BalrogError, match="width was 16, now 17"):
        train(toy_shards, "toy", other, toy_run / "runs", tmp_path, resume=True)


def test_resume_on_other_shards(tmp_path, toy_run, toy_settings):
    shards = write_toy_shards(tmp_path / "shards", train=600, seed=5)
    with pytest.raises(BalrogError, match="started on other shards"):
        train(shards, "toy", toy_settings, toy_run / "runs", tmp_path, resume=True)


def test_resume_of_nothing(tmp_path, toy_shards, toy_settings):
    with pytest.raises(BalrogError, match="no run to resume"):
        train(toy_shards, "x", toy_settings, tmp_path / "runs", tmp_path, resume=True)


def test_existing_run_is_not_overwritten(toy_run, toy_shards, toy_settings):
    with pytest.raises(BalrogError, match="--resume.*--overwrite"):
        train(toy_shards, "toy", toy_settings, toy_run / "runs", toy_run / "saved_models")
    assert (toy_run / "runs/toy/config.yaml").is_file()


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_run_of_another_process_is_left_alone(tmp_path, toy_run, toy_shards, toy_settings, how):
    run = toy_run / "runs/toy"
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    message = "runs/toy must be written by one process.*another is at it.*choose another --name"
    with locked(run, ""), pytest.raises(BalrogError, match=message):
        train(toy_shards, "toy", toy_settings, toy_run / "runs", tmp_path, **{how: True})
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_emulator_of_another_process_is_left_alone(tmp_path, toy_shards, toy_settings):
    """Found out before the hours of training at whose end it would be replaced."""
    place = tmp_path / "models/toy"
    message = "models/toy must be written by one process.*another is at it.*--saved_models"
    with locked(place, ""), pytest.raises(BalrogError, match=message):
        train(toy_shards, "toy", toy_settings, tmp_path / "runs", tmp_path / "models")
    assert not (tmp_path / "runs/toy").exists()


def test_what_a_killed_export_left_is_cleared_away(tmp_path, toy_run, toy_shards, toy_settings):
    shutil.copytree(toy_run / "runs", tmp_path / "runs")
    models = tmp_path / "models"
    (models / ".0123456789ab.partial.toy").mkdir(parents=True)
    train(toy_shards, "toy", toy_settings, tmp_path / "runs", models, resume=True)
    assert [path.name for path in models.iterdir()] == ["toy"]


def test_damaged_checkpoint_is_named(tmp_path, toy_run, toy_shards, toy_settings):
    places = (tmp_path / "runs", tmp_path / "saved_models")
    shutil.copytree(toy_run / "runs", places[0])
    (data,) = (places[0] / "toy/checkpoints").glob("ckpt-60.data*")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(BalrogError, match="ckpt-60.*cannot be restored"):
        train(toy_shards, "toy", toy_settings, *places, resume=True)


def test_nan_stops_with_step_and_good_checkpoint(tmp_path, toy_shards, hasty_settings, monkeypatch):
    """The critic's loss is made NaN at step 30, after the checkpoint of step 20."""
    from balrog_keras import wgan_gp

    original = wgan_gp.ConditionalWGANGP._critic_step

    def poisoned(self, condition, real, fake, step, part):
        logs = original(self, condition, real, fake, step, part)
        nan = tf.where(step == 30, np.float32("nan"), 0.0)
        return {**logs, "critic_loss": logs["critic_loss"] + nan}

    monkeypatch.setattr(wgan_gp.ConditionalWGANGP, "_critic_step", poisoned)
    with pytest.raises(BalrogError, match=r"critic's loss.*at step 30;.*good checkpoint is.*-20"):
        train(toy_shards, "toy", hasty_settings, tmp_path / "runs", tmp_path / "saved_models")
    assert not (tmp_path / "saved_models").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_refused_rows_begin_and_replace_no_run(tmp_path, toy_shards, hasty_settings, overwrite):
    """What is to be changed can be changed and tried again at once; the old run is still there."""
    kept = tmp_path / "runs/again/checkpoints/old"
    if overwrite:
        data = RunData(shards=str(toy_shards), manifest_sha256="0" * 64)
        Run(tmp_path / "runs/again").start(hasty_settings, data, False)
        kept.parent.mkdir()
        kept.write_text("weights")
    places = tmp_path / "runs", tmp_path / "saved_models"
    with pytest.raises(BalrogError, match="lower batch_size"):
        train(toy_shards, "again", replace(hasty_settings, batch_size=10**6), *places,
              overwrite=overwrite)  # fmt: skip
    assert kept.is_file() if overwrite else not (tmp_path / "runs").exists()
    assert not (tmp_path / "saved_models").exists()


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../up", "a/b", ".hidden", "end "])
def test_names_that_are_no_file_names(tmp_path, toy_shards, hasty_settings, name):
    with pytest.raises(BalrogError, match="--name must be a file name"):
        train(toy_shards, name, hasty_settings, tmp_path / "runs", tmp_path / "saved_models")
    assert not any(tmp_path.iterdir())


def test_too_few_rows_says_what_to_change(tmp_path):
    shards = write_toy_shards(tmp_path / "shards", train=100)
    with pytest.raises(BalrogError, match="lower batch_size"):
        train(shards, "x", Settings(xla=False), tmp_path / "runs", tmp_path / "saved_models")
