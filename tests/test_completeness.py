import numpy as np
import pytest
from scipy.stats import chi2, kstest
from toy import toy_conditions, toy_schema
from toy_detection import toy_injections, toy_probability

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.completeness import (
    completeness_statistics,
    joint_statistics,
    seeing_of,
    truth_bins,
)
from balrog_keras.detection_statistics import DetectionSample
from data_prep.schema import Column, Schema

ROWS = 12_000


def judged(rows, probability, simulations=200):
    bootstrap = RegionBootstrap(rows["region"], 20, 1)
    detected = rows["detected"].astype("float64")
    sample = DetectionSample(
        probability, detected, np.ones(len(detected)), bootstrap, simulations, 2
    )
    return sample, completeness_statistics(
        toy_schema(), rows["condition"], sample, rows["parent_id"]
    )


@pytest.fixture(scope="module")
def rows():
    return toy_injections(ROWS, 1)


def test_the_true_probability_meets_the_bars(rows):
    _, statistics = judged(rows, toy_probability(rows["condition"]))
    worst = statistics["worst_completeness"]
    assert worst["value"] <= worst["null"] + 0.005
    for name in ("counts", "counts_binomial"):
        assert statistics[name]["value"] <= statistics[name]["null"]
        assert statistics[name]["p_value"] > 0.01


def test_a_limit_off_by_a_tenth_of_a_magnitude_is_found(rows):
    _, statistics = judged(rows, toy_probability(rows["condition"], shift=0.1))
    worst = statistics["worst_completeness"]
    assert worst["value"] > worst["null"] + 0.005
    assert worst["where"].startswith("true_mag_")
    for name in ("counts", "counts_binomial"):
        assert statistics[name]["value"] > statistics[name]["null"]
        assert statistics[name]["p_value"] < 0.01


def test_tables_hold_the_fractions_of_their_bins(rows):
    probability = toy_probability(rows["condition"])
    _, statistics = judged(rows, probability)
    table = statistics["completeness"]["true_mag_i"]
    magnitude = rows["condition"][:, 1]
    assert table["rows"].sum() == ROWS
    for k in np.flatnonzero(table["judged"])[::3]:
        inside = (magnitude >= table["low"][k]) & (magnitude < table["high"][k])
        assert table["rows"][k] == inside.sum() >= 500
        assert table["detected"][k] == pytest.approx(rows["detected"][inside].mean())
        assert table["expected"][k] == pytest.approx(probability[inside].mean())
        p = probability[inside]
        expected = np.sqrt(np.sum(p * (1 - p))) / inside.sum()
        assert np.sqrt(table["variance_binomial"][k]) == pytest.approx(expected)
        assert table["null"][k] == pytest.approx(1.96 * expected, rel=0.25)
    worst = statistics["worst_completeness"]
    assert worst["bins"] + worst["bins_left_out"] == sum(
        len(curve["rows"]) for curve in statistics["completeness"].values()
    )
    assert worst["least_rows"] >= 500


def test_rows_of_one_parent_do_not_reject_the_true_probability():
    few = toy_injections(2_500, 4)
    copies = {key: np.repeat(values, 4, axis=0) for key, values in few.items()}
    copies["parent_id"] = np.repeat(np.arange(2_500), 4)
    _, statistics = judged(copies, toy_probability(copies["condition"]))
    assert statistics["counts_binomial"]["p_value"] < 0.01
    assert statistics["counts"]["p_value"] > 0.01


def test_p_values_of_counts_are_not_too_small():
    p_values = []
    for seed in range(30):
        rows = toy_injections(3_000, 100 + seed)
        _, statistics = judged(rows, toy_probability(rows["condition"]), simulations=20)
        p_values.append(statistics["counts"]["p_value"])
    # Bonferroni over correlated columns may make them too large, never too small.
    assert kstest(p_values, "uniform", alternative="greater").pvalue > 0.01
    assert chi2.isf(0.01 / 3, 10) > chi2.isf(0.01, 10)


def test_bins_in_which_all_or_none_are_detected_do_not_reject_the_true_probability():
    """Their squared misses are no variance: it would be a thousand times too small."""
    p_values = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        rows = toy_injections(40_000, 300 + seed)
        rows["condition"][:, :3] = rng.uniform(20, 27, (40_000, 1))
        probability = toy_probability(rows["condition"])
        rows["detected"] = (rng.random(40_000) < probability).astype("int64")
        _, statistics = judged(rows, probability, simulations=20)
        table = statistics["completeness"]["true_mag_i"]
        assert {0.0, 1.0} <= set(table["detected"][table["judged"]])
        p_values.append(statistics["counts"]["p_value"])
    assert min(p_values) > 0.01


def test_a_small_sample_is_judged_by_its_fullest_bin():
    rows = toy_injections(200, 3)
    _, statistics = judged(rows, toy_probability(rows["condition"]))
    assert statistics["worst_completeness"]["bins"] >= 3
    assert np.isfinite(statistics["counts"]["value"])


def test_bins_are_a_quarter_of_a_magnitude_wide():
    index, edges = truth_bins(Column("true_mag_r", "mag", "truth"), np.array([20.1, 20.24, 21.0]))
    np.testing.assert_array_equal(index, [0, 0, 4])
    np.testing.assert_allclose(edges, [20.0, 20.25, 20.5, 20.75, 21.0, 21.25])


def test_bins_of_other_columns_hold_equal_numbers():
    values = np.random.default_rng(1).lognormal(size=2_000)
    index, edges = truth_bins(Column("true_flux", "nJy", "truth"), values)
    np.testing.assert_allclose(np.bincount(index), 100, atol=1)
    assert len(edges) == 21


def test_seeing_goes_with_the_band():
    schema = toy_schema()
    for truth in schema.truth:
        assert seeing_of(schema, truth).name == f"fwhm_{truth.name[-1]}"
    columns = (
        Column("true_mag_g", "mag", "truth"),
        Column("sky", "count", "survey"),
        Column("meas", "mag", "measured"),
    )
    assert seeing_of(Schema("s", (), columns), columns[0]).name == "sky"
    bare = Schema("s", (), (columns[0], columns[2]))
    assert seeing_of(bare, columns[0]) is None


def test_joint_cells_find_an_error_in_bad_seeing_alone(rows):
    condition = rows["condition"]
    bad = condition[:, 4] > np.quantile(condition[:, 4], 0.75)
    wrong = np.where(bad, toy_probability(condition, 0.3), toy_probability(condition))
    sample, _ = judged(rows, wrong)
    tables = joint_statistics(toy_schema(), condition, sample)
    assert list(tables) == [f"true_mag_{b}, fwhm_{b}" for b in "riz"]
    table = tables["true_mag_i, fwhm_i"]
    assert table["rows"].shape == (6, 4)
    assert table["rows"].sum() == ROWS
    faint = table["ece"][3:] - table["null"][3:]
    assert (faint[:, 3] > 0).sum() >= 2
    assert (faint[:, :3] > 0.01).sum() == 0
    assert table["excess"][:, 3].min() < -4


def test_a_schema_without_survey_properties_has_no_joint_table(rows):
    columns = (Column("true_mag_r", "mag", "truth"), Column("meas", "mag", "measured"))
    sample, _ = judged(rows, toy_probability(rows["condition"]))
    assert joint_statistics(Schema("s", (), columns), toy_conditions(ROWS, 1), sample) == {}
