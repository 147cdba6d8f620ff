from functools import partial

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics
from toy_detection import toy_injections, toy_probability

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.detection_statistics import (
    Cells,
    DetectionSample,
    auc,
    brier_score,
    calibration_error,
    clustering,
    equal_mass_cells,
    log_loss,
    reliability,
    score_statistics,
    wilson_interval,
)

ROWS = 8_000


def sample_of(rows, probability, weight=None, simulations=200):
    weight = np.ones(len(probability)) if weight is None else weight
    bootstrap = RegionBootstrap(rows["region"], 50, 1)
    detected = rows["detected"].astype("float64")
    return DetectionSample(probability, detected, weight, bootstrap, simulations, 2)


@pytest.fixture(scope="module")
def rows():
    return toy_injections(ROWS, 1)


@pytest.fixture(scope="module")
def truth(rows):
    return toy_probability(rows["condition"])


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_scikit_learn(rows, truth, weighted):
    rng = np.random.default_rng(3)
    weight = rng.uniform(0, 2, ROWS) if weighted else np.ones(ROWS)
    p = np.round(np.clip(truth, 0.01, 0.99), 2)  # Ties.
    detected = rows["detected"]
    arguments = detected[None].astype("float64"), weight[None]
    expected = metrics.brier_score_loss(detected, p, sample_weight=weight)
    assert brier_score(p, *arguments)[0] == pytest.approx(expected)
    expected = metrics.log_loss(detected, p, sample_weight=weight)
    assert log_loss(p, *arguments)[0] == pytest.approx(expected)
    expected = metrics.roc_auc_score(detected, p, sample_weight=weight)
    assert auc(Cells(p), *arguments)[0] == pytest.approx(expected)


def test_calibration_error_by_hand():
    p = np.array([0.1, 0.3, 0.8, 0.8])
    detected = np.array([[0.0, 1.0, 1.0, 1.0]])
    cells = Cells(np.array([0, 0, 5, 5]))
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 1.0]])
    found = calibration_error(p, cells, detected, weights)
    np.testing.assert_allclose(found, [(0.6 + 0.4) / 4, (0.2 + 0.4) / 4])


def test_wilson_interval_is_that_of_scipy():
    for found, rows in ((0, 10), (3, 10), (499, 500)):
        expected = binomtest(found, rows).proportion_ci(method="wilson")
        bounds = wilson_interval(np.array([found / rows]), np.array([rows]))[0]
        np.testing.assert_allclose(bounds, [expected.low, expected.high], atol=1e-6)


def test_equal_mass_cells():
    counts = np.bincount(equal_mass_cells(np.random.default_rng(1).random(1000), 20))
    assert len(counts) == 20
    assert counts.min() >= 49
    assert len(np.unique(equal_mass_cells(np.full(50, 0.5), 20))) == 1


def test_the_true_probability_is_at_its_null(rows, truth):
    statistics = score_statistics(sample_of(rows, truth))
    assert statistics["ece"]["value"] <= statistics["ece"]["null"] + 0.003
    assert statistics["ece"]["p_value"] > 0.01
    for name in ("brier", "log_loss", "auc"):
        low, high = statistics[name]["null_interval"]
        margin = high - low
        assert low - margin < statistics[name]["value"] < high + margin
        assert low < statistics[name]["null"] < high


def test_a_limit_off_by_a_tenth_of_a_magnitude_is_found(rows):
    wrong = toy_probability(rows["condition"], shift=0.1)
    statistics = score_statistics(sample_of(rows, wrong))
    assert statistics["ece"]["value"] > statistics["ece"]["null"] + 0.003
    assert statistics["ece"]["p_value"] < 0.01


def test_null_of_the_calibration_error_is_its_distribution(truth):
    rng = np.random.default_rng(5)
    rows = {"region": rng.integers(0, 20, ROWS), "detected": np.zeros(ROWS)}
    sample = sample_of(rows, truth, simulations=400)
    cells = Cells(equal_mass_cells(truth, 20))
    null = sample.simulate(partial(calibration_error, truth, cells))
    fresh = (rng.random((400, ROWS)) < truth).astype("float64")
    other = calibration_error(truth, cells, fresh, np.ones((1, ROWS)))
    assert null.shape == (400,)
    assert np.quantile(null, 0.95) == pytest.approx(np.quantile(other, 0.95), rel=0.1)


def test_reductions_see_weights_and_replicates(rows, truth):
    weight = np.where(np.arange(ROWS) % 2, 1.0, 0.0)
    sample = sample_of(rows, truth, weight)
    odd = {key: values[1::2] for key, values in rows.items()}
    half = sample_of(odd, truth[1::2])
    reduction, reduction_half = partial(brier_score, truth), partial(brier_score, truth[1::2])
    assert sample.observe(reduction) == pytest.approx(half.observe(reduction_half))
    assert sample.resample(reduction).shape == (50,)
    assert sample.resample(reduction).std() > 0


def test_reliability_counts_every_row(rows, truth):
    table = reliability(sample_of(rows, truth))
    assert table["rows"].sum() == ROWS
    assert (np.diff(table["probability"]) > 0).all()
    inside = (table["interval"][:, 0] <= table["probability"]) & (
        table["probability"] <= table["interval"][:, 1]
    )
    assert inside.sum() >= 16


def test_clustering_is_one_for_independent_rows_and_the_size_for_copies(rows, truth):
    sample = sample_of(rows, truth)
    cells = Cells(equal_mass_cells(truth, 20))
    groups = {"parent": rows["parent_id"], "region": rows["region"]}
    for factor in clustering(sample, cells, groups).values():
        assert factor == pytest.approx(1, abs=0.15)
    copies = {key: np.repeat(values, 3, axis=0) for key, values in rows.items()}
    copied = sample_of(copies, np.repeat(truth, 3))
    number = {"parent": np.repeat(np.arange(ROWS), 3)}
    cells = Cells(np.repeat(cells.index, 3))
    assert clustering(copied, cells, number)["parent"] == pytest.approx(3, rel=0.1)
