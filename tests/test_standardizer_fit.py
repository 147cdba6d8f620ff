import logging

import numpy as np
import pytest
from toy import toy_rows, toy_schema

from balrog_keras import standardizer_fit
from balrog_keras.config import Settings
from balrog_keras.standardizer import Standardizer, student_t_loss
from balrog_keras.standardizer_fit import fit_standardizer

SETTINGS = Settings(location_scale_steps=600, batch_size=256)


def held_out_loss(rows, settings=SETTINGS):
    """Student-t loss on fresh rows, after a fit to so many."""
    standardizer = Standardizer.for_schema(toy_schema(), width=32, depth=2)
    fit_standardizer(standardizer, toy_rows(rows, 1), toy_rows(1_000, 2), settings)
    fresh = toy_rows(20_000, 3)
    standard = standardizer.standardize_condition(fresh["condition"])
    found = standardizer.location_scale_network((standard,))
    residual = standardizer.residual(fresh["condition"], fresh["measured"])
    return float(np.mean(student_t_loss(residual, found)))


def test_decay_keeps_few_rows_from_being_learned_by_heart(monkeypatch):
    with_decay = held_out_loss(500)
    monkeypatch.setattr(standardizer_fit, "_MOST_DECAY", 0.0)
    assert with_decay < held_out_loss(500) - 0.1


def test_more_rows_are_better():
    assert held_out_loss(20_000) < held_out_loss(500)


@pytest.mark.parametrize(("rows", "decay"), [(500, 3.0), (40_000, 0.25)])
def test_decay_follows_the_rows(rows, decay, monkeypatch):
    seen, make = [], standardizer_fit.averaging_adam
    monkeypatch.setattr(
        standardizer_fit, "averaging_adam",
        lambda rate, steps, weight_decay: seen.append(weight_decay) or make(rate, steps, 0.0),
    )  # fmt: skip
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    settings = Settings(location_scale_steps=2, batch_size=64, xla=False)
    fit_standardizer(standardizer, toy_rows(rows, 1), toy_rows(100, 2), settings)
    assert seen == [decay]


def test_same_seed_same_fit_and_no_optimizer_stays():
    settings = Settings(location_scale_steps=20, batch_size=64, xla=False)
    fits = []
    for _ in range(2):
        standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
        fit_standardizer(standardizer, toy_rows(500, 1), toy_rows(100, 2), settings)
        assert not hasattr(standardizer.location_scale_network, "optimizer")
        fits.append(standardizer.get_weights())
    for a, b in zip(*fits, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_log_says_how_well_it_went(caplog):
    caplog.set_level(logging.INFO, "balrog_keras")
    held_out_loss(500, Settings(location_scale_steps=5, batch_size=64, xla=False))
    assert "location scale fitted in 5 steps" in caplog.text
    assert "on validation rows" in caplog.text
