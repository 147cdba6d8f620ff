import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import toy_conditions, toy_schema

from balrog_keras.detection import DetectionModel
from data_prep.schema import Column, Schema


@pytest.fixture
def model():
    model = DetectionModel.for_schema(toy_schema(), width=16, depth=2, seed=3)
    model.adapt(toy_conditions(500, 1))
    model.calibration_slope.assign(1.5)
    model.calibration_intercept.assign(-0.3)
    return model


def test_probability_is_the_calibrated_log_odds(model):
    condition = toy_conditions(50, 2)
    found = model.probability(condition).numpy()
    log_odds = model(condition).numpy().astype("float64")
    assert found.shape == (50,)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1 / (1 + np.exp(0.3 - 1.5 * log_odds)), rtol=1e-5)


def test_probability_stays_inside_zero_and_one(model):
    for slope in (-1e6, 1e6):
        model.calibration_slope.assign(slope)
        found = model.probability(toy_conditions(200, 2)).numpy()
        assert (found > 0).all()
        assert (found < 1).all()


def test_nan_in_a_condition_gives_nan(model):
    condition = toy_conditions(3, 2)
    condition[1, 4] = np.nan
    np.testing.assert_array_equal(np.isnan(model.probability(condition)), [False, True, False])


def test_rows_do_not_depend_on_each_other(model):
    condition = toy_conditions(40, 2)
    one_by_one = np.concatenate([model.probability(condition[k : k + 1]) for k in range(40)])
    np.testing.assert_allclose(model.probability(condition), one_by_one, rtol=1e-5)


def test_network_sees_standardized_conditions():
    rows = toy_conditions(1000, 1)
    constant = np.concatenate([rows[:, :8], np.full((1000, 1), 7, "float32")], axis=1)
    model = DetectionModel(num_conditions=9, width=4, depth=1)
    model.adapt(constant)
    np.testing.assert_allclose(model.condition_mean[:8], rows[:, :8].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(model.condition_std[:8], rows[:, :8].std(axis=0), rtol=1e-3)
    assert model.condition_std[8] == 1


def test_transforms_are_inside():
    columns = (
        Column("flux", "nJy", "truth", transform="asinh"),
        Column("size", "arcsec", "truth", minimum=0.01, transform="log10"),
        Column("meas", "nJy", "measured", reference="flux", transform="asinh"),
    )
    model = DetectionModel.for_schema(Schema("s", (), columns), width=4, depth=1)
    plain = DetectionModel(num_conditions=2, width=4, depth=1)
    condition = np.array([[-300.0, 0.2], [4e4, 7.0]], "float32")
    by_hand = np.stack([np.arcsinh(condition[:, 0]), np.log10(condition[:, 1])], axis=1)
    np.testing.assert_allclose(model(condition), plain(by_hand), rtol=1e-4)


def test_gradient_reaches_every_weight_of_the_network_alone(model):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(toy_conditions(64, 4)))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) == 6
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    assert {variable.name for variable in model.non_trainable_variables} == {
        "condition_mean", "condition_std", "calibration_slope", "calibration_intercept",
    }  # fmt: skip


def test_seed_decides_the_weights(model):
    def kernel(seed):
        network = DetectionModel(9, width=16, depth=2, seed=seed)
        return network.trainable_variables[0].numpy()

    np.testing.assert_array_equal(kernel(3), model.trainable_variables[0])
    assert not np.array_equal(kernel(4), kernel(3))


def test_config_and_file_round_trip(model, tmp_path):
    rebuilt = DetectionModel.from_config(model.get_config())
    assert rebuilt.get_config() == model.get_config()
    condition = toy_conditions(30, 5)
    model.save(tmp_path / "detection.keras")
    loaded = keras.saving.load_model(tmp_path / "detection.keras")
    np.testing.assert_array_equal(loaded.probability(condition), model.probability(condition))


def test_saved_model_keeps_mean_spread_and_calibration(model, tmp_path):
    module = tf.Module()
    module.model = model
    specification = tf.TensorSpec([None, 9], tf.float32)
    module.probability = tf.function(model.probability, input_signature=[specification])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    condition = toy_conditions(30, 5)
    np.testing.assert_allclose(
        loaded.probability(condition), model.probability(condition), rtol=1e-6
    )
