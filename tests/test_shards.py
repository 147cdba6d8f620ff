import errno

import numpy as np
import pytest
from shard_files import write_shards

from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.manifest import Manifest, write_manifest
from data_prep.records import encode_examples
from data_prep.schema import Column, Schema
from data_prep.shards import (
    PieceWriter,
    assemble_split,
    feature_widths,
    read_records,
    read_split,
)

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
TRAIN_WIDTHS = feature_widths(SCHEMA, "train")


def make_rows(rows=20_000, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "condition": rng.normal(size=(rows, 2)).astype(np.float32),
        "measured": rng.normal(size=(rows, 1)).astype(np.float32),
        "row_id": rng.integers(-(2**62), 2**62, rows),
        "parent_id": np.arange(rows),
        "region": np.arange(rows) % 11,
        "position": np.stack([np.linspace(0, 359, rows), np.linspace(-90, 90, rows)], axis=1)
        .astype(np.float32),
    }  # fmt: skip


def taken(features, rows):
    return {name: values[rows] for name, values in features.items()}


def detection_of(features):
    detection = {name: values for name, values in features.items() if name != "measured"}
    return detection | {"detected": np.arange(len(features["row_id"])) % 2}


@pytest.fixture
def written(tmp_path):
    features = make_rows()
    splits = {
        "train": taken(features, slice(0, 15_000)),
        "validation": taken(features, slice(15_000, 15_001)),
        "test": taken(features, slice(16_000, 20_000)),
        "detection-train": detection_of(taken(features, slice(0, 9_000))),
    }
    write_shards(tmp_path, splits, SCHEMA, CONTENT, shards=4)
    return tmp_path, splits


def test_round_trip_of_every_split(written):
    directory, splits = written
    for name, features in splits.items():
        found = read_split(directory, name)
        assert set(found) == set(features) == set(feature_widths(SCHEMA, name))
        for feature, values in features.items():
            assert found[feature].dtype == values.dtype
            np.testing.assert_array_equal(found[feature], values)


def test_weights_come_back_as_one_number_a_row(tmp_path):
    rows = make_rows(50)
    weight = np.linspace(0, 2, 50, dtype=np.float32)
    splits = {"train": rows | {"weight": weight[:, None]}, "test": rows}
    write_shards(tmp_path, splits, SCHEMA, CONTENT)
    np.testing.assert_array_equal(read_split(tmp_path, "train")["weight"], weight)
    assert "weight" not in read_split(tmp_path, "test")


def test_files_are_named_sized_and_checksummed(written):
    directory, _ = written
    manifest = Manifest.load(directory)
    train = manifest.splits["train"]
    names = [f"train-{k:05d}-of-00004.tfrecord" for k in range(4)]
    assert [shard["file"] for shard in train["shards"]] == names
    assert [shard["rows"] for shard in train["shards"]] == [3750] * 4
    listed = [s for split in manifest.splits.values() for s in split["shards"]]
    assert all(sha256_of(directory / s["file"]) == s["sha256"] for s in listed)
    for split in manifest.splits.values():
        for shard in split["shards"]:
            size = (directory / shard["file"]).stat().st_size
            assert size == shard["rows"] * split["record_bytes"]
    expected = {"manifest.json", *(s["file"] for s in listed)}
    assert {path.name for path in directory.iterdir()} == expected


def test_plain_tensorflow_reads_them(written):
    tf = pytest.importorskip("tensorflow")
    directory, splits = written
    path = str(directory / "train-00001-of-00004.tfrecord")
    records = list(tf.data.TFRecordDataset(path).as_numpy_iterator())
    assert len(records) == 3750
    features = tf.train.Example.FromString(records[-1]).features.feature
    assert features["row_id"].int64_list.value[0] == splits["train"]["row_id"][7499]
    expected = splits["train"]["condition"][7499]
    np.testing.assert_array_equal(features["condition"].float_list.value, expected)


def write_pieces(directory, counts, seed=0):
    """Pieces with these numbers of rows; their records put together, and the pieces."""
    features, pieces, start = make_rows(sum(counts), seed), [], 0
    for number, count in enumerate(counts):
        path = directory / f"{number}.piece"
        with PieceWriter.open(path) as writer:
            for rows in np.array_split(np.arange(start, start + count), 3):
                writer.write(taken(features, rows))
        assert writer.rows == count
        pieces.append((path, writer.describe()))
        assert writer.describe() == {"rows": count, "sha256": sha256_of(path)}
        start += count
    return b"".join(path.read_bytes() for path, _ in pieces), pieces


@pytest.mark.parametrize(
    ("files", "rows", "expected"),
    [
        (4, 107, [50, 0, 7, 50]),
        (2, 107, [50, 57]),
        (1, 107, [107]),
        (4, 53, [50, 0, 3, 0]),
        (2, 20, [20, 0]),
        (1, 1, [1]),
    ],
)
def test_pieces_become_shards(tmp_path, files, rows, expected):
    whole, pieces = write_pieces(tmp_path, [50, 0, 7, 50])
    out = tmp_path / "out"
    out.mkdir()
    described = assemble_split(out, "train", pieces, TRAIN_WIDTHS, rows, files)
    assert [shard["rows"] for shard in described["shards"]] == expected
    assert (described["rows"], described["features"]) == (rows, TRAIN_WIDTHS)
    paths = [out / shard["file"] for shard in described["shards"]]
    assert b"".join(path.read_bytes() for path in paths) == whole[: rows * len(whole) // 107]
    assert [sha256_of(path) for path in paths] == [s["sha256"] for s in described["shards"]]
    # The pieces stay as they were, for a job that is resumed.
    assert b"".join(path.read_bytes() for path, _ in pieces) == whole


def test_pieces_are_copied_where_files_cannot_have_two_names(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr("data_prep.shards.os.link", refuse)
    whole, pieces = write_pieces(tmp_path, [9])
    out = tmp_path / "out"
    out.mkdir()
    shard = assemble_split(out, "train", pieces, TRAIN_WIDTHS, 9, 1)["shards"][0]["file"]
    assert (out / shard).read_bytes() == whole


def test_failed_piece_leaves_nothing(tmp_path):
    def fail():
        with PieceWriter.open(tmp_path / "a.piece") as writer:
            writer.write(make_rows(10))
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert not list(tmp_path.iterdir())


def test_records_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.shards._READ_ROWS", 16)
    _, [(path, _)] = write_pieces(tmp_path, [50])
    blocks = list(read_records(path, TRAIN_WIDTHS))
    assert [len(block["row_id"]) for block in blocks] == [16, 16, 16, 2]
    found = np.concatenate([block["condition"] for block in blocks])
    np.testing.assert_array_equal(found, make_rows(50)["condition"])


def test_other_records_are_refused(tmp_path):
    _, [(path, _)] = write_pieces(tmp_path, [50])
    with pytest.raises(BalrogError, match=f"{path} must hold whole records of"):
        next(read_records(path, {"row_id": 0}))
    renamed = {("conditiom" if k == "condition" else k): v for k, v in TRAIN_WIDTHS.items()}
    with pytest.raises(BalrogError, match=f"{path}: record 0 must hold .*; prepare the shards"):
        next(read_records(path, renamed))


@pytest.mark.parametrize("damage", ["truncate", "truncate at a record", "change"])
def test_damaged_shard_is_named(written, damage):
    directory, _ = written
    path = directory / "test-00000-of-00004.tfrecord"
    content = bytearray(path.read_bytes())
    if damage == "change":
        content[1000] ^= 1
    else:
        del content[-len(content) // 1000 if "record" in damage else -7 :]
    path.write_bytes(content)
    with pytest.raises(BalrogError, match=f"{path}.*truncated or changed"):
        read_split(directory, "test")
    assert len(read_split(directory, "validation")["row_id"]) == 1


@pytest.mark.parametrize("rows", [3999, 4001])
def test_wrong_row_count_in_the_manifest(written, rows):
    directory, _ = written
    content = dict(Manifest.load(directory).content)
    content["splits"]["test"]["rows"] = rows
    write_manifest(directory, SCHEMA, {k: v for k, v in content.items() if k != "sha256"})
    with pytest.raises(BalrogError, match=f"manifest says {rows:,} rows in split test"):
        read_split(directory, "test")


def test_unknown_split(written):
    with pytest.raises(BalrogError, match="'oracle'; it has train, validation, test, detection-"):
        read_split(written[0], "oracle")


def test_encoder_that_writes_wrongly_is_caught(tmp_path, monkeypatch):
    real = encode_examples

    def wrong(block):
        return real(block | {"row_id": block["row_id"] + 1})

    monkeypatch.setattr("data_prep.shards.encode_examples", wrong)
    with pytest.raises(RuntimeError, match="wrote row_id wrongly"):
        write_pieces(tmp_path, [10])
    assert not list(tmp_path.iterdir())


def test_empty_shard_is_readable(tmp_path):
    _, [(path, _)] = write_pieces(tmp_path, [0])
    assert not list(read_records(path, TRAIN_WIDTHS))


def test_same_input_same_bytes(written, tmp_path_factory):
    directory, splits = written
    again = tmp_path_factory.mktemp("again")
    write_shards(again, splits, SCHEMA, CONTENT, shards=4)
    for path in again.iterdir():
        assert path.read_bytes() == (directory / path.name).read_bytes()
