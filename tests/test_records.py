import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.records import decode_records, encode_examples, frame_records, record_bytes

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


WIDTHS = {"condition": 9, "wide": 300, "row_id": 0, "small": 0}


@pytest.mark.parametrize("rows", [1, 1000])
def test_decoding_is_the_inverse(rows):
    expected = features(rows)
    expected["condition"][0, :2] = [np.nan, -np.inf]
    framed = frame_records(encode_examples(expected))
    assert framed.shape == (rows, record_bytes(WIDTHS))
    found = decode_records(framed, WIDTHS)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_tensorflows_records_of_the_same_features_are_other_bytes_and_refused():
    widths = {"row_id": 0}
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[5]))
    example = tf.train.Example(features=tf.train.Features(feature={"row_id": feature}))
    plain = np.frombuffer(example.SerializeToString(), np.uint8)
    framed = np.zeros((1, record_bytes(widths)), np.uint8)
    framed[0, 12 : 12 + plain.size] = plain
    with pytest.raises(BalrogError, match="record 0 must hold the features row_id"):
        decode_records(framed, widths)


def test_every_changed_bit_outside_the_numbers_is_noticed():
    widths = {"a": 2, "id": 0}
    values = {"a": np.ones((3, 2), np.float32), "id": np.arange(3)}
    framed = frame_records(encode_examples(values))
    unnoticed = []
    for place in range(framed.shape[1]):
        damaged = framed.copy()
        damaged[1, place] ^= 1
        try:
            found = decode_records(damaged, widths)
        except BalrogError:
            continue
        same = all(np.array_equal(found[name], values[name]) for name in values)
        unnoticed.append(same)
    # The numbers (8 bytes of floats, 10 of an integer) come out changed; the last checksum is not
    # looked at.
    assert unnoticed == [False] * 18 + [True] * 4
    damaged = framed.copy()
    damaged[1, 13] ^= 1
    with pytest.raises(BalrogError, match="record 1 must hold the features a, id"):
        decode_records(damaged, widths)
