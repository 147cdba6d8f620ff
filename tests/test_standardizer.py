import keras
import numpy as np
import pytest
import tensorflow as tf
from mixed_world import mixed_rows, mixed_schema
from scipy import stats
from toy import toy_rows, toy_schema, toy_sigma

from balrog_keras.config import Settings
from balrog_keras.standardizer import Standardizer, student_t_loss
from balrog_keras.standardizer_fit import fit_standardizer


@pytest.fixture(scope="module")
def fitted():
    standardizer = Standardizer.for_schema(toy_schema(), width=32, depth=2)
    train, validation = toy_rows(20_000, 1), toy_rows(4_000, 2)
    settings = Settings(location_scale_steps=600, batch_size=512)
    fit_standardizer(standardizer, train, validation, settings)
    return standardizer


def test_inverse_is_identity(fitted):
    rows = toy_rows(5_000, 3)
    back = fitted.destandardize(
        rows["condition"], fitted.standardize(rows["condition"], rows["measured"])
    )
    np.testing.assert_allclose(back, rows["measured"], atol=1e-5)


def test_location_and_scale_follow_the_truth(fitted):
    rows = toy_rows(5_000, 4)
    location, scale = (np.asarray(x) for x in fitted.location_scale(rows["condition"]))
    true_scale = toy_sigma(rows["condition"])
    ratio = scale / true_scale
    # One number relates the two scales, as the distributions' shapes differ.
    assert np.std(np.log(ratio)) < 0.25
    error = (location - rows["condition"][:, :3] + 0.05) / true_scale
    assert np.abs(np.median(error, axis=0)).max() < 0.1


def test_standardized_spread_is_the_same_everywhere(fitted):
    rows = toy_rows(20_000, 5)
    z = np.asarray(fitted.standardize(rows["condition"], rows["measured"]))
    faint = rows["condition"][:, 0] > 23.5
    for part in (faint, ~faint):
        low, high = np.percentile(z[part], [16, 84], axis=0)
        np.testing.assert_allclose((high - low) / 2, 1.1, atol=0.2)


def test_loss_is_scipys_student_t_up_to_a_constant():
    rng = np.random.default_rng(0)
    target, location = rng.normal(size=(2, 50, 3)).astype("float32")
    log_scale = rng.normal(size=(50, 3)).astype("float32")
    found = student_t_loss(
        tf.constant(target), tf.constant(np.concatenate([location, log_scale], 1))
    )
    expected = -stats.t.logpdf(target, df=5, loc=location, scale=np.exp(log_scale)).sum(axis=1)
    difference = expected - found.numpy()
    np.testing.assert_allclose(difference, difference[0], atol=1e-4)


def test_constant_column_stays_finite():
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    rows = toy_rows(100, 6)
    rows["condition"][:, 4] = 0.9
    standardizer.adapt(rows["condition"], rows["measured"])
    assert np.abs(standardizer.standardize_condition(rows["condition"])).max() < 20


def test_column_of_tiny_values_is_not_taken_for_a_constant():
    standardizer = Standardizer(2, reference=[-1], width=8, depth=1)
    condition = np.random.default_rng(0).normal(size=(1000, 2)).astype("float32") * [1.0, 1e-9]
    standardizer.adapt(condition.astype("float32"), condition[:, :1])
    z = np.asarray(standardizer.standardize_condition(condition.astype("float32")))
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-3)


def test_transforms_are_undone_at_the_very_end():
    standardizer = Standardizer.for_schema(mixed_schema(), width=8, depth=1)
    rows = mixed_rows(2_000, 1)
    standardizer.adapt(rows["condition"], rows["measured"])
    z = np.asarray(standardizer.standardize(rows["condition"], rows["measured"]))
    back = np.asarray(standardizer.destandardize(rows["condition"], z))
    error = np.abs(back - rows["measured"]) / rows["measured"].std(axis=0)
    assert error.max() < 1e-5


def test_transformed_columns_are_scaled_in_their_own_space():
    schema = mixed_schema()
    standardizer = Standardizer.for_schema(schema, width=8, depth=1)
    rows = mixed_rows(2_000, 1)
    standardizer.adapt(rows["condition"], rows["measured"])
    size = schema.measured_names.index("meas_size")
    dex = np.log10(rows["measured"][:, size] / rows["condition"][:, 2])
    np.testing.assert_allclose(standardizer.residual_median[size], np.median(dex), atol=1e-5)
    z = np.asarray(standardizer.standardize_condition(rows["condition"]))
    expected = stats.zscore(np.log10(rows["condition"][:, 2]))
    np.testing.assert_allclose(z[:, 2], expected, atol=1e-4)


def test_column_without_reference_is_centred_on_itself():
    standardizer = Standardizer(2, reference=[-1, 0], width=8, depth=1)
    condition = np.array([[3.0, 1.0], [5.0, 1.0], [4.0, 2.0]], "float32")
    measured = np.array([[10.0, 3.5], [12.0, 5.5], [11.0, 4.5]], "float32")
    standardizer.adapt(condition, measured)
    np.testing.assert_allclose(standardizer.residual_median, [11.0, 0.5], atol=1e-6)


def test_transforms_are_in_the_config():
    standardizer = Standardizer.for_schema(mixed_schema(), width=8, depth=1)
    copy = Standardizer.from_config(standardizer.get_config())
    assert copy.measured_transforms[-4:] == ["log10", "identity", "identity", "asinh"]
    assert copy.condition_transforms == standardizer.condition_transforms


def test_config_and_weights_round_trip(fitted, tmp_path):
    fitted.save_weights(tmp_path / "s.weights.h5")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(fitted))
    copy.load_weights(tmp_path / "s.weights.h5")
    rows = toy_rows(10, 7)
    np.testing.assert_array_equal(
        fitted.standardize(rows["condition"], rows["measured"]),
        copy.standardize(rows["condition"], rows["measured"]),
    )
