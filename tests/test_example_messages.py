import numpy as np
import pytest
from google.protobuf.message import DecodeError

from data_prep.example_messages import parse_example
from data_prep.records import encode_examples


def test_messages_of_tensorflow_are_read():
    tf = pytest.importorskip("tensorflow")
    example = tf.train.Example()
    example.features.feature["row_id"].int64_list.value.append(-(2**62))
    example.features.feature["condition"].float_list.value.extend([1.5, -2.25, 3e38])
    found = parse_example(example.SerializeToString())
    assert found["row_id"] == [-(2**62)]
    np.testing.assert_array_equal(np.float32(found["condition"]), np.float32([1.5, -2.25, 3e38]))


def test_own_records_are_read():
    features = {"a": np.array([7, -8]), "b": np.array([[1, 2], [3, 4]], np.float32)}
    records = encode_examples(features)
    assert parse_example(records[1].tobytes()) == {"a": [-8], "b": [3.0, 4.0]}


def test_other_bytes_are_refused():
    with pytest.raises(DecodeError):
        parse_example(b"no message")
