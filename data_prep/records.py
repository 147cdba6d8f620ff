"""Encode rows as tf.train.Example records in TFRecord framing, many at a time.

Every record of a split has the same features and widths, so all share one template of bytes and
differ only in the numbers patched into it: no message is built and no record is handled by
itself. Formats: Protocol Buffers (protobuf.dev/programming-guides/encoding) of
tensorflow/core/example, and TFRecord (tensorflow.org/tutorials/load_data/tfrecord).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["decode_records", "encode_examples", "frame_records", "record_bytes"]

_VARINT_BYTES = 10
# CRC-32C (Castagnoli), reflected; and TFRecord's mask.
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = np.uint32(0xA282EAD8)


def encode_examples(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Serialize rows as ``tf.train.Example``.

    Parameters
    ----------
    features : mapping of str to array
        Feature -> int64 array, shape (N,), or float32 array, shape (N, width).

    Returns
    -------
    uint8 array, shape (N, bytes)
        Row k is the record of row k. Integers are written as varints padded to 10 bytes, which
        every Protocol Buffers parser reads.

    Examples
    --------
    >>> encode_examples({"row_id": np.array([7, 8])}).shape
    (2, 28)
    """
    payloads = {name: _payload(values) for name, values in sorted(features.items())}
    heads = {name: _head(name, features[name].dtype, payloads[name].shape[1]) for name in payloads}
    size = sum(len(heads[name]) + payloads[name].shape[1] for name in payloads)
    example = _tag(1, size)
    rows = len(next(iter(payloads.values())))
    records = np.empty((rows, len(example) + size), np.uint8)
    records[:, : len(example)] = np.frombuffer(example, np.uint8)
    start = len(example)
    for name, payload in payloads.items():
        stop = start + len(heads[name])
        records[:, start:stop] = np.frombuffer(heads[name], np.uint8)
        start = stop + payload.shape[1]
        records[:, stop:start] = payload
    return records


def record_bytes(widths: Mapping[str, int]) -> int:
    """Bytes of one framed record whose features have these widths (0: one integer)."""
    size: int = frame_records(encode_examples(_blank_features(widths))).shape[1]
    return size


def decode_records(framed: np.ndarray, widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Inverse of :func:`encode_examples` and :func:`frame_records`.

    Parameters
    ----------
    framed : uint8 array, shape (N, bytes)
        Records in TFRecord framing.
    widths : mapping of str to int
        Feature -> number of floats; 0 for one integer.

    Returns
    -------
    dict of str to array
        int64, shape (N,), or float32, shape (N, width).

    Raises
    ------
    BalrogError
        If a record is not laid out like those that this module writes; the checksums in the
        framing are not computed.
    """
    template = frame_records(encode_examples(_blank_features(widths)))[0]
    varies, result, start = np.zeros(template.size, bool), {}, 12
    start += len(_tag(1, sum(_entry_bytes(name, width) for name, width in widths.items())))
    varies[-4:] = True
    for name, width in sorted(widths.items()):
        stop = start + _entry_bytes(name, width)
        payload = slice(stop - (4 * width or _VARINT_BYTES), stop)
        varies[payload], start = True, stop
        values = np.ascontiguousarray(framed[:, payload])
        result[name] = values.view("<f4") if width else _integers(values)
    wrong = (framed[:, ~varies] != template[~varies]).any(axis=1)
    if wrong.any():
        raise BalrogError(
            f"record {int(np.argmax(wrong))} must hold the features {', '.join(sorted(widths))}; "
            "it holds something else"
        )
    return result


def _blank_features(widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    return {
        name: np.zeros((1, width), np.float32) if width else np.zeros(1, np.int64)
        for name, width in widths.items()
    }


def _entry_bytes(name: str, width: int) -> int:
    payload = 4 * width or _VARINT_BYTES
    return len(_head(name, np.dtype(np.float32 if width else np.int64), payload)) + payload


def _integers(varints: np.ndarray) -> np.ndarray:
    shifts = np.arange(0, 7 * _VARINT_BYTES, 7, dtype=np.uint64)
    groups = (varints & np.uint8(0x7F)).astype(np.uint64) << shifts
    integers: np.ndarray = np.bitwise_or.reduce(groups, axis=1).view(np.int64)
    return integers


def _payload(values: np.ndarray) -> np.ndarray:
    """The bytes that differ from row to row, shape (N, bytes)."""
    if values.dtype == np.int64:
        return _padded_varints(values)
    little_endian = np.ascontiguousarray(values, dtype="<f4")
    return little_endian.view(np.uint8).reshape(len(values), -1)


def _padded_varints(values: np.ndarray) -> np.ndarray:
    shifts = np.arange(0, 7 * _VARINT_BYTES, 7, dtype=np.uint64)
    groups = (values.view(np.uint64)[:, None] >> shifts) & np.uint64(0x7F)
    groups[:, :-1] |= np.uint64(0x80)
    return groups.astype(np.uint8)


def _head(name: str, dtype: np.dtype, width: int) -> bytes:
    """Bytes before the payload of one entry of the feature map."""
    packed = _tag(1, width)
    list_field = 3 if dtype == np.int64 else 2
    feature = _tag(list_field, len(packed) + width) + packed
    key = _tag(1, len(name.encode())) + name.encode()
    value = _tag(2, len(feature) + width) + feature
    return _tag(1, len(key) + len(value) + width) + key + value


def _tag(field: int, length: int) -> bytes:
    """Key of a length-delimited field, and its length."""
    result = [field << 3 | 2]
    while length >= 0x80:
        result.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*result, length])


def frame_records(records: np.ndarray) -> np.ndarray:
    """Put records of one size into TFRecord framing.

    Parameters
    ----------
    records : uint8 array, shape (N, bytes)
        One record per row.

    Returns
    -------
    uint8 array, shape (N, bytes + 16)
        Length (8 bytes) and its masked CRC-32C, the record, its masked CRC-32C.
    """
    rows, size = records.shape
    framed = np.empty((rows, size + 16), np.uint8)
    length = np.array([[size]], "<u8").view(np.uint8)
    framed[:, :8] = length
    framed[:, 8:12] = _little_endian(_masked(_crc32c(length)))
    framed[:, 12:-4] = records
    framed[:, -4:] = _little_endian(_masked(_crc32c(records)))
    return framed


def _crc32c(records: np.ndarray) -> np.ndarray:
    """CRC-32C of each row, uint32.

    The CRC is affine over bits: that of a row is that of the first row, changed by a term for
    each byte that differs. So only the columns that vary are visited.
    """
    table = _byte_table()
    first = np.uint32(0xFFFFFFFF)
    for byte in records[0]:
        first = table[(first ^ byte) & np.uint32(0xFF)] ^ (first >> np.uint32(8))
    crc = np.full(len(records), ~first, np.uint32)
    varies = (records != records[0]).any(axis=0)
    # `table` becomes the change that a byte makes to the CRC when k bytes follow it.
    for column in range(records.shape[1] - 1, -1, -1):
        if varies[column]:
            crc ^= table[records[:, column] ^ records[0, column]]
        table = _byte_table()[table & np.uint32(0xFF)] ^ (table >> np.uint32(8))
    return crc


@functools.cache
def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


def _masked(crc: np.ndarray) -> np.ndarray:
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + _MASK_DELTA


def _little_endian(values: np.ndarray) -> np.ndarray:
    return values.astype("<u4").view(np.uint8).reshape(-1, 4)
