import numpy as np
import pytest
from scipy import special, stats

from balrog_keras.domain import DomainModel

MEAN, STD = np.array([20.0, 1.0, -0.3]), np.array([2.0, 0.1, 0.5])
WEIGHTS = np.array([0.3, 0.7])
CENTERS = np.array([[0.0, 1.0, 0.5], [1.0, -1.0, 0.0]])


@pytest.fixture(scope="module")
def mixture():
    """Model of two components, and their covariances."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(2, 3, 3))
    covariances = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(3)
    whitening = np.linalg.cholesky(np.linalg.inv(covariances))
    transforms = ["identity", "log10", "identity"]
    model = DomainModel(transforms, MEAN, STD, WEIGHTS, CENTERS, whitening, threshold=-4.0)
    return model, covariances


@pytest.fixture(scope="module")
def condition():
    rng = np.random.default_rng(1)
    values = np.column_stack(
        [rng.normal(20, 3, 500), rng.uniform(5, 20, 500), rng.normal(size=500)]
    )
    return values.astype("float32")


def test_log_density_is_that_of_scipy(mixture, condition):
    model, covariances = mixture
    values = condition.astype("float64")
    values[:, 1] = np.log10(values[:, 1])
    standard = (values - MEAN) / STD
    each = [
        np.log(weight) + stats.multivariate_normal(center, covariance).logpdf(standard)
        for weight, center, covariance in zip(WEIGHTS, CENTERS, covariances, strict=True)
    ]
    expected = special.logsumexp(each, axis=0)
    np.testing.assert_allclose(model.log_density(condition), expected, rtol=1e-4, atol=1e-3)


def test_score_is_above_the_threshold_inside(mixture, condition):
    model, _ = mixture
    score, inside = (each.numpy() for each in model(condition))
    np.testing.assert_allclose(score, model.log_density(condition).numpy() + 4.0, rtol=1e-6)
    np.testing.assert_array_equal(inside, score >= 0)
    assert 0 < inside.mean() < 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_unknown_is_outside_without_a_score(mixture, condition, bad, column):
    rows = condition[:4].copy()
    rows[1, column] = bad
    score, inside = (each.numpy() for each in mixture[0](rows))
    assert np.isnan(score).tolist() == [False, True, False, False]
    assert not inside[1]


def test_no_legal_transform_is_outside(mixture):
    score, inside = mixture[0](np.array([[20, -1, 0]], "float32"))
    assert np.isnan(score)
    assert not inside


@pytest.mark.parametrize("far", [1e10, -1e30, 3e38])
def test_far_out_has_a_finite_score(mixture, condition, far):
    rows = condition[:3].copy()
    rows[:, 2] = far
    score, inside = (each.numpy() for each in mixture[0](rows))
    assert np.isfinite(score).all()
    assert not inside.any()


def test_no_rows(mixture):
    score, inside = mixture[0](np.empty((0, 3), "float32"))
    assert score.shape == inside.shape == (0,)
