import numpy as np
import pytest
from evaluation_world import splits

from balrog_keras.held_out import HeldOut
from data_prep.errors import BalrogError


def test_oracle_is_joined_by_row_id():
    test, oracle = splits(100)
    rows = HeldOut.of(test, oracle)
    assert len(rows) == 100
    assert len(rows.paired) == 90
    assert (np.diff(rows.paired) > 0).all()
    place = {row: k for k, row in enumerate(oracle["row_id"])}
    expected = [oracle["measured"][place[row]] for row in rows.row_id[rows.paired]]
    np.testing.assert_array_equal(rows.oracle, expected)


def test_without_oracle():
    rows = HeldOut.of(splits(10)[0])
    assert rows.oracle is None
    assert len(rows.paired) == 0


def test_oracle_of_other_rows_is_none():
    test, oracle = splits(10)
    oracle["row_id"] = oracle["row_id"] + 10_000
    assert HeldOut.of(test, oracle).oracle is None


def test_max_rows_is_a_fixed_random_choice():
    test, oracle = splits(1000)
    first, again, other = (HeldOut.of(test, oracle, 100, seed) for seed in (0, 0, 1))
    assert len(first) == 100
    np.testing.assert_array_equal(first.row_id, again.row_id)
    assert set(first.row_id) != set(other.row_id)
    assert 70 < len(first.paired) <= 100
    assert len(HeldOut.of(test, oracle, 5000)) == 1000


def test_subset_keeps_pairs_together():
    rows = HeldOut.of(*splits(50))
    keep = np.arange(50) % 3 != 0
    part = rows.subset(keep)
    assert len(part) == keep.sum()
    before = dict(zip(rows.row_id[rows.paired], rows.oracle.tolist(), strict=True))
    after = dict(zip(part.row_id[part.paired], part.oracle.tolist(), strict=True))
    assert after == {row: before[row] for row in after}
    assert set(after) == set(before) & set(part.row_id)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [("measured", np.nan, "finite"), ("condition", np.inf, "finite"), ("row_id", 1001, "once")],
)
def test_bad_rows_are_refused(key, value, text):
    test, _ = splits(10)
    test[key][4] = value
    with pytest.raises(BalrogError, match=text):
        HeldOut.of(test)


def test_no_rows_are_refused():
    test, _ = splits(10)
    with pytest.raises(BalrogError, match="found none"):
        HeldOut.of({key: values[:0] for key, values in test.items()})
