import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from balrog_keras.generator import Generator
from balrog_keras.triangular_map import Before


def _arrays(generator, rows=500, latent_scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    size = generator.input_shapes[0][1]
    condition = rng.normal(size=(rows, size)).astype("float32")
    # Locations and log scales, if any.
    condition[:, 9:] *= 0.5
    latent = (latent_scale * rng.normal(size=(rows, 3))).astype("float32")
    return tf.constant(condition), tf.constant(latent)


@pytest.fixture(scope="module", params=[False, True], ids=["", "sees residuals"])
def generator(request):
    """Far from its start, so that every part matters."""
    network = Generator(3, width=16, depth=2, sees_residuals=request.param, seed=1)
    network.build(((None, 15 if request.param else 9), (None, 3)))
    rng = np.random.default_rng(5)
    for weight in network.trainable_weights:
        weight.assign_add(0.1 * rng.normal(size=weight.shape).astype("float32"))
    return network


def test_starts_close_to_the_latents():
    fresh = Generator(3, width=16, depth=2, seed=1)
    fresh.build(((None, 9), (None, 3)))
    condition, latent = _arrays(fresh)
    difference = fresh((condition, latent)) - latent
    assert np.median(np.abs(difference)) < 0.2


def test_zero_rows(generator):
    assert generator(_arrays(generator, 0)).shape == (0, 3)
    condition, latent = _arrays(generator, 0)
    assert generator.log_likelihood(latent, condition).shape == (0,)


def test_likelihood_is_that_of_the_change_of_variables(generator):
    condition, latent = _arrays(generator, latent_scale=1.5)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        measured = generator((condition, latent))
    jacobian = tape.batch_jacobian(measured, latent).numpy()
    assert np.abs(np.triu(jacobian, 1)).max() == 0
    expected = stats.norm.logpdf(latent).sum(axis=1) - np.log(np.abs(np.linalg.det(jacobian)))
    np.testing.assert_allclose(
        generator.log_likelihood(measured, condition), expected, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_draw_and_score_is_drawing_and_scoring(generator, draws):
    condition, measured = _arrays(generator, latent_scale=1.5)
    _, latent = _arrays(generator, draws * len(condition), seed=1)
    drawn, log_likelihood = generator.draw_and_score(condition, latent, measured)
    expected = generator((tf.concat([condition] * draws, 0), latent))
    np.testing.assert_allclose(drawn, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        log_likelihood, generator.log_likelihood(measured, condition), rtol=1e-4, atol=1e-4
    )


def test_inverse_gives_the_latents_back(generator):
    condition, latent = _arrays(generator, latent_scale=1.5)
    found, _ = generator.inverse(generator((condition, latent)), condition)
    np.testing.assert_allclose(found, latent, rtol=1e-3, atol=1e-3)


def test_residuals_are_the_rows_own_scale_undone(generator):
    """The same residuals of the first column, whatever location and scale: the same second one."""
    if not generator.sees_residuals:
        assert generator.num_conditions == generator.input_shapes[0][1]
        return
    assert generator.num_conditions == 9
    second = generator.conditioners[1]
    kernel = second.hidden[0].kernel
    before = kernel.numpy()
    # Condition, v of the first column, arsinh of its residual, the residual over 4, its latent.
    assert before.shape[0] == 9 + 1 + 3
    kernel.assign(np.where(np.arange(13)[:, None] < 10, 0.0, before))
    location, log_scale = np.array([[0.3], [-1.0]]), np.array([[0.5], [-0.7]])
    scales = np.zeros((2, 6), np.float32)
    scales[:, [0]], scales[:, [3]] = location, log_scale
    context = tf.constant(np.concatenate([np.ones((2, 9), np.float32), scales], axis=1))
    columns = tf.constant((1.7 - location[:, 0]) / np.exp(log_scale[:, 0]), tf.float32)
    latent = tf.constant([0.6, 0.6])
    given = generator._conditioned(1, context, Before([tf.zeros(2)], [columns], [latent]))
    np.testing.assert_allclose(given.spline[0], given.spline[1], rtol=1e-4, atol=1e-5)
    seen = np.concatenate([np.zeros(10), [np.arcsinh(1.7), 1.7 / 4.0, 0.6]]).astype("float32")
    expected = second((tf.constant(seen[None]),)) + generator.start(1)
    np.testing.assert_allclose(given.spline[0], expected[0, :-2], rtol=1e-4, atol=1e-5)
    kernel.assign(before)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_likelihood_of_a_column_teaches_its_own_conditioner_alone(generator, column):
    condition, measured = _arrays(generator, latent_scale=1.5)
    with tf.GradientTape() as tape:
        latent, _ = generator.inverse(measured, condition)
        found = tf.reduce_sum(latent[:, column])
    weights = [[w.value for w in each.trainable_weights] for each in generator.conditioners]
    for number, gradients in enumerate(tape.gradient(found, weights)):
        assert [bool(np.any(each)) for each in gradients] == [number == column] * len(gradients)


def test_likelihood_beside_draws_teaches_the_same(generator):
    condition, measured = _arrays(generator, latent_scale=1.5)
    _, latent = _arrays(generator, seed=1)
    with tf.GradientTape(persistent=True) as tape:
        alone = generator.log_likelihood(measured, condition)
        _, beside = generator.draw_and_score(condition, latent, measured)
    weights = [w.value for w in generator.trainable_weights]
    for one, other in zip(
        tape.gradient(alone, weights), tape.gradient(beside, weights), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(one).max())


def test_a_column_can_nearly_follow_another():
    """As the errors of bands of one image do: 1 to 300, where splines alone stop at 1 to 100."""
    network = Generator(2, width=8, depth=1, seed=3)
    network.build(((None, 2), (None, 2)))
    head = network.conditioners[1].head
    head.kernel.assign(tf.zeros_like(head.kernel))
    bias = np.zeros(head.bias.shape, "float32")
    bias[-2:] = 1.0, 8 * np.arctanh(np.log(1 / 300) / 8)
    head.bias.assign(bias)
    rng = np.random.default_rng(1)
    first, second = (
        network((tf.zeros((4_000, 2)), tf.constant(rng.normal(size=(4_000, 2)).astype("float32"))))
        .numpy()
        .T
    )
    assert 1 / 400 < np.std(second - first) / np.std(first) < 1 / 200


def test_density_of_one_column_integrates_to_one():
    network = Generator(1, width=8, depth=1, seed=3)
    network.build(((None, 2), (None, 1)))
    grid = np.sinh(np.linspace(-9, 9, 20_001)).astype("float32")
    condition = tf.ones((len(grid), 2))
    density = np.exp(network.log_likelihood(tf.constant(grid[:, None]), condition))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=2e-3)


def test_gradient_reaches_every_weight(generator):
    condition, latent = _arrays(generator, latent_scale=2.0)
    for loss in (
        lambda: tf.reduce_mean(tf.square(generator((condition, latent)) - 1.0)),
        lambda: -tf.reduce_mean(generator.log_likelihood(latent, condition)),
    ):
        with tf.GradientTape() as tape:
            value = loss()
        gradients = tape.gradient(value, [w.value for w in generator.trainable_weights])
        assert len(gradients) == 3 * 2 * 3
        for gradient in gradients:
            assert np.isfinite(gradient.numpy()).all()
            assert np.abs(gradient.numpy()).max() > 0


def test_finite_for_any_latent_and_any_measured(generator):
    condition, _ = _arrays(generator)
    far = tf.constant(np.linspace(-10, 10, 1500).reshape(500, 3).astype("float32"))
    assert np.isfinite(generator((condition, far)).numpy()).all()
    blends = tf.constant(np.linspace(-1e4, 1e4, 1500).reshape(500, 3).astype("float32"))
    assert np.isfinite(generator.log_likelihood(blends, condition).numpy()).all()


def test_config_round_trip_gives_the_same_initial_weights(generator):
    first = Generator.from_config(generator.get_config())
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(first))
    assert copy.get_config() == first.get_config()
    inputs = _arrays(generator)
    np.testing.assert_array_equal(first(inputs), copy(inputs))


def test_save_and_load_gives_the_same_output(generator, tmp_path):
    inputs = _arrays(generator)
    generator.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras")
    np.testing.assert_array_equal(loaded(inputs), generator(inputs))


def test_same_numbers_with_xla(generator):
    inputs = _arrays(generator)
    compiled = tf.function(generator, jit_compile=True)
    np.testing.assert_allclose(compiled(inputs), generator(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sees_residuals", "missing"), [(False, "map"), (True, "map"), (True, "sees_latents")]
)
def test_generator_of_an_earlier_version_is_refused(sees_residuals, missing):
    config = Generator(num_outputs=2, sees_residuals=sees_residuals).get_config()
    del config[missing]
    with pytest.raises(ValueError, match="map is that of an earlier version"):
        Generator.from_config(config)
