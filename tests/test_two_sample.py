import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, location_scale, measure
from sklearn.metrics import roc_auc_score

from balrog_keras import threads
from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.classifier_features import features
from balrog_keras.two_sample import (
    CLASSIFIERS,
    auc,
    auc_table,
    c2st_statistics,
    out_of_fold_scores,
)


def seen(condition, measured):
    return features(SCHEMA, condition, measured, *location_scale(condition))


def world(rows, stretch=1.0):
    """Features of real rows, of emulated rows, and of an oracle."""
    condition = conditions(rows, 0)
    return (
        seen(condition, measure(condition, [0, 1])),
        seen(condition, measure(condition, [0, 2], stretch)),
        seen(condition, measure(condition, [0, 3])),
    )


def test_auc_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    real, emulated = rng.normal(size=500), rng.normal(0.3, 1, 500)
    target, scores = np.repeat([0, 1], 500), np.append(real, emulated)
    assert auc(real, emulated)[0] == pytest.approx(roc_auc_score(target, scores))
    coarse = np.round(scores)
    assert auc(coarse[:500], coarse[500:])[0] == pytest.approx(roc_auc_score(target, coarse))
    weights = rng.integers(0, 3, (2, 500)).astype(float)
    for k, found in enumerate(auc(coarse[:500], coarse[500:], weights)):
        expected = roc_auc_score(target, coarse, sample_weight=np.tile(weights[k], 2))
        assert found == pytest.approx(expected)


def test_auc_below_half_stays_below():
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0]))[0] == 0.0


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_pairs_stay_in_one_fold(name):
    """Identical pairs cannot be told apart; a pair split over folds would give itself away."""
    real = world(600)[0]
    scores = out_of_fold_scores(real, real, name)
    np.testing.assert_array_equal(*scores)
    assert auc(*scores)[0] == 0.5


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_same_seed_same_scores(name):
    real, emulated, _ = world(500)
    first, again = (out_of_fold_scores(real, emulated, name, 1) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_small_sample_warns_of_nothing(name):
    out_of_fold_scores(*world(200)[:2], name)


def test_same_scores_on_any_number_of_cores(monkeypatch):
    pair = world(400)[:2]
    bootstrap = RegionBootstrap(np.arange(400) % 7, replicates=5)
    tables = []
    for cores in (1, 4):
        monkeypatch.setattr(threads, "_cores", lambda cores=cores: cores)
        tables.append(auc_table(*pair, bootstrap))
    assert list(tables[0]) == list(CLASSIFIERS)
    for name in CLASSIFIERS:
        np.testing.assert_array_equal(tables[0][name]["replicates"], tables[1][name]["replicates"])
        scores = out_of_fold_scores(*pair, name)
        assert tables[0][name]["value"] == auc(*scores)[0]


@pytest.mark.slow
def test_power(monkeypatch):
    """30,000 rows: 5 % of stretch is found, an exact emulator is at its null."""
    monkeypatch.delitem(CLASSIFIERS, "neural network")
    real, stretched, oracle = world(30_000, stretch=1.05)
    bootstrap = RegionBootstrap(np.arange(30_000) % 60)
    found = c2st_statistics((real, stretched), (real, oracle), bootstrap)
    assert abs(found["larger"]["null"] - 0.5) < 0.01
    low, high = found["larger"]["null_interval"]
    assert low < 0.5 < high + 0.005
    assert found["larger"]["interval"][0] > 0.5
    assert found["excess_over_null"]["interval"][0] > 0


@pytest.mark.slow
def test_network_finds_a_stretch_of_ten_per_cent():
    real, stretched, _ = world(10_000, stretch=1.1)
    scores = out_of_fold_scores(real, stretched, "neural network")
    assert auc(*scores)[0] > 0.52


def test_the_larger_classifier_counts():
    real, emulated, oracle = world(1500, stretch=1.5)
    bootstrap = RegionBootstrap(np.arange(1500) % 20)
    found = c2st_statistics((real, emulated), (real, oracle), bootstrap)
    classifiers, larger = found["classifiers"], found["larger"]
    assert larger["value"] == max(entry["value"] for entry in classifiers.values())
    assert larger["null"] == max(entry["null"] for entry in classifiers.values())
    assert larger["value"] > 0.55
    assert larger["interval"][0] < larger["value"] < larger["interval"][1]
    assert found["rows"] == 1500
    assert found["excess_over_null"]["interval"][0] > 0
