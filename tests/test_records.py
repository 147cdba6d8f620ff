import numpy as np
import pytest

from data_prep.records import encode_examples, frame_records

tf = pytest.importorskip("tensorflow")


def features(rows=7, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "condition": rng.normal(size=(rows, 9)).astype(np.float32),
        "wide": rng.normal(size=(rows, 300)).astype(np.float32),
        "row_id": rng.integers(-(2**63), 2**63 - 1, rows),
        "small": np.arange(rows) - 2,
    }


def test_records_are_examples_of_tensorflows_own_class():
    expected = features()
    records = encode_examples(expected)
    for row, record in enumerate(records):
        found = tf.train.Example.FromString(record.tobytes()).features.feature
        assert set(found) == set(expected)
        for name in ("condition", "wide"):
            np.testing.assert_array_equal(found[name].float_list.value, expected[name][row])
        for name in ("row_id", "small"):
            assert list(found[name].int64_list.value) == [expected[name][row]]


@pytest.mark.parametrize("value", [-(2**63), -1, 0, 1, 127, 128, 2**62, 2**63 - 1])
def test_integers_through_parse_example(value):
    records = encode_examples({"row_id": np.array([value])})
    spec = {"row_id": tf.io.FixedLenFeature([], tf.int64)}
    assert tf.io.parse_example([records[0].tobytes()], spec)["row_id"].numpy().tolist() == [value]


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_framing_is_byte_for_byte_tensorflows(tmp_path, rows):
    records = encode_examples(features(rows))
    path = str(tmp_path / "by_tensorflow.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record.tobytes())
    assert frame_records(records).tobytes() == (tmp_path / "by_tensorflow.tfrecord").read_bytes()


def test_framing_of_equal_and_of_random_records(tmp_path):
    rng = np.random.default_rng(3)
    for records in (np.zeros((3, 50), np.uint8), rng.integers(0, 256, (64, 33), dtype=np.uint8)):
        path = tmp_path / "records"
        path.write_bytes(frame_records(records).tobytes())
        found = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        assert found == [record.tobytes() for record in records]
