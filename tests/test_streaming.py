import json
from itertools import islice

import numpy as np
import pytest
from shard_files import write_shards
from toy import toy_rows, toy_schema

from balrog_keras import streaming
from balrog_keras.datasets import WHOLE_BATCH, Share
from balrog_keras.standardizer import Standardizer
from balrog_keras.streaming import StreamedRows
from data_prep.errors import BalrogError
from data_prep.manifest import MANIFEST_NAME

ROWS, BATCH = 5_003, 100


@pytest.fixture(scope="module")
def rows():
    weights = np.r_[np.zeros(3_000), np.full(2_003, 1.5)].astype("float32")
    order = np.random.default_rng(1).permutation(ROWS)
    return {**toy_rows(ROWS, 1), "weight": weights[order, None]}


@pytest.fixture(scope="module")
def shards(rows, tmp_path_factory):
    """Directory, and the split's entry in the manifest."""
    directory = tmp_path_factory.mktemp("shards")
    write_shards(directory, {"train": rows}, toy_schema(), {}, shards=3)
    manifest = json.loads((directory / MANIFEST_NAME).read_text())
    return directory, manifest["splits"]["train"]


@pytest.fixture(scope="module")
def standardizer(rows):
    """Fitted constants, random location and scale."""
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    return standardizer


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(streaming, "_BLOCK_ROWS", 64)
    monkeypatch.setattr(streaming, "_WINDOW_ROWS", 640)


@pytest.fixture
def take(shards, standardizer):
    def take(count, seed=1, start=0, share=WHOLE_BATCH, weighted=False):
        streamed = StreamedRows(*shards, weighted)
        batches = streamed.batches(standardizer, BATCH, seed, start, share)
        return [tuple(np.asarray(part) for part in batch) for batch in islice(batches, count)]

    return take


def _numbers(conditions, standardizer, rows):
    """Which row of the split each standardized condition is."""
    known = np.asarray(standardizer.standardize_condition(rows["condition"]))
    numbers = {condition.tobytes(): number for number, condition in enumerate(known)}
    return np.array([numbers[condition.tobytes()] for condition in conditions])


def test_an_epoch_is_every_row_once_standardized(take, standardizer, rows):
    batches = take(50)
    conditions = np.concatenate([condition for condition, _ in batches])
    numbers = _numbers(conditions, standardizer, rows)
    assert len(np.unique(numbers)) == len(numbers) == 5_000
    expected = standardizer.standardize(rows["condition"][numbers], rows["measured"][numbers])
    measured = np.concatenate([measured for _, measured in batches])
    np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-4)


def test_each_batch_is_a_fair_sample_of_all_shards(take, standardizer, rows):
    """Rows of the three shards, a third each, in every batch: chi-square with 2 degrees."""
    for condition, _ in take(20):
        counts = np.bincount(_numbers(condition, standardizer, rows) * 3 // ROWS, minlength=3)
        assert ((counts - BATCH / 3) ** 2 / (BATCH / 3)).sum() < 60
        assert counts.min() > 0


def test_epochs_and_seeds_differ(take):
    batches = take(51)
    assert not np.array_equal(batches[0][0], batches[50][0])
    assert not np.array_equal(batches[0][0], take(1, seed=2)[0][0])


@pytest.mark.parametrize("start", [1, 6, 7, 49, 50, 123])
def test_batch_is_a_function_of_the_step(take, start):
    for expected, found in zip(take(start + 3)[start:], take(3, start=start), strict=True):
        np.testing.assert_array_equal(expected[0], found[0])
        np.testing.assert_array_equal(expected[1], found[1])


def test_replicas_share_the_batch(take):
    (whole, _), *_ = take(1)
    (first, _), (second, _) = take(2, share=Share(2, 0, 2))
    np.testing.assert_array_equal(first, whole[0::2])
    np.testing.assert_array_equal(second, whole[1::2])


def test_weighted_rows_come_in_proportion(take, standardizer, rows):
    conditions = np.concatenate([condition for condition, _ in take(500, weighted=True)])
    counts = np.bincount(_numbers(conditions, standardizer, rows), minlength=ROWS)
    heavy = rows["weight"][:, 0] > 0
    assert counts[~heavy].sum() == 0
    # 50,000 draws among 2,003 rows; each window's share of them varies by some per cent.
    assert counts[heavy].mean() == pytest.approx(50_000 / 2_003)
    assert counts[heavy].std() == pytest.approx(np.sqrt(50_000 / 2_003), rel=0.2)


def test_sample_is_of_the_split(shards, rows):
    streamed = StreamedRows(*shards)
    sample = streamed.sample(1_000)
    assert 900 < len(sample["condition"]) < 1_100
    known = {condition.tobytes(): number for number, condition in enumerate(rows["condition"])}
    numbers = [known[condition.tobytes()] for condition in sample["condition"]]
    assert len(set(numbers)) == len(numbers)
    np.testing.assert_array_equal(sample["measured"], rows["measured"][numbers])
    assert len(streamed.sample()["condition"]) == ROWS


def test_fewer_rows_than_a_batch(shards, standardizer):
    streamed = StreamedRows(*shards)
    with pytest.raises(BalrogError, match="needs 6,000 rows.*has 5,003"):
        streamed.batches(standardizer, 6_000, 0)
