import numpy as np
import pytest
from evaluation_world import KnownEmulator, held_out

from balrog_keras.bars import BARS
from balrog_keras.evaluation import evaluate
from data_prep.errors import BalrogError

pytestmark = pytest.mark.usefixtures("quick_classifiers")
FAST = {"draws": 40, "replicates": 40, "least_draws": 1}


@pytest.fixture(scope="module")
def exact(quick_classifiers):
    return evaluate(KnownEmulator(), held_out(1500), **FAST)


def leaves(entry):
    if isinstance(entry, dict) and "value" in entry:
        yield entry
    elif isinstance(entry, dict):
        for key, value in entry.items():
            if key != "binned":
                yield from leaves(value)


def test_exact_emulator_meets_every_bar(exact):
    assert exact.passed
    assert [bar["name"] for bar in exact.bars] == [bar.name for bar in BARS]
    assert exact.null_kind == "oracle"
    assert exact.rows == {
        "test": 1500, "used": 1500, "dropped_non_finite": 0, "paired_with_oracle": 1350,
        "regions": 30, "draws_per_row": 40,
    }  # fmt: skip


def test_every_interval_is_in_order(exact):
    entries = list(leaves(exact.statistics))
    assert len(entries) > 40
    for entry in entries:
        if entry["interval"] is not None:
            low, high = entry["interval"]
            assert low <= high


def test_same_seed_same_statistics(exact):
    again = evaluate(KnownEmulator(), held_out(1500), **FAST)
    assert str(again.statistics) == str(exact.statistics)


def test_distorted_emulator_fails():
    found = evaluate(KnownEmulator(stretch=2.0), held_out(1500), **FAST)
    verdicts = {bar["name"]: bar["passed"] for bar in found.bars}
    assert verdicts == {"c2st_auc": False, "worst_pit_ks": False, "non_finite_draws": True}
    assert not found.passed


def test_broken_rows_fail_a_bar_and_are_counted():
    rows = held_out(2000)
    found = evaluate(KnownEmulator(broken=rows.condition[:5, 0]), rows, **FAST)
    verdicts = {bar["name"]: bar["passed"] for bar in found.bars}
    assert not verdicts["non_finite_draws"]
    assert found.rows["dropped_non_finite"] == 5
    assert found.statistics["non_finite_draws"]["value"] == 5 * 40
    assert np.isfinite(found.emulated).all()


def test_without_oracle_a_second_realization_is_the_null():
    found = evaluate(KnownEmulator(), held_out(2000, with_oracle=False), **FAST)
    assert found.null_kind == "second realization"
    assert found.passed
    assert found.statistics["wasserstein"]["meas_mag_r"]["null"] < 0.2
    assert "all_rows" not in found.statistics["c2st"]


def test_all_draws_broken_is_an_error():
    rows = held_out(100)
    with pytest.raises(BalrogError, match="all 100 rows"):
        evaluate(KnownEmulator(broken=rows.condition[:, 0]), rows, **FAST)


def test_too_few_draws_are_refused():
    with pytest.raises(BalrogError, match="--draws"):
        evaluate(KnownEmulator(), held_out(100), draws=5)
