import keras
import numpy as np
import pytest
import tensorflow as tf

from balrog_keras.distribution import scope
from balrog_keras.generator import Generator
from balrog_keras.losses import energy_score_loss
from balrog_keras.networks import Critic
from balrog_keras.wgan_gp import ConditionalWGANGP


def _gan(jit=False, rate=1e-2, sees_residuals=False, **arguments):
    generator = Generator(
        3, width=16, depth=2, sees_residuals=sees_residuals, seed=1, name="generator"
    )
    generator.build(((None, 15 if sees_residuals else 9), (None, 3)))
    critic = Critic(width=16, depth=2, seed=2, name="critic")
    critic.build(((None, 3), (None, 9)))
    gan = ConditionalWGANGP(generator, critic, **arguments)
    adam = {"beta_1": 0.0, "beta_2": 0.9}
    gan.compile(
        keras.optimizers.Adam(rate, **adam), keras.optimizers.Adam(rate, **adam), jit_compile=jit
    )
    return gan


def _data(rows=64, seed=0, conditions=9):
    rng = np.random.default_rng(seed)
    sizes = conditions, 3
    return tuple(tf.constant(rng.normal(size=(rows, size)).astype("float32")) for size in sizes)


@pytest.mark.parametrize(("jit", "sees_residuals"), [(False, False), (True, False), (True, True)])
def test_one_step_changes_every_weight_and_logs_finite_numbers(jit, sees_residuals):
    gan = _gan(jit=jit, critic_steps=2, sees_residuals=sees_residuals)
    data = _data(conditions=15 if sees_residuals else 9)
    before = [weight.numpy() for weight in (*gan.generator.weights, *gan.critic.weights)]
    history = gan.fit(tf.data.Dataset.from_tensors(data), epochs=1, shuffle=False, verbose=0)
    after = [weight.numpy() for weight in (*gan.generator.weights, *gan.critic.weights)]
    # The critic's last bias has no gradient: it cancels in the difference of scores.
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        if index != len(before) - 1:
            assert np.abs(new - old).max() > 0, index
    assert all(np.isfinite(values).all() for values in history.history.values())
    assert gan.critic_optimizer.iterations.numpy() == 2
    assert gan.optimizer.iterations.numpy() == 1


def test_a_loop_of_critic_updates_is_the_same_as_one_after_the_other():
    """Under a strategy the updates are not in a loop; the numbers must be those of one device."""

    def trained(strategy):
        with scope(strategy):
            gan = _gan(critic_steps=3)
        data = tf.data.Dataset.from_tensors(_data(48)).repeat(3)
        gan.fit(data, epochs=1, shuffle=False, verbose=0)
        return gan.critic.get_weights() + gan.generator.get_weights()

    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    for looped, unrolled in zip(trained(None), trained(one), strict=True):
        np.testing.assert_allclose(looped, unrolled, rtol=1e-4, atol=1e-5)


def test_critic_step_lowers_the_loss_it_states():
    """Under SGD one small critic step must lower the Wasserstein loss plus penalty."""
    gan = _gan(rate=1e-3)
    condition, real = _data(512)
    step = tf.constant(0, tf.int64)
    fake = gan.generator((condition, tf.random.stateless_normal(real.shape, (1, 2))))
    losses = [
        float(gan._critic_step(condition, real, fake, step, 0)["critic_loss"]) for _ in range(20)
    ]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("energy", "likelihood", "linked"), [(0.0, 1.0, 0), (0.5, 1.0, 0), (0.5, 0.0, 0), (0.5, 1.0, 2)]
)
def test_generator_gradient_is_that_of_its_stated_loss(energy, likelihood, linked):
    """Nothing of the critic's update inside the tape may enter the generator's gradient."""
    gan = _gan(energy_score_weight=energy, likelihood_weight=likelihood, num_linked=linked)
    gan.compile(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(1e-3))
    condition, real = _data(512)
    real *= np.where(np.arange(3) < 3 - linked, 1.0, 30.0)
    start = gan.generator.get_weights()
    logs = gan.train_step((condition, real))
    assert ("energy_score" in logs) == (energy > 0)
    ends = gan.generator.get_weights()
    moved = [end - before for end, before in zip(ends, start, strict=True)]
    gan.generator.set_weights(start)
    latent = gan._normal(tf.constant(0, tf.int64), 2, 0, 2 * len(real))
    with tf.GradientTape() as tape:
        fakes = gan.generator((tf.concat([condition, condition], 0), latent))
        first, second = tf.split(fakes, 2)
        first, second, seen = (_compressed(each, linked) for each in (first, second, real))
        loss = gan.energy_score_weight * energy_score_loss(first, second, seen)
        loss -= tf.reduce_mean(gan.critic((first, condition)))
        loss -= gan.likelihood_weight * tf.reduce_mean(
            gan.generator.log_likelihood(real, condition)
        )
    gradients = tape.gradient(loss, gan.generator.trainable_variables)
    for change, gradient in zip(moved, gradients, strict=True):
        np.testing.assert_allclose(change, -1e-3 * gradient, rtol=1e-3, atol=1e-7)


def _compressed(rows, linked):
    last = tf.range(3) >= 3 - linked
    return tf.where(last, tf.asinh(rows), rows)


def test_one_far_draw_is_seen_at_a_hundred_scales():
    """One of 10^8 in a million draws made the critic's gap 70,000, which moved all weights."""
    rows = np.array([[3.0, -99.0, 2.0], [1e8, -1e8, 1e8]], np.float32)
    seen = _gan(num_linked=1)._seen(tf.constant(rows))
    expected = [[3.0, -99.0, np.arcsinh(2.0)], [100.0, -100.0, np.arcsinh(1e8)]]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    np.testing.assert_array_equal(_gan()._seen(tf.constant(rows[:1])), rows[:1])


def test_average_follows_the_warm_up():
    gan = _gan()
    initial = gan.ema_generator.weights[0].numpy()
    gan.fit(tf.data.Dataset.from_tensors(_data()), epochs=1, shuffle=False, verbose=0)
    expected = 0.1 * initial + 0.9 * gan.generator.weights[0].numpy()
    np.testing.assert_allclose(gan.ema_generator.weights[0].numpy(), expected, atol=1e-6)


def test_same_seed_same_weights_other_seed_others():
    def trained(seed):
        gan = _gan(seed=seed)
        gan.fit(tf.data.Dataset.from_tensors(_data()).repeat(5), shuffle=False, verbose=0)
        return gan.generator.get_weights()

    first, again, other = trained(1), trained(1), trained(2)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_noise_differs_between_steps_parts_and_purposes():
    gan = _gan()
    keys = [(s, p, k) for s in (0, 1, 70_000) for p in range(3) for k in (0, 1)]
    draws = {gan._normal(tf.constant(s, tf.int64), p, k, 4).numpy().tobytes() for s, p, k in keys}
    assert len(draws) == len(keys)


def test_nonfinite_loss_is_noted_with_its_step():
    gan = _gan()
    condition, real = _data()
    gan.train_step((condition, real))
    assert (gan.first_nonfinite.numpy() == -1).all()
    gan.train_step((condition, real * np.nan))
    gan.train_step((condition, real))
    assert gan.first_nonfinite.numpy()[0] == 1


def test_test_step_is_deterministic():
    gan = _gan()
    first, second = gan.test_step(_data()), gan.test_step(_data())
    assert set(first) == {"critic_gap", "energy_score"}
    assert all(float(first[name]) == float(second[name]) for name in first)


def test_config_round_trip():
    gan = _gan(critic_steps=3, gradient_penalty_side="two")
    copy = ConditionalWGANGP.from_config(gan.get_config())
    assert copy.get_config() == gan.get_config()
    assert copy.critic_steps == 3
