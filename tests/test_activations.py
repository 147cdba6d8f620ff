import keras
import numpy as np
import tensorflow as tf

from balrog_keras.activations import activation_named


def test_silu_and_its_derivatives_are_those_of_keras():
    x = tf.linspace(-90.0, 90.0, 20_001)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape(persistent=True) as inner:
            inner.watch(x)
            found, expected = activation_named("silu")(x), keras.activations.silu(x)
        slopes = [inner.gradient(y, x) for y in (found, expected)]
    curvatures = [outer.gradient(y, x) for y in slopes]
    for values in ((found, expected), slopes, curvatures):
        np.testing.assert_allclose(*values, rtol=1e-6, atol=4e-6)


def test_other_names_are_left_to_keras():
    assert activation_named("relu") == "relu"
