import numpy as np
import pytest

from balrog_keras.generator import Generator
from balrog_keras.quick_draw import quick_draw


@pytest.fixture(scope="module", params=[2, 8])
def generator(request):
    """With weights large enough that every bin, slope and tail matters."""
    made = Generator(num_outputs=3, width=8, depth=2, bins=request.param, seed=1)
    made.build(((None, 4), (None, 3)))
    rng = np.random.default_rng(2)
    made.set_weights([rng.normal(0, 0.6, each.shape) for each in made.get_weights()])
    return made


def _inputs(rows=4_000, scale=2.5):
    rng = np.random.default_rng(3)
    latent = scale * rng.normal(size=(rows, 3))
    return rng.normal(size=(rows, 4)).astype("float32"), latent.astype("float32")


def test_the_same_function(generator):
    condition, latent = _inputs()
    expected = np.arcsinh(generator((condition, latent)).numpy())
    found = np.arcsinh(quick_draw(generator, condition, latent).numpy())
    assert np.abs(latent).max() > 8
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_at_the_knots(generator):
    knots = np.linspace(-4, 4, generator.bins + 1, dtype="float32")
    latent = np.repeat(knots[:, None], 3, axis=1)
    condition = np.zeros((len(knots), 4), "float32")
    expected = generator((condition, latent)).numpy()
    np.testing.assert_allclose(quick_draw(generator, condition, latent), expected, rtol=1e-4)


def test_unknown_conditions_give_nothing(generator):
    condition, latent = _inputs(8)
    condition[3] = np.nan
    found = quick_draw(generator, condition, latent).numpy()
    assert np.isfinite(found).all(axis=1).tolist() == [row != 3 for row in range(8)]
