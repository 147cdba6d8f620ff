import numpy as np
import pytest
import tensorflow as tf

from balrog_keras.splines import identity_parameters, num_parameters, spline_of


def _spline(bins=8, rows=400, seed=0):
    rng = np.random.default_rng(seed)
    parameters = rng.normal(0, 1, (rows, num_parameters(bins))).astype("float32")
    return spline_of(tf.constant(parameters), bins)


@pytest.mark.parametrize("bins", [2, 8, 16])
def test_identity_parameters_give_arsinh_at_the_knots(bins):
    knots = np.linspace(-4, 4, bins + 1, dtype="float32")
    parameters = np.tile(np.array(identity_parameters(bins), "float32"), (len(knots), 1))
    spline = spline_of(tf.constant(parameters), bins)
    np.testing.assert_allclose(spline(tf.constant(knots)), np.arcsinh(knots), atol=1e-5)
    _, log_slope = spline.inverse(tf.constant(np.arcsinh(knots)))
    np.testing.assert_allclose(np.exp(log_slope), 1 / np.hypot(1, knots), rtol=1e-4)


@pytest.mark.parametrize("bins", [2, 8, 16])
def test_inverse_inverts_inside_and_outside_the_grid(bins):
    spline = _spline(bins)
    latent = np.random.default_rng(1).normal(0, 2.5, 400).astype("float32")
    assert (np.abs(latent) > 4).any()
    found, _ = spline.inverse(spline(tf.constant(latent)))
    # Where the slope is least, rounding of the value is a hundred times that of the latent.
    np.testing.assert_allclose(found, latent, atol=2e-3)


def test_slope_is_that_of_the_function():
    spline = _spline()
    latent = tf.constant(np.random.default_rng(2).normal(0, 2.5, 400).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(latent)
        value = spline(latent)
    _, log_slope = spline.inverse(value)
    np.testing.assert_allclose(np.exp(log_slope), tape.gradient(value, latent), rtol=1e-2)


def test_increases_everywhere():
    parameters = np.random.default_rng(3).normal(0, 2, (1, num_parameters(8))).astype("float32")
    grid = np.linspace(-6, 6, 2001).astype("float32")
    spline = spline_of(tf.constant(np.tile(parameters, (len(grid), 1))), 8)
    assert (np.diff(spline(tf.constant(grid)).numpy()) > 0).all()


def test_slope_is_bounded_below_however_far_the_parameters_go():
    raw = np.full((1, num_parameters(8)), -1e6, "float32")
    raw[0, 0] = 0.0
    spline = spline_of(tf.constant(raw), 8)
    np.testing.assert_allclose(spline.slopes, 0.01, rtol=1e-5)
    np.testing.assert_allclose(np.diff(spline.values.numpy()), 0.01, rtol=1e-2)


def test_zero_rows():
    empty = spline_of(tf.zeros((0, num_parameters(8))), 8)
    assert empty(tf.zeros(0)).shape == (0,)
    assert empty.inverse(tf.zeros(0))[0].shape == (0,)
