from itertools import islice

import numpy as np
import pytest

from balrog_keras.datasets import training_batches
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
