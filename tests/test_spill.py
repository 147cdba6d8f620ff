import errno

import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.preparation.spill import bucket_of, read_bucket, write_chunk
from data_prep.splits import keyed_hash

DTYPE = np.dtype([("key", np.uint64), ("value", np.float32, (3,))])


def make_rows(count, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, DTYPE)
    rows["key"] = keyed_hash(rng.permutation(10**6)[:count], 0, "shuffle")
    rows["value"] = rng.normal(size=(count, 3))
    return rows


@pytest.mark.parametrize("buckets", [1, 3, 7, 1000, 65_536])
def test_buckets_are_equal_ranges_of_the_key_against_plain_integers(buckets):
    keys = np.append(make_rows(500)["key"], np.array([0, 2**32 - 1, 2**64 - 1], np.uint64))
    found = bucket_of(keys, buckets)
    assert found.dtype == np.uint16
    assert found.tolist() == [(key >> 32) * buckets >> 32 for key in keys.tolist()]
    order = np.argsort(keys)
    assert (np.diff(found[order].astype(int)) >= 0).all()
    assert found.max() == buckets - 1


def test_every_row_comes_back_from_its_bucket(tmp_path):
    parts, buckets = [make_rows(400, seed) for seed in range(3)] + [make_rows(0)], 8
    chunks = [
        write_chunk(tmp_path / f"{number}.rows", rows, bucket_of(rows["key"], buckets), buckets)
        for number, rows in enumerate(parts)
    ]
    for bucket in range(buckets):
        together, places = read_bucket(tmp_path, chunks, bucket, DTYPE)
        assert sum(len(together[place]) for place in places) == len(together)
        for rows, place in zip(parts, places, strict=True):
            expected = rows[bucket_of(rows["key"], buckets) == bucket]
            np.testing.assert_array_equal(together[place], expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{k}.rows" for k in range(4)]


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_lost_chunk_is_named(tmp_path, damage):
    rows = make_rows(100)
    path = tmp_path / "a.rows"
    chunk = write_chunk(path, rows, bucket_of(rows["key"], 2), 2)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BalrogError, match=f"{path}.*missing or truncated; run prepare again"):
        read_bucket(tmp_path, [chunk], 1, DTYPE)


def test_no_chunks_are_no_rows(tmp_path):
    rows, places = read_bucket(tmp_path, [], 0, DTYPE)
    assert (len(rows), rows.dtype, places) == (0, DTYPE, [])


def test_full_disk_leaves_no_chunk(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("data_prep.files.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_chunk(tmp_path / "a.rows", make_rows(10), np.zeros(10, np.uint16), 1)
    assert not list(tmp_path.iterdir())
