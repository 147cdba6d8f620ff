import keras
import numpy as np
import pytest
import tensorflow as tf

from balrog_keras.networks import Critic
from balrog_keras.replicas import apply_gradients, repeat, rows_of_replica


def test_one_device_draws_what_tensorflow_does():
    seed = tf.constant([3, 4], tf.int64)
    drawn = rows_of_replica(tf.random.stateless_normal, (5, 3), seed)
    np.testing.assert_array_equal(drawn, tf.random.stateless_normal((5, 3), seed))


@pytest.mark.parametrize("strategy", [None, tf.distribute.OneDeviceStrategy("/cpu:0")])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_updates_are_repeated_in_order_in_a_loop_or_without(count, strategy):
    seen = tf.Variable(0)

    def update(number):
        seen.assign(10 * seen + tf.cast(number, tf.int32) + 1)

    run = tf.function(lambda: repeat(count, update), autograph=False)
    if strategy is None:
        run()
    else:
        strategy.run(run)
    assert seen.numpy() == int("01234"[: count + 1])


def test_norm_and_step_are_those_of_the_gradient():
    critic = Critic(width=4, depth=1, seed=0)
    critic.build(((None, 3), (None, 9)))
    before = critic.get_weights()
    inputs = tf.ones((6, 3)), tf.ones((6, 9))
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_mean(critic(inputs) ** 2)
    gradients = [each.numpy() for each in tape.gradient(loss, critic.trainable_variables)]
    norm = apply_gradients(tape, loss, critic, keras.optimizers.SGD(0.5))
    assert float(norm) == pytest.approx(np.sqrt(sum((each**2).sum() for each in gradients)))
    for start, end, gradient in zip(before, critic.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(end, start - 0.5 * gradient, rtol=1e-5, atol=1e-7)
