import numpy as np
import pytest
from evaluation_world import SCHEMA, KnownEmulator, held_out

from balrog_keras.member_spread import MAIN_STATISTICS, MemberView, member_spread
from balrog_keras.report_tables import member_table


class Ensemble:
    """Two members: one exact, one whose draws are too wide."""

    schema, label, members = SCHEMA, "known", 2

    def __init__(self):
        self.each = [KnownEmulator(), KnownEmulator(stretch=1.6)]

    def draw(self, condition, row_id, seed, member=0):
        return self.each[member].draw(condition, row_id, seed)

    def location_scale(self, condition, member=0):
        return self.each[member].location_scale(condition)


def test_a_view_is_one_member():
    rows = held_out(100)
    arguments = rows.condition, rows.row_id, 5
    expected = KnownEmulator(stretch=1.6).draw(*arguments)
    np.testing.assert_array_equal(MemberView(Ensemble(), 1).draw(*arguments), expected)


@pytest.fixture(scope="module")
def spread():
    return member_spread(Ensemble(), held_out(1_500), seed=1)


def test_the_member_that_is_off_stands_out(spread):
    exact, wide = spread
    assert set(exact) == set(wide) == set(MAIN_STATISTICS)
    for name in ("C2ST AUC", "worst PIT KS", "worst spread ratio", "energy score"):
        assert wide[name] > exact[name]


def test_table_has_members_mean_and_spread(spread):
    (html,) = member_table(spread)
    for text in (*MAIN_STATISTICS, "mean", "spread (sd)", f"{spread[1]['C2ST AUC']:.4f}"):
        assert text in html
