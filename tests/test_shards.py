import errno
import json

import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.manifest import Manifest
from data_prep.schema import Column, Schema
from data_prep.shards import SplitRows, read_split, write_shards

tf = pytest.importorskip("tensorflow")

SCHEMA = Schema(
    "toy",
    ("r",),
    (
        Column("true_mag_r", "mag", "truth"),
        Column("fwhm_r", "arcsec", "survey"),
        Column("meas_mag_r", "mag", "measured", reference="true_mag_r"),
    ),
)
CONTENT = {
    "preset": "toy",
    "label": "toy data",
    "dropped": {},
    "rows_read": 0,
    "regions": {},
    "parents": {"distinct": 1, "crossing": 0},
    "map_patterns": {},
    "provenance": {},
}


def table(rows=20_000):
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=rows).astype(np.float32) for _ in range(3)]
    return {
        "condition": columns[:2],
        "measured": columns[2:],
        "row_id": rng.integers(-(2**62), 2**62, rows),
        "parent_id": np.arange(rows),
        "region": np.arange(rows) % 11,
        "position": [np.linspace(0, 359, rows), np.linspace(-90, 90, rows)],
    }


def detection_of(features):
    detection = {name: values for name, values in features.items() if name != "measured"}
    return detection | {"detected": np.arange(len(features["row_id"])) % 2}


@pytest.fixture
def written(tmp_path):
    features = table()
    order = np.random.default_rng(1).permutation(20_000)
    splits = {
        "train": SplitRows(features, order[:15_000]),
        "validation": SplitRows(features, order[15_000:15_001]),
        "test": SplitRows(features, order[16_000:]),
        "detection-train": SplitRows(detection_of(features), order[:9_000]),
    }
    write_shards(tmp_path, splits, SCHEMA, CONTENT, shards=4)
    return tmp_path, splits


def test_round_trip_of_every_split(written):
    directory, splits = written
    for name, split in splits.items():
        found = read_split(directory, name)
        assert set(found) == set(split.features)
        for feature, values in split.features.items():
            vector = isinstance(values, list)
            expected = np.stack(values, axis=1).astype(np.float32) if vector else values
            assert found[feature].dtype == (np.float32 if vector else np.int64)
            np.testing.assert_array_equal(found[feature], expected[split.rows])


def test_files_are_named_sized_and_checksummed(written):
    directory, _ = written
    manifest = Manifest.load(directory)
    train = manifest.splits["train"]
    names = [f"train-{k:05d}-of-00004.tfrecord" for k in range(4)]
    assert [shard["file"] for shard in train["shards"]] == names
    assert [shard["rows"] for shard in train["shards"]] == [3750] * 4
    assert len(manifest.splits["validation"]["shards"]) == 1
    listed = [s for split in manifest.splits.values() for s in split["shards"]]
    assert all(sha256_of(directory / s["file"]) == s["sha256"] for s in listed)
    expected = {"manifest.json", *(s["file"] for s in listed)}
    assert {path.name for path in directory.iterdir()} == expected


def test_plain_tensorflow_reads_them(written):
    directory, splits = written
    path = str(directory / "train-00001-of-00004.tfrecord")
    records = list(tf.data.TFRecordDataset(path).as_numpy_iterator())
    assert len(records) == 3750
    features = tf.train.Example.FromString(records[-1]).features.feature
    row = splits["train"].rows[7499]
    columns = splits["train"].features
    assert features["row_id"].int64_list.value[0] == columns["row_id"][row]
    expected = [column[row] for column in columns["condition"]]
    np.testing.assert_array_equal(features["condition"].float_list.value, expected)


def test_statistics_of_the_train_split(written):
    directory, splits = written
    statistics = Manifest.load(directory).statistics
    values = splits["train"].features["measured"][0][splits["train"].rows].astype(float)
    found = statistics["meas_mag_r"]
    assert list(statistics) == ["true_mag_r", "fwhm_r", "meas_mag_r"]
    assert (found["count"], found["min"], found["max"]) == (15_000, values.min(), values.max())
    np.testing.assert_allclose([found["mean"], found["std"]], [values.mean(), values.std()])
    for level in (0.01, 0.5, 0.99):
        assert found["quantiles"][str(level)] == pytest.approx(np.quantile(values, level))


def test_same_input_same_bytes(written, tmp_path):
    directory, splits = written
    again = tmp_path / "again"
    again.mkdir()
    write_shards(again, splits, SCHEMA, CONTENT, shards=4)
    for path in again.iterdir():
        assert path.read_bytes() == (directory / path.name).read_bytes()


@pytest.mark.parametrize("damage", ["truncate", "truncate at a record", "change"])
def test_damaged_shard_is_named(written, damage):
    directory, _ = written
    path = directory / "test-00000-of-00001.tfrecord"
    content = bytearray(path.read_bytes())
    record = len(content) // 4000
    if damage == "change":
        content[1000] ^= 1
    else:
        del content[-record if "record" in damage else -7 :]
    path.write_bytes(content)
    with pytest.raises(BalrogError, match=f"{path}.*truncated or changed"):
        read_split(directory, "test")
    assert len(read_split(directory, "validation")["row_id"]) == 1


@pytest.mark.parametrize("rows", [3999, 4001])
def test_wrong_row_count_in_the_manifest(written, rows):
    directory, _ = written
    path = directory / "manifest.json"
    content = json.loads(path.read_text())
    content["splits"]["test"]["rows"] = rows
    path.write_text(json.dumps(content))
    with pytest.raises(BalrogError, match=f"manifest says {rows:,} rows in split test"):
        read_split(directory, "test")


def test_unknown_split(written):
    with pytest.raises(BalrogError, match="'oracle'; it has train, validation, test, detection-"):
        read_split(written[0], "oracle")


def test_encoder_that_writes_wrongly_is_caught(tmp_path, monkeypatch):
    features = table(10)
    splits = {"train": SplitRows(features, np.arange(10))}

    def wrong(block):
        from data_prep.records import encode_examples

        return encode_examples(block | {"row_id": block["row_id"] + 1})

    monkeypatch.setattr("data_prep.shards.encode_examples", wrong)
    with pytest.raises(RuntimeError, match="row_id wrongly"):
        write_shards(tmp_path, splits, SCHEMA, CONTENT, shards=1)


def test_disk_full_is_an_oserror(tmp_path, monkeypatch):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("builtins.open", full)
    splits = {"train": SplitRows(table(10), np.arange(10))}
    with pytest.raises(OSError, match="No space left"):
        write_shards(tmp_path, splits, SCHEMA, CONTENT, shards=1)
