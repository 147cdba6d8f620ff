import numpy as np
import pytest
from toy import toy_conditions, toy_measured, toy_rows, toy_schema

from balrog_keras.networks import Generator
from balrog_keras.standardizer import Standardizer
from balrog_keras.validation import Validator


class _Exact:
    """Draws the toy's own distribution, standardized; `stretch` spoils it."""

    def __init__(self, standardizer, condition, stretch=1.0):
        self.standardizer, self.condition, self.stretch = standardizer, condition, stretch
        self.calls = 0

    def __call__(self, inputs):
        self.calls += 1
        centre = self.condition[:, :3] - 0.05
        measured = toy_measured(self.condition, 100 + self.calls)
        stretched = (centre + self.stretch * (measured - centre)).astype("float32")
        return self.standardizer.standardize(self.condition, stretched)


@pytest.fixture
def parts():
    rows = toy_rows(4_000, 2)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    validator = Validator(
        standardizer, toy_schema(), rows["condition"], rows["measured"], 4, draws=8, seed=0
    )
    return standardizer, validator, rows["condition"]


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
    generator = Generator(3, width=8, depth=1)
    assert validator.scores(generator) == validator.scores(generator)


def test_one_realization_is_physical(parts):
    _, validator, _ = parts
    drawn = validator.one_realization(Generator(3, width=8, depth=1))
    assert drawn.shape == (4_000, 3)
    assert np.abs(np.median(drawn - toy_conditions(4_000, 2)[:, :3])) < 1
