from itertools import islice

import numpy as np
import pytest

from balrog_keras.datasets import Share, training_batches
from data_prep.errors import BalrogError


def _take(count, **arguments):
    rows = np.arange(103, dtype="int32")
    dataset = training_batches((rows, -rows), batch_size=10, **arguments)
    return [tuple(np.asarray(part) for part in batch) for batch in islice(dataset, count)]


def test_each_row_once_an_epoch_and_columns_stay_together():
    batches = _take(10, seed=1)
    rows = np.concatenate([batch[0] for batch in batches])
    assert len(np.unique(rows)) == 100
    for first, second in batches:
        np.testing.assert_array_equal(first, -second)


def test_epochs_and_seeds_differ():
    batches = _take(20, seed=1)
    assert not np.array_equal(batches[0][0], batches[10][0])
    assert not np.array_equal(batches[0][0], _take(1, seed=2)[0][0])


@pytest.mark.parametrize("start", [0, 3, 10, 27])
def test_batch_is_a_function_of_the_step(start):
    for expected, found in zip(
        _take(30, seed=1)[start:], _take(30 - start, seed=1, start_step=start), strict=True
    ):
        np.testing.assert_array_equal(expected[0], found[0])


def test_fewer_rows_than_a_batch():
    with pytest.raises(BalrogError, match="needs 10 rows.*has 4"):
        training_batches((np.zeros(4),), batch_size=10, seed=0)


def test_weighted_rows_come_in_proportion_and_by_the_step():
    weights = np.r_[np.zeros(50), np.full(52, 1.0), 52.0]
    batches = _take(600, seed=1, weights=weights)
    rows = np.concatenate([batch[0] for batch in batches])
    assert rows.min() >= 50
    assert np.mean(rows == 102) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(len(rows)))
    counts = np.bincount(rows, minlength=103)[50:102]
    assert counts.sum() / 52 == pytest.approx(len(rows) / 104, rel=0.05)
    assert abs(counts - len(rows) / 104).max() < 5 * np.sqrt(len(rows) / 104)
    later = _take(1, seed=1, start_step=27, weights=weights)
    np.testing.assert_array_equal(later[0][0], batches[27][0])


@pytest.mark.parametrize("weights", [np.zeros(103), np.r_[-1, np.ones(102)], np.full(103, np.nan)])
def test_impossible_weights(weights):
    with pytest.raises(BalrogError, match="weights"):
        _take(1, seed=1, weights=weights)


@pytest.mark.parametrize("local", [1, 2, 4])
def test_replicas_share_every_batch(local):
    """Replica r has rows r, r + 4, ...; each process delivers those of its own replicas in turn."""
    rows = np.arange(103, dtype="int32")
    whole = list(islice(training_batches((rows,), 20, seed=1, start_step=2), 2))
    for first in range(0, 4, local):
        share = Share(replicas=4, first=first, local=local)
        parts = training_batches((rows,), 20, seed=1, start_step=2, share=share)
        found = [np.asarray(part) for (part,) in islice(parts, 2 * local)]
        expected = [np.asarray(b)[r::4] for (b,) in whole for r in range(first, first + local)]
        np.testing.assert_array_equal(found, expected)
