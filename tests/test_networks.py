import keras
import numpy as np
import pytest
import tensorflow as tf

from balrog_keras.networks import Critic, LocationScale

FAMILY = {
    "critic": (Critic(width=16, depth=2, seed=1), (3, 9), 1),
    "location_scale": (LocationScale(6, width=16, depth=2, seed=1), (9,), 6),
}


def _inputs(sizes, rows=5, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(tf.constant(rng.normal(size=(rows, size)).astype("float32")) for size in sizes)


@pytest.fixture(params=FAMILY)
def member(request):
    return FAMILY[request.param]


def test_output_shape_and_dtype(member):
    network, sizes, outputs = member
    result = network(_inputs(sizes))
    assert result.shape == (5, outputs)
    assert result.dtype == tf.float32


def test_zero_rows(member):
    network, sizes, outputs = member
    assert network(_inputs(sizes, rows=0)).shape == (0, outputs)


def test_gradient_reaches_every_weight(member):
    network, sizes, _ = member
    inputs = _inputs(sizes, rows=64)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(network(inputs) - 1.0))
    gradients = tape.gradient(loss, [weight.value for weight in network.trainable_weights])
    assert len(gradients) == 2 * (network.depth + 1)
    for gradient in gradients:
        assert np.isfinite(gradient.numpy()).all()
        assert np.abs(gradient.numpy()).max() > 0


def test_config_round_trip_gives_the_same_initial_weights(member):
    network, sizes, _ = member
    network = type(network).from_config(network.get_config())
    network.build(tuple((None, size) for size in sizes))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert copy.get_config() == network.get_config()
    inputs = _inputs(sizes)
    np.testing.assert_array_equal(network(inputs), copy(inputs))


def test_save_and_load_gives_the_same_output(member, tmp_path):
    network, sizes, _ = member
    inputs = _inputs(sizes)
    expected = network(inputs).numpy()
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(inputs).numpy(), expected)


def test_scale_stays_finite_far_out():
    network = LocationScale(6, width=16, depth=2, seed=1)
    output = network((1e6 * tf.ones((1, 9)),)).numpy()
    assert np.abs(output[:, 3:]).max() <= 8.0
