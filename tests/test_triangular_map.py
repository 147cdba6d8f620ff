import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from balrog_keras.triangular_map import (
    Given,
    bounded_log_scale,
    compress,
    log_density,
    num_regressors,
    num_seen,
    seen_latents,
    seen_residuals,
)


def test_seen_residuals_are_arsinh_and_a_bounded_line():
    residuals = np.array([[-1e6, -30.0, -0.5, 0.0, 2.0, 1e9]], np.float32)
    seen = seen_residuals(tf.constant(residuals)).numpy()
    np.testing.assert_allclose(seen[:, :6], np.arcsinh(residuals), rtol=1e-6)
    np.testing.assert_allclose(seen[:, 6:], np.clip(residuals, -30, 30) / 4, rtol=1e-6)
    np.testing.assert_array_equal(
        seen_residuals(tf.constant(residuals), axis=0), np.stack([seen[0, :6], seen[0, 6:]])
    )


def test_compress_is_the_inverse_of_the_column_with_its_slope():
    value = tf.constant([-12.0, -0.3, 0.0, 2.0, 9.0])
    shift, log_scale = tf.linspace(-1.0, 1.0, 5), tf.linspace(-2.0, 2.0, 5)
    column = shift + tf.exp(log_scale) * tf.sinh(value)
    with tf.GradientTape() as tape:
        tape.watch(column)
        found, stretch = compress(Given(None, shift, log_scale), column)
    np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    slope = tape.gradient(found, column)
    np.testing.assert_allclose(stretch, -np.log(slope), rtol=1e-4, atol=1e-5)


def test_log_density_of_the_identity_is_the_normal_one():
    latent = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected = stats.norm.logpdf(latent).sum(axis=1)
    np.testing.assert_allclose(log_density(tf.constant(latent), 0.0), expected, rtol=1e-5)


@pytest.mark.parametrize(("column", "count"), [(0, 0), (1, 2), (4, 5)])
def test_regressors_are_the_columns_before_and_the_scale(column, count):
    assert num_regressors(column) == count


def test_scale_is_bounded_and_the_identity_near_zero():
    raw = tf.constant([-1e3, 0.01, 1e3])
    np.testing.assert_allclose(bounded_log_scale(raw), [-8.0, 0.01, 8.0], rtol=1e-4)


def test_seen_latents_are_no_further_out_than_drawn_ones():
    np.testing.assert_array_equal(
        seen_latents(tf.constant([-1e3, -5.0, 0.3, 6.0, 20.0])), np.float32([-8, -5, 0.3, 6, 8])
    )


def test_seen_numbers_are_two_of_a_residual_and_a_latent():
    assert [num_seen(j) for j in range(3)] == [0, 3, 6]
