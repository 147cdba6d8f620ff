import sys

import numpy as np
import pytest
from mixed_world import mixed_conditions, mixed_schema
from toy import toy_conditions, toy_schema

from balrog_keras.domain_fit import FLAGGED_FRACTION, fit_domain
from data_prep.errors import BalrogError, MissingExtraError

HELD_OUT = toy_conditions(10_000, 2)
NAMES = toy_schema().condition_names


@pytest.fixture(scope="module")
def model():
    return fit_domain(toy_conditions(8_000, 1), HELD_OUT, toy_schema(), seed=4)


def _outside(model, condition):
    return 1 - model(condition)[1].numpy().mean()


def test_one_in_a_hundred_held_out_rows_is_outside(model):
    assert _outside(model, HELD_OUT) == pytest.approx(FLAGGED_FRACTION, abs=1e-4)


def test_rows_of_the_same_distribution_are_outside_as_often(model):
    """To 5 binomial errors of the 10,000 held-out and the 20,000 new rows."""
    error = np.sqrt(0.01 * 0.99 * (1 / 10_000 + 1 / 20_000))
    assert _outside(model, toy_conditions(20_000, 3)) == pytest.approx(0.01, abs=5 * error)


@pytest.mark.parametrize("sigma", [5, -5])
@pytest.mark.parametrize("column", range(9), ids=NAMES)
def test_each_column_pushed_out(model, column, sigma):
    condition = toy_conditions(2_000, 5)
    condition[:, column] += sigma * condition[:, column].std()
    assert _outside(model, condition) > 0.95


def test_common_columns_in_a_rare_combination(model):
    """Colours that no galaxy has: r is that of another galaxy, two magnitudes off."""
    condition, other = toy_conditions(20_000, 6), toy_conditions(20_000, 7)
    differ = np.abs(condition[:, 0] - other[:, 0]) > 2
    condition[:, 0] = other[:, 0]
    assert differ.sum() > 1_000
    assert _outside(model, condition[differ]) > 0.9
    low, high = np.quantile(HELD_OUT, [0.01, 0.99], axis=0)
    within = differ & ((condition > low) & (condition < high)).all(axis=1)
    assert within.sum() > 1_000
    assert _outside(model, condition[within]) > 0.9


def test_transformed_columns():
    held_out = mixed_conditions(4_000, 2)
    model = fit_domain(mixed_conditions(4_000, 1), held_out, mixed_schema(), seed=0)
    assert _outside(model, held_out) == pytest.approx(0.01, abs=3e-4)
    large = held_out.copy()
    large[:, 2] *= 30
    assert _outside(model, large) > 0.95


def test_same_seed_same_model():
    one, again, other = (
        fit_domain(toy_conditions(600, 1), HELD_OUT, toy_schema(), seed)(HELD_OUT)[0].numpy()
        for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(again, one)
    assert (other != one).any()


def test_columns_that_do_not_vary():
    train, held_out = toy_conditions(600, 1), toy_conditions(600, 2)
    train[:, 3] = held_out[:, 3] = 0.9
    model = fit_domain(train, held_out, toy_schema(), seed=0)
    assert _outside(model, held_out) < 0.02
    held_out[:, 3] = 1.4
    assert _outside(model, held_out) == 1


def test_no_rows_are_named():
    with pytest.raises(BalrogError, match="found 8 and 0"):
        fit_domain(toy_conditions(8, 1), HELD_OUT[:0], toy_schema(), seed=0)


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"balrog-keras\[cpu\]"):
        fit_domain(toy_conditions(9, 1), HELD_OUT, toy_schema(), seed=0)
