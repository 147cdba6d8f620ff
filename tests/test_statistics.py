import io

import numpy as np
import pytest

from data_prep.splits import keyed_hash
from data_prep.statistics import QUANTILE_LEVELS, ColumnStatistics


def make_values(rows=5000):
    rng = np.random.default_rng(0)
    columns = [rng.normal(22, 1, rows), rng.exponential(5, rows), 1e4 + rng.random(rows)]
    return np.stack(columns, axis=1).astype(np.float32), keyed_hash(range(rows), 0, "shuffle")


def gathered(values, keys, pieces, sample_rows=10**6):
    """Statistics of pieces, merged."""
    whole = ColumnStatistics(values.shape[1], sample_rows)
    for part in np.array_split(np.arange(len(values)), pieces):
        one = ColumnStatistics(values.shape[1], sample_rows)
        one.update(values[part], keys[part])
        whole.merge(one)
    return whole


@pytest.mark.parametrize("pieces", [1, 7, 5003])
def test_equals_numpy_on_the_whole(pieces):
    values, keys = make_values()
    exact = values.astype(np.float64)
    for index, found in enumerate(gathered(values, keys, pieces).describe()):
        column = exact[:, index]
        assert (found["count"], found["min"], found["max"]) == (5000, column.min(), column.max())
        np.testing.assert_allclose(found["mean"], column.mean(), rtol=1e-12)
        np.testing.assert_allclose(found["std"], column.std(), rtol=1e-9)
        assert list(found["quantiles"]) == [str(level) for level in QUANTILE_LEVELS]
        expected = np.quantile(column, QUANTILE_LEVELS)
        np.testing.assert_array_equal(list(found["quantiles"].values()), expected)


def test_the_sample_is_the_same_whatever_the_order_and_the_pieces():
    values, keys = make_values()
    order = np.random.default_rng(1).permutation(5000)
    once = gathered(values, keys, 1, sample_rows=300)
    again = gathered(values[order], keys[order], 40, sample_rows=300)
    lowest = np.sort(keys)[:300]
    for statistics in (once, again):
        np.testing.assert_array_equal(np.sort(statistics.keys), lowest)
    for first, second in zip(once.describe(), again.describe(), strict=True):
        assert first["quantiles"] == second["quantiles"]


def test_quantiles_of_a_sample_are_as_far_off_as_said():
    rows, sample_rows = 100_000, 4000
    values = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    found = gathered(values, keyed_hash(range(rows), 3, "shuffle"), 5, sample_rows).describe()[0]
    for level in QUANTILE_LEVELS:
        error = np.sqrt(level * (1 - level) / sample_rows)
        assert abs(found["quantiles"][str(level)] - level) < 4 * error
    assert found["mean"] == pytest.approx(0.5, abs=1e-6)


def test_far_from_zero_the_spread_is_not_lost():
    values = (1e6 + np.random.default_rng(0).integers(0, 3, (6000, 1))).astype(np.float32)
    found = gathered(values, keyed_hash(range(6000), 0, "shuffle"), 11).describe()[0]
    np.testing.assert_allclose(found["std"], values.astype(np.float64).std(), rtol=1e-9)


def test_saved_statistics_are_restored():
    values, keys = make_values(600)
    statistics, file = gathered(values, keys, 3, sample_rows=100), io.BytesIO()
    np.savez(file, **statistics.to_arrays())
    file.seek(0)
    restored = ColumnStatistics.from_arrays(np.load(file))
    assert restored.describe() == statistics.describe()
    restored.update(values, keys)
    assert (restored.sample_rows, restored.count, len(restored.sample)) == (100, 1200, 100)


def test_nothing_was_added():
    statistics = ColumnStatistics(2)
    statistics.update(np.empty((0, 2), np.float32), np.empty(0, np.uint64))
    statistics.merge(ColumnStatistics(2))
    assert statistics.describe() == [{"count": 0}, {"count": 0}]
