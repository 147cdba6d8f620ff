import logging

import numpy as np
import pytest
from shard_files import write_shards
from toy import toy_conditions, toy_rows, toy_schema
from toy_detection import MANIFEST, toy_injections, toy_probability, write_detection_shards

from balrog_keras import detection_fit
from balrog_keras.config import Settings
from balrog_keras.detection_fit import fit_calibration, fit_detection

SETTINGS = Settings(width=32, depth=2, detection_steps=400, xla=False)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_detection_shards(tmp_path_factory.mktemp("detection") / "shards")


@pytest.fixture(scope="module")
def model(shards):
    return fit_detection(shards, toy_schema(), SETTINGS, seed=7)


def test_the_known_probability_is_found(model):
    condition = toy_conditions(4_000, 99)
    truth = toy_probability(condition)
    found = model.probability(condition).numpy()
    assert np.abs(found - truth).mean() < 0.06
    assert abs(found.mean() - truth.mean()) < 0.015
    assert np.corrcoef(found, truth)[0, 1] > 0.98


def test_same_seed_same_model_and_no_optimizer_is_kept(model, shards):
    again = fit_detection(shards, toy_schema(), SETTINGS, seed=7)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not model.compiled


def test_validation_rows_do_not_choose_the_step(shards, model, monkeypatch):
    read = detection_fit.read_split

    def with_the_validation_turned_over(directory, split):
        arrays = read(directory, split)
        if split == "detection-validation":
            arrays["detected"] = 1 - arrays["detected"]
        return arrays

    monkeypatch.setattr(detection_fit, "read_split", with_the_validation_turned_over)
    other = fit_detection(shards, toy_schema(), SETTINGS, seed=7)
    for one, two in zip(other.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, two)
    assert float(other.calibration_slope) < 0


def test_scores_are_logged_and_written(shards, caplog, tmp_path):
    import tensorflow as tf

    few = Settings(width=8, depth=1, detection_steps=30, xla=False)
    with caplog.at_level(logging.INFO):
        fit_detection(shards, toy_schema(), few, seed=1, tensorboard=tmp_path / "curves")
    for text in ("Brier score", "log-loss", "calibration error", "4,000 validation rows"):
        assert text in caplog.text
    (events,) = (tmp_path / "curves").iterdir()
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    losses = {"detection/log_loss/train", "detection/log_loss/validation"}
    assert tags == losses | {"detection/learning_rate"}


def test_no_model_without_detection_splits(toy_shards, caplog):
    with caplog.at_level(logging.INFO):
        assert fit_detection(toy_shards, toy_schema(), SETTINGS, seed=1) is None
    assert "no rows in detection-train" in caplog.text


def test_no_model_if_everything_was_detected(tmp_path, caplog):
    splits = {"train": toy_rows(100, 1)}
    for k, name in enumerate(("detection-train", "detection-validation")):
        splits[name] = toy_injections(200, k)
        splits[name]["detected"][:] = 1
    write_shards(tmp_path, splits, toy_schema(), MANIFEST)
    with caplog.at_level(logging.INFO):
        assert fit_detection(tmp_path, toy_schema(), SETTINGS, seed=1) is None
    assert "are detected" in caplog.text


def test_fewer_rows_than_a_batch_and_weights(tmp_path):
    splits = {"train": toy_rows(100, 1)}
    for k, name in enumerate(("detection-train", "detection-validation")):
        splits[name] = toy_injections(300, k)
        splits[name]["weight"] = np.linspace(0, 2, 300, dtype="float32")[:, None]
    write_shards(tmp_path, splits, toy_schema(), MANIFEST)
    settings = Settings(width=8, depth=1, detection_steps=20, xla=False, use_weights=True)
    model = fit_detection(tmp_path, toy_schema(), settings, seed=1)
    assert np.isfinite(model.probability(toy_conditions(10, 1))).all()


def test_calibration_undoes_a_stretch():
    rows = toy_injections(20_000, 5)
    p = toy_probability(rows["condition"])
    log_odds = np.log(p / (1 - p))
    slope, intercept = fit_calibration(2 * log_odds + 1, rows)
    assert slope == pytest.approx(0.5, abs=0.02)
    assert intercept == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize(("number", "stretch"), [(500, 1.0), (4_000, 1.0), (4_000, 1.03)])
def test_calibration_is_left_out_where_it_would_be_noise(number, stretch):
    for seed in range(12):
        rows = toy_injections(number, 50 + seed)
        p = toy_probability(rows["condition"])
        assert fit_calibration(stretch * np.log(p / (1 - p)), rows) == (1.0, 0.0)


def test_evidence_for_calibration_is_counted_in_parents():
    """Rows that repeat those of the same parents say nothing new."""
    rows = toy_injections(1_000, 61)
    p = toy_probability(rows["condition"])
    log_odds = 1.2 * np.log(p / (1 - p))
    repeated = {name: np.repeat(rows[name], 20, axis=0) for name in ("detected", "parent_id")}
    assert fit_calibration(np.repeat(log_odds, 20), repeated) == (1.0, 0.0)
    repeated["parent_id"] = np.arange(20_000)
    assert fit_calibration(np.repeat(log_odds, 20), repeated) != (1.0, 0.0)
