import keras
import numpy as np
import pytest
import tensorflow as tf
from mixed_world import mixed_schema

from balrog_keras.transforms import reference_indices, restored, transformed, transforms_of
from data_prep.schema import TRANSFORMS, Column, Schema

DOMAIN = {
    "identity": np.linspace(-50, 50, 101),
    "log10": np.logspace(-20, 20, 101),
    "log1p": np.concatenate([-1 + np.logspace(-5, -0.1, 50), np.logspace(-6, 20, 50)]),
    "asinh": np.concatenate([-np.logspace(-6, 20, 50), [0], np.logspace(-6, 20, 50)]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("ops", [np, keras.ops], ids=["numpy", "keras"])
def test_inverse_is_identity(name, ops):
    values = DOMAIN[name].astype("float32")[:, None]
    back = np.asarray(restored(transformed(values, [name], ops), [name], ops))
    # float32 holds the logarithm of 1e20 to 4e-6, and log1p next to -1 loses the distance to it.
    np.testing.assert_allclose(back, values, rtol=2e-5, atol=1e-6 if name == "log1p" else 0)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_numpy_and_keras_agree(name):
    values = DOMAIN[name].astype("float32")[:, None]
    expected = transformed(values.astype("float64"), [name])
    np.testing.assert_allclose(transformed(values, [name], keras.ops), expected, rtol=1e-5)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("function", [transformed, restored])
def test_gradients_are_finite(name, function):
    given = DOMAIN[name].astype("float32")
    values = tf.Variable(given if function is transformed else np.linspace(-90, 90, 101, dtype="f"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(values[:, None], [name], keras.ops))
    assert np.isfinite(tape.gradient(total, values)).all()


def test_far_extrapolations_stay_finite():
    far = np.array([[-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]], "float32")
    for ops in (np, keras.ops):
        assert np.isfinite(restored(far, ["log10", "log1p", "asinh"], ops)).all()


def test_only_identities_cost_nothing():
    values = tf.zeros((3, 2))
    assert transformed(values, ["identity", "identity"], keras.ops) is values
    assert restored(values, ["identity", "identity"], keras.ops) is values


@pytest.mark.parametrize("ops", [np, keras.ops], ids=["numpy", "keras"])
def test_bad_rows_stay_alone(ops):
    values = np.array([[0.0, 1.0], [np.nan, 2.0], [-1.0, 3.0], [10.0, 4.0]], "float32")
    found = np.asarray(transformed(values, ["log10", "identity"], ops))
    np.testing.assert_array_equal(found[:, 1], [1, 2, 3, 4])
    assert found[3, 0] == pytest.approx(1)
    assert not np.isfinite(found[:3, 0]).any()


def test_references_need_the_same_transform_and_unit():
    schema = mixed_schema()
    found = dict(zip(schema.measured_names, reference_indices(schema), strict=True))
    assert found["meas_r"] == 0
    assert found["meas_i"] == 1
    assert found["meas_size"] == schema.condition_names.index("true_size") == 2
    assert found["meas_flux"] == found["meas_snr"] == found["meas_ellipticity"] == -1
    columns = (
        Column("true_size", "arcsec", "truth"),
        Column("meas_size", "arcsec", "measured", "true_size", 0.01, transform="log10"),
    )
    assert reference_indices(Schema("sizes", (), columns)) == [-1]
    assert transforms_of(columns) == ["identity", "log10"]
