import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml
from toy import toy_conditions

from balrog_keras.building import Seeds
from balrog_keras.callbacks import StopOnSignal
from balrog_keras.emulator import Emulator
from balrog_keras.members import member_settings
from balrog_keras.train_command import main
from balrog_keras.training import Interrupted, train
from data_prep.errors import BalrogError

pytestmark = pytest.mark.usefixtures("no_training_figures")


@pytest.fixture(scope="module")
def settings(hasty_settings):
    return replace(hasty_settings, steps=40)


def _places(home):
    return home / "runs", home / "saved_models"


def test_each_member_is_a_run_of_its_own(toy_ensemble, settings):
    run = toy_ensemble / "runs/pair"
    assert yaml.safe_load((run / "config.yaml").read_text()) == settings.to_dict()
    assert yaml.safe_load((run / "data.yaml").read_text())["members"] == 2
    seeds = []
    for number in range(2):
        member = run / f"member-{number}"
        assert (member / "checkpoints/checkpoint").is_file()
        assert list((member / "tensorboard").glob("events*"))
        assert (member / "train.log").is_file()
        seeds.append(yaml.safe_load((member / "config.yaml").read_text())["seed"])
    assert list((run / "tensorboard/detection").glob("events*"))
    assert seeds == [member_settings(settings, number).seed for number in range(2)]
    assert seeds[0] == settings.seed != seeds[1]
    description = json.loads((toy_ensemble / "saved_models/pair/emulator.json").read_text())
    assert (description["members"], description["seeds"]) == (2, seeds)


def test_metrics_have_each_member_the_mean_and_the_spread(toy_ensemble):
    metrics = json.loads((toy_ensemble / "saved_models/pair/metrics.json").read_text())
    single = [metrics[f"validation member {number}"]["energy_score"] for number in range(2)]
    assert metrics["validation"]["energy_score"] == pytest.approx(np.mean(single))
    assert metrics["validation spread"]["energy_score"] == pytest.approx(np.std(single, ddof=1))
    assert single[0] != single[1]


def test_member_0_is_the_run_without_members(toy_ensemble, settings, tmp_path):
    calls = []
    shards = toy_ensemble / "shards"
    bundle = train(
        shards, "one", settings, *_places(tmp_path), detection=False,
        on_validation=lambda step, scores: calls.append((step, scores["energy_score"])),
    )  # fmt: skip
    assert [step for step, _ in calls] == [20, 40]
    assert np.isfinite([score for _, score in calls]).all()
    one, pair = Emulator.load(bundle), Emulator.load(toy_ensemble / "saved_models/pair")
    assert not one.has_detection
    condition, ids = toy_conditions(3_000, 2), np.arange(3_000)
    np.testing.assert_array_equal(one.draw(condition, ids, 7), pair.draw(condition, ids, 7, 0))


def test_an_interrupted_ensemble_goes_on_where_it_stopped(
    toy_ensemble, settings, tmp_path, monkeypatch
):
    """Stopped in the second member; the first is not trained again; no flag is repeated."""
    original = StopOnSignal.on_train_batch_end
    second = member_settings(settings, 1).seed

    def kill_self(self, batch, logs=None):
        is_second = self.model.seed == Seeds.of(second).noise
        if is_second and int(self.model.optimizer.iterations.numpy()) == 27:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        original(self, batch, logs)

    shards, places = toy_ensemble / "shards", _places(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignal, "on_train_batch_end", kill_self)
        with pytest.raises(Interrupted, match="stopped at step 27 of 40"):
            train(shards, "pair", settings, *places, members=2)
    finished = tmp_path / "runs/pair/member-0/checkpoints"
    before = {path: path.stat().st_mtime_ns for path in finished.iterdir()}
    assert not places[1].exists()
    with pytest.raises(BalrogError, match="members was 2, now 3"):
        train(shards, "pair", settings, *places, members=3, resume=True)
    arguments = ["--data", str(shards), "--name", "pair", "--runs", str(places[0])]
    assert main([*arguments, "--saved_models", str(places[1]), "--resume"]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished.iterdir()} == before
    condition, ids = toy_conditions(3_000, 2), np.arange(3_000)
    resumed, whole = (
        Emulator.load(home / "saved_models/pair") for home in (tmp_path, toy_ensemble)
    )
    assert resumed.info["seeds"] == [settings.seed, second]
    for member in range(2):
        np.testing.assert_array_equal(
            resumed.draw(condition, ids, 7, member), whole.draw(condition, ids, 7, member)
        )
    np.testing.assert_array_equal(resumed.p_detect(condition), whole.p_detect(condition))


def test_what_the_watcher_raises_ends_the_training(toy_shards, settings, tmp_path):
    def stop(step, scores):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        train(toy_shards, "x", settings, *_places(tmp_path), on_validation=stop)
    assert not (tmp_path / "saved_models").exists()
