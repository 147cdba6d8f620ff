import numpy as np
import pytest
from fake_emulator import FakeEmulator
from toy import toy_conditions, toy_schema

from balrog_keras.draw_plan import DrawPlan
from data_prep.errors import BalrogError

MEASURED = list(toy_schema().measured_names)
CONDITION, IDS = toy_conditions(40, 2), np.arange(40) * 3


def test_long_layout_numbers_the_draws_of_a_row_one_after_the_other():
    emulator = FakeEmulator(members=2)
    drawn = DrawPlan(seed=4, realizations=3, member=None).draw(emulator, CONDITION, IDS)
    assert list(drawn.columns) == ["member", "realization", *MEASURED]
    np.testing.assert_array_equal(drawn.source, np.repeat(np.arange(40), 6))
    for member in range(2):
        for draw in range(3):
            rows = (drawn.columns["member"] == member) & (drawn.columns["realization"] == draw)
            expected = emulator.drawn_columns(CONDITION, IDS, 4, member, False, draw)
            for name in MEASURED:
                np.testing.assert_array_equal(drawn.columns[name][rows], expected[name])


def test_wide_layout_has_the_same_values_in_columns():
    emulator = FakeEmulator(members=2)
    plan = DrawPlan(seed=4, realizations=2, member=None, layout="wide", detected=True)
    drawn = plan.draw(emulator, CONDITION, IDS)
    np.testing.assert_array_equal(drawn.source, np.arange(40))
    expected = emulator.drawn_columns(CONDITION, IDS, 4, 1, True, 1)
    for name in (*MEASURED, "detected"):
        np.testing.assert_array_equal(drawn.columns[f"{name}_member1_1"], expected[name])
    assert [name for name in drawn.columns if name.startswith("p_detect")] == ["p_detect"]
    assert set(plan.column_units(emulator)) < set(drawn.columns)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"realizations": 2}, "meas_mag_r_1"),
        ({"member": None}, "meas_mag_r_member1"),
        ({}, "meas_mag_r"),
    ],
)
def test_only_what_varies_is_in_the_names(settings, name):
    plan = DrawPlan(layout="wide", **settings)
    assert name in plan.draw(FakeEmulator(members=2), CONDITION, IDS).columns
    assert plan.column_units(FakeEmulator(members=2))[name] == "mag"


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_detected_only_leaves_out_and_counts_the_others(layout):
    emulator = FakeEmulator()
    condition = CONDITION.copy()
    condition[7] = np.nan
    every = DrawPlan(realizations=2, layout=layout, detected=True).draw(emulator, condition, IDS)
    some = DrawPlan(realizations=2, layout=layout, detected_only=True).draw(
        emulator, condition, IDS
    )
    if layout == "long":
        keep = every.columns["detected"]
    else:
        keep = every.columns["detected_0"] | every.columns["detected_1"]
    assert 0 < some.undetected == np.count_nonzero(~keep) < len(keep)
    assert 7 not in some.source
    np.testing.assert_array_equal(some.source, every.source[keep])
    for name, values in every.columns.items():
        np.testing.assert_array_equal(some.columns[name], values[keep])


def test_domain_is_flagged_and_unusable_rows_are_not_counted_as_outside():
    condition = CONDITION.copy()
    condition[:, 0] = np.where(np.arange(40) < 30, 20, 25)
    condition[3] = np.nan
    drawn = DrawPlan(realizations=2, in_domain=True).draw(FakeEmulator(), condition, IDS)
    inside = (np.arange(40) < 30) & (np.arange(40) != 3)
    np.testing.assert_array_equal(drawn.columns["in_domain"], np.repeat(inside, 2))
    assert drawn.outside == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"layout": "tall"}, "long or wide, found .tall."),
     ({"realizations": 0}, "at least 1, found 0"),
     ({"realizations": 2.5}, "realizations must be .*found 2.5"),
     ({"realizations": "2"}, "realizations must be .*found '2'"),
     ({"seed": 2**63}, "64-bit"),
     ({"seed": 1.7}, "seed must be .*found 1.7"),
     ({"seed": "1"}, "seed must be .*found '1'"),
     ({"seed": None}, "seed must be .*found None")],
)  # fmt: skip
def test_impossible_plans(settings, message):
    with pytest.raises(BalrogError, match=message):
        DrawPlan(**settings)


def test_no_rows():
    drawn = DrawPlan(realizations=2, detected_only=True).draw(
        FakeEmulator(), np.empty((0, 9), "float32"), np.empty(0, "int64")
    )
    assert all(len(values) == 0 for values in drawn.columns.values())
