import numpy as np
import pytest
from evaluation_world import SCHEMA, conditions, location_scale, measure
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.classifier_features import feature_names, features
from balrog_keras.telling_features import _fall, _placements, feature_groups, telling_features
from balrog_keras.two_sample import auc

ROWS = 1_500


def test_placements_are_the_auc_and_its_spread():
    rng = np.random.default_rng(0)
    real, emulated = np.round(rng.normal(size=900), 1), np.round(rng.normal(0.5, 1, 900), 1)
    placed = _placements(real, emulated)
    target, scores = np.repeat([0, 1], 900), np.append(real, emulated)
    assert placed.mean() == pytest.approx(roc_auc_score(target, scores))
    bootstrap = RegionBootstrap(np.arange(900))
    exact = bootstrap.replicate(lambda weights: auc(real, emulated, weights))
    linear = bootstrap.sums(placed[:, None])[:, 0] / 900
    assert linear.std() == pytest.approx(exact.std(), rel=0.03)
    assert np.corrcoef(linear, exact)[0, 1] > 0.99


def test_fall_agrees_with_sklearn():
    rng = np.random.default_rng(1)
    real, emulated = rng.normal(size=(2, 3_000, 3))
    emulated[:, 1] += 0.5
    both, target = np.concatenate([real, emulated]), np.repeat([0, 1], 3_000)
    model = LogisticRegression().fit(both, target)
    models = [(model, np.ones(3_000, bool))]
    scores = model.predict_proba(both)[:, 1]
    base, bootstrap = _placements(scores[:3_000], scores[3_000:]), RegionBootstrap(np.arange(3_000))
    expected = permutation_importance(model, both, target, scoring="roc_auc", n_repeats=5)
    for k in range(3):
        found = _fall(models, (real, emulated), base, bootstrap, 0, [k])
        assert found["value"] == pytest.approx(expected.importances_mean[k], abs=0.02)
    assert _fall(models, (real, emulated), base, bootstrap, 0, [1])["interval"][0] > 0.1


def test_the_wrong_column_is_named_and_where(quick_classifiers):
    condition = conditions(ROWS, 0)
    real, emulated = (measure(condition, [0, k]) for k in (1, 2))
    faint = condition[:, 2] > np.median(condition[:, 2])
    emulated[faint, 2] += location_scale(condition)[1][faint, 2]
    pair = [features(SCHEMA, condition, v, *location_scale(condition)) for v in (real, emulated)]
    bootstrap = RegionBootstrap(np.arange(ROWS) % 30)
    found = telling_features(SCHEMA, *pair, "boosted trees", bootstrap)
    first, entry = next(iter(found["groups"].items()))
    assert first == "meas_mag_z (all forms)"
    assert entry["interval"][0] > 0
    assert "meas_mag_z" in next(iter(found["features"]))
    cells = [cell["value"] for cell in found["bins"] if cell["condition"] == "true_mag_z"]
    assert len(cells) == 4
    assert min(cells[2:]) > 0.6 > max(cells[:2])


def test_every_feature_is_in_one_group():
    groups = feature_groups(SCHEMA)
    places = sorted(place for group in groups.values() for place in group)
    assert places == list(range(len(feature_names(SCHEMA))))
    assert feature_names(SCHEMA)[9:12] == [f"meas_mag_{b} - true_mag_{b}" for b in "riz"]
