import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kstest
from toy import toy_conditions, toy_measured, toy_rows, toy_schema

from balrog_keras.generator import Generator
from balrog_keras.standardizer import Standardizer
from balrog_keras.validation import Validator, selection_score


class _Exact:
    """Draws the toy's own distribution, standardized; `stretch` spoils it."""

    def __init__(self, standardizer, condition, stretch=1.0):
        self.standardizer, self.condition, self.stretch = standardizer, condition, stretch
        self.calls = 0

    def __call__(self, inputs):
        measured = tf.ensure_shape(tf.numpy_function(self._next, [], tf.float32), (None, 3))
        return self.standardizer.standardize(tf.constant(self.condition), measured)

    def _next(self):
        self.calls += 1
        centre = self.condition[:, :3] - 0.05
        measured = toy_measured(self.condition, 100 + self.calls)
        return (centre + self.stretch * (measured - centre)).astype("float32")


def _generator():
    generator = Generator(3, width=8, depth=1)
    generator.build(((None, 9), (None, 3)))
    return generator


@pytest.fixture
def parts():
    rows = toy_rows(4_000, 2)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    validator = Validator(
        standardizer, toy_schema(), rows["condition"], rows["measured"], draws=8, seed=0
    )
    return standardizer, validator, rows["condition"]


def test_each_generator_draws_with_its_own_weights_and_without_warnings(parts, caplog):
    """TensorFlow warns of a function that is traced again and again."""
    _, validator, condition = parts
    scores = set()
    for seed in range(4):
        generator = _generator()
        generator.set_weights([(1 + 0.1 * seed) * weight for weight in generator.get_weights()])
        scores.add(validator.energy_score(generator))
        drawn = validator.validate(generator).realization
    assert len(scores) == 4
    assert "retracing" not in caplog.text
    latent = validator._latents[0]
    standardized = np.asarray(generator((validator._context, latent)))
    np.testing.assert_allclose(drawn, validator._physical(standardized), atol=1e-3)


def test_exact_draws_score_at_the_null(parts):
    standardizer, validator, condition = parts
    scores = validator.scores(_Exact(standardizer, condition))
    for band in "riz":
        assert abs(scores[f"bias/meas_mag_{band}"]) < 0.01
        assert scores[f"spread_ratio/meas_mag_{band}"] == pytest.approx(1, abs=0.06)


def test_stretched_draws_score_worse(parts):
    standardizer, validator, condition = parts
    exact = validator.scores(_Exact(standardizer, condition))
    wide = validator.scores(_Exact(standardizer, condition, stretch=1.4))
    assert wide["energy_score"] > exact["energy_score"] + 0.005
    assert wide["spread_ratio/meas_mag_i"] == pytest.approx(1.4, abs=0.1)


def test_noise_is_the_same_every_time(parts):
    _, validator, _ = parts
    generator = _generator()
    assert validator.scores(generator) == validator.scores(generator)


def test_exact_draws_are_calibrated(parts):
    """With 4,000 rows KS is below 0.026 and, in bins of 800, below 0.075 (1 in 10,000)."""
    standardizer, validator, condition = parts
    scores = validator.scores(_Exact(standardizer, condition))
    for band in "riz":
        assert scores[f"pit_ks/meas_mag_{band}"] < 0.035
    assert scores["pit_ks/mean_bin"] < scores["pit_ks/worst_bin"] < 0.09
    for name in toy_schema().condition_names:
        assert scores[f"worst_bin/spread_ratio/{name}"] == pytest.approx(1, abs=0.2)
        assert abs(scores[f"worst_bin/bias/{name}"]) < 0.2


def test_energy_score_does_not_depend_on_the_standardizer(parts):
    """A fit with wider scales must not make the same draws score lower."""
    standardizer, validator, condition = parts
    rows = toy_rows(4_000, 2)
    wide = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    wide.adapt(rows["condition"], rows["measured"])
    kernel, bias = wide.location_scale_network.head.weights
    bias.assign(bias + np.repeat([0.0, np.log(2.0)], 3).astype("float32"))
    other = Validator(wide, toy_schema(), rows["condition"], rows["measured"], draws=8, seed=0)
    assert (other._scale / validator._scale).min() > 1.5
    first, second = (
        one.energy_score(_Exact(scale, condition), draws=8)
        for one, scale in ((validator, standardizer), (other, wide))
    )
    assert second == pytest.approx(first, rel=1e-4)


@pytest.mark.parametrize("stretch", [0.9, 1.1])
def test_selection_sees_a_wrong_width_whatever_the_energy_score(parts, stretch):
    standardizer, validator, condition = parts
    exact = validator.scores(_Exact(standardizer, condition))
    wrong = validator.scores(_Exact(standardizer, condition, stretch))
    assert wrong["selection_score"] > exact["selection_score"] + 0.003
    assert wrong["pit_ks/mean_bin"] > exact["pit_ks/mean_bin"] + 0.003


def test_selection_score_is_energy_score_and_calibration():
    assert selection_score({"energy_score": 1.25, "pit_ks/mean_bin": 0.5}) == 1.75


def test_pit_is_scored_as_scipy_does(parts):
    standardizer, validator, condition = parts
    result = validator.validate(_Exact(standardizer, condition, stretch=1.3))
    for index, name in enumerate(toy_schema().measured_names):
        expected = kstest(result.pit[:, index], "uniform").statistic
        assert result.scores[f"pit_ks/{name}"] == pytest.approx(expected)


def test_bins_are_quintiles_of_each_condition(parts):
    """Bias and spread of the lowest fifth of the seeing, from rows sorted by it."""
    standardizer, validator, condition = parts
    exact = _Exact(standardizer, condition, stretch=1.5)
    draws = [toy_measured(condition, 100 + k)[:, 0] for k in range(1, 5)]
    result = validator.validate(exact)
    lowest = np.argsort(condition[:, 3], kind="stable")[:800]
    centre = condition[lowest, 0] - 0.05
    real = toy_measured(condition, 2)[lowest, 0] - condition[lowest, 0]
    fake = np.stack([1.5 * (draw[lowest] - centre) - 0.05 for draw in draws]).ravel()
    widths = [np.subtract(*np.quantile(values, [0.84, 0.16])) for values in (fake, real)]
    assert result.spread_ratio[3, 0, 0] == pytest.approx(widths[0] / widths[1], rel=0.01)
    bias = (np.median(fake) - np.median(real)) / (0.5 * widths[1])
    assert result.bias[3, 0, 0] == pytest.approx(bias, abs=0.02)
    furthest = max(result.spread_ratio[3].ravel(), key=lambda ratio: abs(np.log(ratio)))
    assert result.scores["worst_bin/spread_ratio/fwhm_r"] == furthest


def test_collapsed_generator_is_scored_and_worst(parts):
    """No spread at all: a ratio of 0, and no warning or NaN."""
    _, validator, _ = parts
    scores = validator.scores(lambda inputs: 0 * inputs[0][:, :3])
    assert scores["worst_bin/spread_ratio/fwhm_r"] < 0.5
    assert scores["pit_ks/mean_bin"] > 0.2
    assert np.isfinite(list(scores.values())).all()


def test_energy_score_of_few_draws_is_that_of_the_first(parts):
    _, validator, _ = parts
    generator = _generator()
    all_draws = validator.scores(generator)["energy_score"]
    assert validator.energy_score(generator, draws=8) == pytest.approx(all_draws)
    assert validator.energy_score(generator) == pytest.approx(all_draws, rel=0.05)


def test_realization_is_physical(parts):
    _, validator, _ = parts
    drawn = validator.validate(_generator()).realization
    assert drawn.shape == (4_000, 3)
    assert np.abs(np.median(drawn - toy_conditions(4_000, 2)[:, :3])) < 1


def test_bin_without_spread_is_unknown():
    """Measured equals truth in the lowest fifth of the seeing."""
    rows = toy_rows(500, 3)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    condition, measured = rows["condition"], rows["measured"].copy()
    lowest = np.argsort(condition[:, 3])[:100]
    measured[lowest, 0] = condition[lowest, 0]
    validator = Validator(standardizer, toy_schema(), condition, measured, draws=2, seed=0)
    result = validator.validate(_generator())
    assert np.isnan(result.spread_ratio[3, 0, 0])
    assert np.isnan(result.spread_ratio).sum() == 1
    assert np.isfinite(list(result.scores.values())).all()
