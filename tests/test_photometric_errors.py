import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, location_scale, measure

from balrog_keras.metrics import spread
from balrog_keras.photometric_errors import GaussianErrors, NeighbourErrors
from balrog_keras.residuals import residuals

TRAIN = conditions(30_000, 5)
MEASURED = measure(TRAIN, [5, 1])
TEST = conditions(6_000, 6)
IDS = np.arange(len(TEST))


@pytest.mark.parametrize("kind", [GaussianErrors, NeighbourErrors])
def test_draws_are_a_pure_function_and_of_the_right_size(kind):
    model = kind(SCHEMA, TRAIN, MEASURED)
    drawn = model.draw(TEST, IDS, 3)
    np.testing.assert_array_equal(model.draw(TEST[::-1], IDS[::-1], 3)[::-1], drawn)
    assert (model.draw(TEST, IDS, 4) != drawn).any()
    scale = location_scale(TEST)[1]
    found, expected = (
        residuals(SCHEMA, TEST, values) / scale for values in (drawn, measure(TEST, [6, 1]))
    )
    for low, high in ((20, 21), (23.5, 24.5)):
        rows = (TEST[:, 0] > low) & (TEST[:, 0] < high)
        np.testing.assert_allclose(spread(found[rows]), spread(expected[rows]), rtol=0.2)


def test_gaussian_errors_are_gaussian_unbiased_and_independent():
    drawn = residuals(SCHEMA, TEST, GaussianErrors(SCHEMA, TRAIN, MEASURED).draw(TEST, IDS, 3))
    scale = location_scale(TEST)[1]
    assert np.abs(np.median(drawn / scale, axis=0)).max() < 0.06
    assert np.mean(np.abs(drawn / scale) > 5) < 1e-3
    assert np.abs(np.corrcoef((drawn / scale).T) - np.eye(3)).max() < 0.06


def test_neighbours_bring_bias_tails_and_correlation():
    drawn = residuals(SCHEMA, TEST, NeighbourErrors(SCHEMA, TRAIN, MEASURED).draw(TEST, IDS, 3))
    location, scale = location_scale(TEST)
    z = (drawn + TEST[:, :3] - location) / scale
    assert np.abs(np.median(z, axis=0)).max() < 0.15
    assert np.corrcoef(np.clip(z, -3, 3).T)[0, 1] > 0.3
    assert np.mean(np.abs(z) > 3) > 0.01
