import numpy as np
import pytest
from toy import toy_schema
from toy_detection import toy_injections, toy_probability

from balrog_keras.detection_evaluation import DetectionRows, evaluate_detection
from data_prep.errors import BalrogError


@pytest.fixture(scope="module")
def rows():
    return DetectionRows.of(toy_injections(10_000, 1))


def test_rows_are_those_of_the_split():
    split = toy_injections(50, 1)
    rows = DetectionRows.of(split)
    np.testing.assert_array_equal(rows.detected, split["detected"])
    np.testing.assert_array_equal(rows.weight, 1)
    same = rows.parent[:, None] == rows.parent
    np.testing.assert_array_equal(same, split["parent_id"][:, None] == split["parent_id"])
    split["weight"] = np.linspace(0, 1, 50, dtype="float32")
    few = DetectionRows.of(split, max_rows=20, seed=3)
    assert len(few.detected) == 20
    np.testing.assert_array_equal(few.weight, DetectionRows.of(split, 20, 3).weight)
    assert set(few.weight) < set(split["weight"].astype("float64"))


def test_rows_of_one_kind_are_refused():
    split = toy_injections(50, 1)
    split["detected"][:] = 1
    with pytest.raises(BalrogError, match="50 detected of 50"):
        DetectionRows.of(split)


def test_the_true_probability_meets_every_bar(rows):
    found = evaluate_detection(
        toy_schema(), rows, toy_probability(rows.condition), simulations=200, replicates=20
    )
    assert [bar["passed"] for bar in found.bars] == [True, True, True]
    assert found.rows["test"] == 10_000
    assert found.rows["detected"] == rows.detected.sum()
    assert found.rows["regions"] == 40
    low, high = found.statistics["worst_completeness"]["interval"]
    assert low <= found.statistics["worst_completeness"]["value"] <= high


def test_a_limit_off_by_a_tenth_of_a_magnitude_meets_none(rows):
    wrong = toy_probability(rows.condition, shift=-0.1)
    found = evaluate_detection(toy_schema(), rows, wrong, simulations=200, replicates=20)
    assert [bar["passed"] for bar in found.bars] == [False, False, False]


def test_same_seed_same_numbers(rows):
    def statistics():
        p = toy_probability(rows.condition)
        return evaluate_detection(toy_schema(), rows, p, simulations=20, replicates=5).statistics

    assert statistics()["ece"] == statistics()["ece"]


@pytest.mark.parametrize("bad", [0.0, 1.0, np.nan])
def test_impossible_probabilities_are_refused(rows, bad):
    p = toy_probability(rows.condition)
    p[3] = bad
    with pytest.raises(BalrogError, match="between 0 and 1"):
        evaluate_detection(toy_schema(), rows, p)
