import numpy as np
import pytest
import tensorflow as tf

from balrog_keras.losses import energy_score_loss, gradient_penalty
from balrog_keras.networks import Critic


def _data(rows=64, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(tf.constant(rng.normal(size=(rows, size)).astype("float32")) for size in (9, 3))


def _linear_critic(weights):
    return lambda inputs: tf.concat(inputs, axis=-1) @ tf.constant(weights[:, None])


@pytest.mark.parametrize(
    ("norm", "side", "expected"), [(3.0, "one", 4.0), (3.0, "two", 4.0), (0.4, "one", 0.0),
                                   (0.4, "two", 0.36)],
)  # fmt: skip
def test_penalty_of_a_linear_critic_is_known(norm, side, expected):
    weights = np.random.default_rng(0).normal(size=12).astype("float32")
    weights *= norm / np.linalg.norm(weights)
    condition, real = _data()
    penalty = gradient_penalty(
        _linear_critic(weights), real, -real, condition, tf.fill((64, 1), 0.3), side
    )
    assert penalty.numpy() == pytest.approx(expected, abs=1e-5)


def test_penalty_is_taken_between_real_and_fake():
    """D = |x|^2 / 2 has gradient x, so the penalty is known at the interpolated points."""
    condition, real = _data()
    epsilon = tf.random.stateless_uniform((64, 1), [1, 2])
    fake = 2.0 * real + 1.0
    found = gradient_penalty(
        lambda inputs: 0.5 * tf.reduce_sum(tf.square(inputs[0]), 1, keepdims=True)
        + 0.0 * tf.reduce_sum(inputs[1], 1, keepdims=True),
        real, fake, condition, epsilon, "two",
    )  # fmt: skip
    points = epsilon.numpy() * real.numpy() + (1 - epsilon.numpy()) * fake.numpy()
    expected = np.mean((np.linalg.norm(points, axis=1) - 1) ** 2)
    assert found.numpy() == pytest.approx(expected, rel=1e-5)


def test_penalty_is_differentiable_where_the_gradient_vanishes():
    condition, real = _data()
    critic = Critic(width=8, depth=1)
    critic.build(((None, 3), (None, 9)))
    for weight in critic.weights:
        weight.assign(tf.zeros_like(weight))
    with tf.GradientTape() as tape:
        loss = gradient_penalty(critic, real, real, condition, tf.zeros((64, 1)), "two")
    gradients = tape.gradient(loss, [weight.value for weight in critic.trainable_weights])
    assert all(np.isfinite(g.numpy()).all() for g in gradients if g is not None)


def test_energy_score_of_exact_draws_is_that_of_the_distribution():
    """For N(0, 1) in one dimension the energy score of the truth is 1 / sqrt(pi)."""
    rng = np.random.default_rng(0)
    first, second, real = rng.normal(size=(3, 400_000, 1)).astype("float32")
    score = energy_score_loss(first, second, real).numpy()
    assert score == pytest.approx(1 / np.sqrt(np.pi), abs=0.005)
    wide = energy_score_loss(1.5 * first, 1.5 * second, real).numpy()
    assert wide > score + 0.01
