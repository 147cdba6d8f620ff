import numpy as np
import pytest
from shard_files import write_shards
from toy import toy_rows, toy_schema

from balrog_keras.row_sample import sample_split
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest
from data_prep.shards import read_split


@pytest.fixture(scope="module")
def shards(tmp_path_factory, toy_shards):
    """Toy shards whose oracle holds nine tenths of the test rows."""
    content = dict(Manifest.load(toy_shards).content)
    test = toy_rows(2_000, 3)
    oracle = {key: values[200:] for key, values in test.items()}
    kept = {k: content[k] for k in content if k not in ("schema", "splits", "statistics", "sha256")}
    directory = tmp_path_factory.mktemp("sampled")
    splits = {"train": toy_rows(50, 1), "test": test, "oracle": oracle}
    write_shards(directory, splits, toy_schema(), kept, shards=2)
    return directory


def test_all_rows_are_those_of_the_shards(shards):
    sample, whole = sample_split(shards, "test", None), read_split(shards, "test")
    assert sample.whole
    assert set(sample.rows) == set(whole)
    for name, values in whole.items():
        np.testing.assert_array_equal(sample.rows[name], values)


@pytest.mark.parametrize("most", [1, 300, 1_999, 2_000, 5_000])
def test_as_many_rows_as_asked_for(shards, most):
    sample = sample_split(shards, "test", most, seed=3)
    assert len(sample.rows["row_id"]) == min(most, 2_000)
    assert sample.total == 2_000
    assert len(np.unique(sample.rows["row_id"])) == len(sample.rows["row_id"])


def test_the_same_rows_in_every_split(shards):
    test = sample_split(shards, "test", 300, seed=3)
    oracle = sample_split(shards, "oracle", None, seed=3, limit=test.limit)
    here = set(test.rows["row_id"]) & set(read_split(shards, "oracle")["row_id"])
    assert set(oracle.rows["row_id"]) == here
    assert 240 < len(here) < 300
    smaller = sample_split(shards, "test", 100, seed=3)
    np.testing.assert_array_equal(test.below(smaller.limit)["row_id"], smaller.rows["row_id"])


def test_another_seed_is_another_choice_and_both_are_fair(shards):
    means = []
    for seed in range(20):
        rows = sample_split(shards, "test", 400, seed).rows
        means.append(rows["condition"][:, 0].mean())
    values = read_split(shards, "test")["condition"][:, 0]
    assert len(set(means)) == 20
    expected = values.std() / np.sqrt(400) * np.sqrt(1 - 400 / 2_000)
    assert np.std(means) == pytest.approx(expected, rel=0.4)
    assert np.mean(means) == pytest.approx(values.mean(), abs=4 * expected / np.sqrt(20))


def test_missing_split_is_named(shards):
    with pytest.raises(BalrogError, match="'detection-test'"):
        sample_split(shards, "detection-test", 10)
