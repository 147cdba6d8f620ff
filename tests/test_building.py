import keras
import numpy as np
import pytest

from balrog_keras.building import (
    Seeds,
    averaging_adam,
    averaging_muon,
    build_gan,
    cosine_adam,
    gan_of_schema,
)
from balrog_keras.config import Settings
from balrog_keras.networks import Perceptron
from balrog_keras.standardizer import Standardizer
from data_prep.preset import load_preset

SMALL = {"width": 8, "depth": 1, "generator_width": 8, "generator_depth": 1, "xla": False}


def test_seeds_of_the_parts_differ_and_are_reproducible():
    seeds = Seeds.of(0)
    parts = [seeds.generator, seeds.critic, seeds.regression, seeds.batches, seeds.noise]
    assert len(set(parts)) == 5
    assert max(parts) < 2**31
    assert Seeds.of(0) == seeds != Seeds.of(1)


def test_rate_decays_to_one_percent():
    optimizer = cosine_adam(1e-3, 100, beta_1=0.0)
    schedule = optimizer._learning_rate
    assert float(schedule(0)) == pytest.approx(1e-3)
    assert float(schedule(100)) == pytest.approx(1e-5)


@pytest.mark.parametrize("sees_residuals", [False, True])
@pytest.mark.parametrize(("conditions", "measured"), [(9, 3), (4, 1), (20, 9)])
def test_networks_fit_any_schema(conditions, measured, sees_residuals):
    gan = build_gan(Settings(**SMALL), conditions, measured, sees_residuals=sees_residuals)
    size = conditions + 2 * measured if sees_residuals else conditions
    context = np.zeros((5, size), "float32")
    drawn = gan((context, np.zeros((5, measured), "float32")))
    assert drawn.shape == (5, measured)
    score = gan.critic((np.zeros((5, measured), "float32"), np.zeros((5, conditions), "float32")))
    assert score.shape == (5, 1)


def test_every_setting_reaches_the_model():
    settings = Settings(
        **SMALL, critic_steps=3, gradient_penalty_weight=7.0, gradient_penalty_side="two",
        gradient_penalty_fraction=0.25, energy_score_weight=0.1, ema_decay=0.9,
        critic_learning_rate=4e-3, generator_learning_rate=3e-3,
    )  # fmt: skip
    gan = build_gan(settings, 9, 3)
    for name in (
        "critic_steps", "gradient_penalty_weight", "gradient_penalty_side",
        "gradient_penalty_fraction", "energy_score_weight", "ema_decay",
    ):  # fmt: skip
        assert getattr(gan, name) == getattr(settings, name)
    for optimizer, rate in ((gan.critic_optimizer, 4e-3), (gan.optimizer, 3e-3)):
        assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(rate)


def test_seed_decides_the_weights():
    first, again, other = (build_gan(Settings(**SMALL, seed=s), 9, 3) for s in (1, 1, 2))
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.generator.weights[0], other.generator.weights[0])


@pytest.mark.parametrize("averaging", [averaging_adam, averaging_muon])
def test_the_average_of_the_last_steps_is_what_is_left(averaging):
    """On noise about 1 the last step is anywhere near it, and the average at it."""
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.build((None, 1))
    model.compile(averaging(0.05, 1_000, 0.0), loss="mse")
    rng = np.random.default_rng(0)
    inputs = np.ones((8_000, 1), "float32")
    target = (1.0 + rng.normal(size=inputs.shape)).astype("float32")
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()[0].item())
    )
    model.fit(inputs, target, batch_size=8, epochs=1, shuffle=False, verbose=0, callbacks=[watch])
    left = model.get_weights()[0].item()
    assert min(seen[-300:]) < left < max(seen[-300:])
    assert abs(left - np.mean(seen[-300:])) < 0.02


def test_muon_moves_hidden_kernels_alike_in_all_directions_and_heads_as_adam():
    network = Perceptron(num_outputs=4, width=16, depth=1)
    network.build(((None, 6),))
    hidden, head = network.hidden[0].kernel, network.head.kernel
    before = [np.array(kernel) for kernel in (hidden, head)]
    optimizer = averaging_muon(0.01, 100, 0.0)
    optimizer.build(network.trainable_variables)
    rng = np.random.default_rng(0)
    gradients = [
        rng.normal(size=variable.shape).astype("float32")
        for variable in network.trainable_variables
    ]
    optimizer.apply(gradients, network.trainable_variables)
    moved = before[0] - np.array(hidden)
    singular = np.linalg.svd(moved, compute_uv=False)
    # As large as Adam's steps, to the iteration's accuracy; the gradient's are from 1.6 to 6.4.
    np.testing.assert_allclose(singular, 0.01 * 0.2 * np.sqrt(16), rtol=0.4)
    of_head = gradients[2]
    np.testing.assert_allclose(before[1] - np.array(head), 0.01 * np.sign(of_head), rtol=1e-3)


@pytest.mark.parametrize(
    ("preset", "shape", "linked"), [("mini-balrog", (9, 3), 0), ("mini-balrog-shapes", (12, 9), 2)]
)
def test_gan_of_a_schema_knows_its_columns(preset, shape, linked):
    schema = load_preset(preset).schema
    gan = gan_of_schema(Settings(**SMALL), schema)
    assert (gan.generator.num_conditions, gan.generator.num_outputs) == shape
    assert gan.num_linked == linked
    # Flux errors have no reference, magnitudes have one.
    assert gan.generator.sees_residuals == (preset == "mini-balrog-shapes")
    # What the one gives is what the other takes.
    standardizer = Standardizer.for_schema(schema, width=4, depth=1)
    assert gan.generator.input_shapes[0][1] == standardizer.context_size
    assert gan.generator.sees_residuals == standardizer.gives_scales
