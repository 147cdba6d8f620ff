import keras
import numpy as np
import pytest
from scipy import stats

from balrog_keras.config import Settings
from balrog_keras.differences import Differences
from balrog_keras.standardizer import Standardizer
from balrog_keras.standardizer_fit import fit_standardizer

# Of three errors the last two are linked; the columns between have nothing to do with them.
LINKS = [-1, -1, 0, -1, 2]
TRANSFORMS = ["log10", "identity", "log10", "identity", "log10"]
SCATTER, NARROW = 0.1, 1e-3


def errors(rows, seed):
    """Conditions (N, 4), measured (N, 5): errors that differ by a function of the condition.

    All three scatter together by 0.1 dex, and by 0.001 dex about each other.
    """
    rng = np.random.default_rng([seed, 0xD1FF])
    condition = rng.normal(size=(rows, 4))
    common = 1.0 + 0.3 * np.tanh(condition[:, 0]) + SCATTER * rng.normal(size=rows)
    steps = 0.2 + 0.05 * condition[:, 1:3] + NARROW * rng.normal(size=(rows, 2))
    first, second, third = common, common + steps[:, 0], common + steps.sum(axis=1)
    others = rng.normal(size=(2, rows)) + condition[:, 3]
    columns = [10**first, others[0], 10**second, others[1], 10**third]
    return {
        "condition": condition.astype(np.float32),
        "measured": np.stack(columns, axis=1).astype(np.float32),
    }


def standardizer_of(links, width=32):
    return Standardizer(4, [-1] * 5, measured_transforms=TRANSFORMS, width=width, links=links)


@pytest.fixture(scope="module")
def fitted():
    standardizer = standardizer_of(LINKS)
    settings = Settings(location_scale_steps=500, batch_size=512)
    fit_standardizer(standardizer, errors(20_000, 0), errors(2_000, 1), settings)
    return standardizer


def test_linked_columns_are_last(fitted):
    rows = errors(100, 9)
    standardized = np.asarray(fitted.standardize(rows["condition"], rows["measured"]))
    location, scale = (np.asarray(each) for each in fitted.location_scale(rows["condition"]))
    values = rows["measured"].copy()
    values[:, 0] = np.log10(values[:, 0])
    expected = ((values - location) / scale)[:, [0, 1, 3]]
    np.testing.assert_allclose(standardized[:, :3], expected, rtol=1e-4, atol=1e-5)
    ordered = np.asarray(fitted.differences.ordered(standardized))
    np.testing.assert_array_equal(ordered, standardized[:, [0, 1, 3, 2, 4]])


def test_rows_come_back(fitted):
    rows = errors(1_000, 2)
    standardized = fitted.standardize(rows["condition"], rows["measured"])
    back = fitted.destandardize(rows["condition"], standardized)
    np.testing.assert_allclose(back, rows["measured"], rtol=2e-5, atol=1e-5)


def test_the_narrow_difference_is_what_is_learned(fitted):
    """Its own scatter to a few per cent, and nothing of the scatter in common."""
    rows = errors(5_000, 3)
    standardized = np.asarray(fitted.standardize(rows["condition"], rows["measured"]))
    for column in (3, 4):  # linked ones are last
        deviation = standardized[:, column]
        spread = np.subtract(*np.percentile(deviation, [84, 16])) / 2
        assert 0.8 < spread < 1.3
        assert abs(stats.spearmanr(standardized[:, 0], deviation).statistic) < 0.1
    scale = np.exp(np.asarray(fitted.differences.network((rows["condition"],)))[:, 2:])
    scale = np.median(scale * np.asarray(fitted.differences.spread), axis=0)
    np.testing.assert_allclose(scale, NARROW, rtol=0.25)


def test_without_links_the_difference_drowns():
    """What the links are for: the same fit, and the difference is several times too wide."""
    standardizer = standardizer_of(None)
    settings = Settings(location_scale_steps=500, batch_size=512)
    fit_standardizer(standardizer, errors(20_000, 0), errors(2_000, 1), settings)
    rows = errors(5_000, 3)
    location, _ = (np.asarray(each) for each in standardizer.location_scale(rows["condition"]))
    of_location = location[:, 2] - location[:, 0] - 0.2 - 0.05 * rows["condition"][:, 1]
    assert np.std(of_location) > 2 * NARROW


def test_location_and_scale_stay_those_of_the_columns(fitted):
    """Links change what is learned, not what a column's conditional scale means."""
    rows = errors(5_000, 4)
    location, scale = (np.asarray(each) for each in fitted.location_scale(rows["condition"]))
    z = (np.log10(rows["measured"][:, 4]) - location[:, 4]) / scale[:, 4]
    assert abs(np.median(z)) < 0.1
    np.testing.assert_allclose(np.median(scale[:, 4]), SCATTER, rtol=0.2)
    plain = standardizer_of(None)
    plain.location_scale_network.set_weights(fitted.location_scale_network.get_weights())
    for name in ("condition_mean", "condition_std", "residual_median", "residual_spread"):
        getattr(plain, name).assign(getattr(fitted, name))
    for a, b in zip(plain.location_scale(rows["condition"]), (location, scale), strict=True):
        np.testing.assert_array_equal(a, b)


def test_deviations_are_those_of_the_restored_columns(fitted):
    """Several draws at once, each column about its own location."""
    rows = errors(200, 5)
    condition = rows["condition"]
    draws = np.random.default_rng(0).normal(size=(3, 200, 5)).astype(np.float32)
    found = np.asarray(fitted.deviations(condition, draws))
    location, scale = (np.asarray(each) for each in fitted.location_scale(condition))
    for draw, deviation in zip(draws, found, strict=True):
        values = np.array(fitted.destandardize(condition, draw))
        values[:, [0, 2, 4]] = np.log10(values[:, [0, 2, 4]])
        np.testing.assert_allclose(deviation, (values - location) / scale, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[..., [0, 1, 3]], draws[..., :3], atol=3e-6)


def test_deviations_without_links_are_what_was_given():
    draws = np.zeros((2, 3, 5), np.float32)
    assert standardizer_of(None).deviations(np.zeros((3, 4), np.float32), draws) is draws


def test_a_difference_that_never_varies_stays_finite():
    rows = errors(500, 6)
    rows["measured"][:, 2] = rows["measured"][:, 0]
    standardizer = standardizer_of(LINKS, width=8)
    standardizer.adapt(rows["condition"], rows["measured"])
    standardized = standardizer.standardize(rows["condition"], rows["measured"])
    assert np.isfinite(standardized).all()
    back = standardizer.destandardize(rows["condition"], standardized)
    np.testing.assert_allclose(back, rows["measured"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("links", [None, LINKS])
def test_context_is_what_turns_standardized_rows_into_residuals(fitted, links):
    """In global spreads, where residual() gives the columns' and the differences'."""
    rows = errors(300, 8)
    standardizer = fitted if links else standardizer_of(None)
    assert standardizer.context_size == 4
    standard = standardizer.standardize_condition(rows["condition"])
    np.testing.assert_array_equal(standardizer.context(rows["condition"]), standard)
    giving = Standardizer.from_config({**standardizer.get_config(), "gives_scales": True})
    giving.set_weights(standardizer.get_weights())
    context = np.asarray(giving.context(rows["condition"]))
    assert context.shape == (300, giving.context_size) == (300, 14)
    np.testing.assert_array_equal(context[:, :4], standard)
    standardized = np.asarray(giving.standardize(rows["condition"], rows["measured"]))
    found = context[:, 4:9] + np.exp(context[:, 9:]) * standardized
    expected = np.asarray(giving.residual(rows["condition"], rows["measured"]))
    if links:
        values = giving.transformed_measured(rows["measured"])
        differences = np.asarray(giving.differences.residual(values))
        expected = np.concatenate([expected[:, [0, 1, 3]], differences], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert Standardizer.from_config(giving.get_config()).gives_scales


def test_far_draws_stay_near_the_training_rows(fitted):
    """An error of 10**37 in a million rows would be a user's mean; the range has a margin."""
    train, condition = errors(20_000, 0)["measured"], errors(10, 7)["condition"]
    seen = np.log10(train[:, 2] / train[:, 0])
    for far in (-1e6, 1e6):
        standardized = np.zeros((10, 5), np.float32)
        standardized[:, 3:] = far
        drawn = np.asarray(fitted.destandardize(condition, standardized))
        difference = np.log10(drawn[:, 2] / drawn[:, 0])
        edge = 2 * seen.max() - seen.min() if far > 0 else 2 * seen.min() - seen.max()
        np.testing.assert_allclose(difference, edge, rtol=1e-4)


def test_config_and_weights_round_trip(fitted, tmp_path):
    fitted.save_weights(tmp_path / "s.weights.h5")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(fitted))
    copy.load_weights(tmp_path / "s.weights.h5")
    rows = errors(10, 8)
    np.testing.assert_array_equal(
        fitted.standardize(rows["condition"], rows["measured"]),
        copy.standardize(rows["condition"], rows["measured"]),
    )


def test_without_links_the_config_is_that_of_earlier_versions():
    """Fine-tuning compares it with that of the emulator, and rebuilds from it."""
    config = standardizer_of(None, width=8).get_config()
    assert "links" not in config
    assert Standardizer.from_config(config).differences is None
    assert standardizer_of(LINKS, width=8).get_config()["links"] == LINKS


def test_differences_round_trip_alone():
    differences = Differences(LINKS, 4, width=8, depth=1)
    copy = Differences.from_config(differences.get_config())
    assert copy.linked == [2, 4]
    copy.set_weights(differences.get_weights())
    rng = np.random.default_rng(9)
    condition, values, standardized = (
        rng.normal(size=(20, size)).astype(np.float32) for size in (4, 5, 5)
    )
    np.testing.assert_array_equal(
        differences.restore(condition, values, standardized),
        copy.restore(condition, values, standardized),
    )
