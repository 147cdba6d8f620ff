"""Events of a monitor, read back with TensorBoard's own reader."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from toy import toy_rows, toy_schema

from balrog_keras.building import build_gan
from balrog_keras.config import Settings
from balrog_keras.monitor import Monitor
from balrog_keras.standardizer import Standardizer
from balrog_keras.validation import Validator

SETTINGS = Settings(
    width=8, depth=1, generator_width=8, generator_depth=1, steps=2, batch_size=10, critic_steps=1
)
LOGS = {"critic_gap": 0.5, "gradient_penalty": 0.1, "critic_gradient_norm": 2.0}


@pytest.fixture(scope="module")
def validate():
    rows = toy_rows(300, 1)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    validator = Validator(
        standardizer, toy_schema(), rows["condition"], rows["measured"], draws=4, seed=0
    )
    return SimpleNamespace(validator=validator, result=None, scores={}, seconds=0.0)


def _watched(monitor, validate, steps=2):
    """Run the callback through `steps` intervals of one step each; the model stays as it is."""
    gan = build_gan(SETTINGS, 9, 3)
    monitor.set_model(gan)
    monitor.on_train_begin()
    for step in range(steps):
        gan.optimizer.iterations.assign(step + 1)
        validate.result = validate.validator.validate(gan.ema_generator)
        validate.scores = {**validate.result.scores, "raw/energy_score": 2.0}
        monitor.on_epoch_end(step, LOGS)
    monitor.on_train_end()
    return gan


def _events(directory):
    return EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()


def _values(events, tag):
    return [tf.make_ndarray(event.tensor_proto) for event in events.Tensors(tag)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory, validate):
    """Events of two steps, and the model."""
    directory = tmp_path_factory.mktemp("events")
    gan = _watched(Monitor(directory, validate, "a label", settings=SETTINGS), validate)
    return _events(directory), gan


def test_curves_of_training_and_validation(watched, validate):
    events, _ = watched
    assert [float(value) for value in _values(events, "train/critic_gap")] == [0.5, 0.5]
    assert _values(events, "validation/energy_score")[0] == pytest.approx(
        validate.scores["energy_score"]
    )
    assert {
        "validation/selection_score", "validation/raw/energy_score", "validation/pit_ks/worst_bin",
        "validation/bias/meas_mag_r", "validation/spread_ratio/meas_mag_z",
        "worst_bin/bias/fwhm_i", "worst_bin/spread_ratio/sky_noise_z",
        "learning_rate/generator", "learning_rate/critic", "speed/galaxies_per_second",
    } <= set(events.Tags()["tensors"])  # fmt: skip
    assert _values(events, "speed/galaxies_per_second")[1] > 0


def test_histograms_of_pit_and_weights(watched):
    events, gan = watched
    counts = _values(events, "pit/meas_mag_r")[0][:, 2]
    assert counts.sum() == 300
    for network in (gan.generator, gan.critic):
        for variable in network.trainable_variables:
            assert len(_values(events, f"weights/{variable.path}")) == 2


def test_graph_and_settings_are_written(watched):
    events, _ = watched
    assert "generator/column_0/hidden_0/MatMul" in {node.name for node in events.Graph().node}
    assert b'"spline_bins": 8' in _values(events, "settings")[0].item()


def test_every_chart_of_the_layout_has_curves(watched):
    events, _ = watched
    layout = layout_pb2.Layout.FromString(_values(events, "custom_scalars__config__")[0].item())
    patterns = [p for c in layout.category for chart in c.chart for p in chart.multiline.tag]
    assert len(patterns) > 5
    for pattern in patterns:
        assert [tag for tag in events.Tags()["tensors"] if re.fullmatch(pattern, tag)], pattern


def test_figures_are_rare_but_the_last_ones_are_there(tmp_path, validate):
    """The first drawing sets the next far away; the last step's is drawn all the same."""
    monitor = Monitor(tmp_path, validate, "a label", settings=SETTINGS)
    monitor._figures_due = np.inf
    _watched(monitor, validate)
    for tag in ("pit", "bins", "colours"):
        assert [event.step for event in _events(tmp_path).Tensors(tag)] == [2]


def test_without_matplotlib_curves_are_still_written(tmp_path, validate, monkeypatch, caplog):
    from data_prep.errors import MissingExtraError

    def missing(*arguments):
        raise MissingExtraError("matplotlib", "report")

    monkeypatch.setattr("balrog_keras.monitor_figures.validation_figures", missing)
    caplog.set_level("INFO")
    _watched(Monitor(tmp_path, validate, "a label", settings=SETTINGS), validate)
    tags = _events(tmp_path).Tags()["tensors"]
    assert "validation/energy_score" in tags
    assert "colours" not in tags
    assert sum("no figures in TensorBoard" in record.message for record in caplog.records) == 1
