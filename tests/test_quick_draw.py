import numpy as np
import pytest

from balrog_keras.generator import Generator
from balrog_keras.quick_draw import quick_draw, quick_measured
from balrog_keras.standardizer import Standardizer


@pytest.fixture(scope="module", params=[(2, "relu"), (8, "silu")])
def generator(request):
    """With weights large enough that every bin, slope and tail matters."""
    return _generator(*request.param)


def _generator(bins, activation, sees_residuals=False, size=4):
    made = Generator(
        3, width=8, depth=2, activation=activation, bins=bins, sees_residuals=sees_residuals, seed=1
    )
    made.build(((None, size), (None, 3)))
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
    found = np.arcsinh(quick_draw(generator, condition, latent).numpy().T)
    assert np.abs(latent).max() > 8
    # A sum of what the columns before give can cancel.
    np.testing.assert_allclose(found, expected, rtol=3e-4, atol=3e-4)
    assert np.median(np.abs(found - expected)) < 1e-6


def test_at_the_knots(generator):
    knots = np.linspace(-4, 4, generator.bins + 1, dtype="float32")
    latent = np.repeat(knots[:, None], 3, axis=1)
    condition = np.zeros((len(knots), 4), "float32")
    expected = generator((condition, latent)).numpy()
    np.testing.assert_allclose(
        quick_draw(generator, condition, latent).numpy().T, expected, rtol=1e-4
    )


def test_unknown_conditions_give_nothing(generator):
    condition, latent = _inputs(8)
    condition[3] = np.nan
    found = quick_draw(generator, condition, latent).numpy().T
    assert np.isfinite(found).all(axis=1).tolist() == [row != 3 for row in range(8)]


@pytest.mark.parametrize("sees_residuals", [False, True])
@pytest.mark.parametrize(
    ("references", "transforms", "links"),
    [
        ([2, -1, 0], ["asinh", "log10", "identity"], None),
        ([-1, -1, 0], ["log10", "log10", "identity"], [-1, 0, -1]),
    ],
)
def test_measured_columns_are_those_of_the_standardizer(
    references, transforms, links, sees_residuals
):
    """With transforms, a reference that is not the column of the same number, none, and a link."""
    standardizer = Standardizer(
        4, references, ["identity", "log10", "asinh", "identity"], transforms, width=8, depth=1,
        links=links, gives_scales=sees_residuals,
    )  # fmt: skip
    generator = _generator(2, "relu", sees_residuals, standardizer.context_size)
    rng = np.random.default_rng(4)
    constants = {"condition_std", "residual_spread", "spread"}
    for weight in standardizer.weights:
        drawn = rng.normal(0, 0.4, weight.shape)
        weight.assign(np.exp(drawn) if weight.name in constants else drawn)
    if standardizer.differences is not None:
        standardizer.differences.least.assign([-2.0])
        standardizer.differences.most.assign([3.0])
    condition, latent = _inputs(500, 1.0)
    condition[:, 1] = np.exp(condition[:, 1])
    context = standardizer.context(condition)
    expected = standardizer.destandardize(condition, generator((context, latent)))
    found = quick_measured(generator, standardizer, condition, latent)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4)
