"""The Protocol Buffers messages of a record, parsed by Google's library without TensorFlow.

The messages are those of tensorflow/core/example/{example,feature}.proto. Records are written by
:mod:`data_prep.records`, which knows nothing of this: reading some back is a check of it.
"""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["parse_example"]

_PACKAGE = "data_prep_check"


def parse_example(record: bytes) -> dict[str, list[float] | list[int]]:
    """Features of a serialized ``tf.train.Example``.

    Parameters
    ----------
    record : bytes
        Without the framing of TFRecord.

    Returns
    -------
    dict of str to list
        Feature -> its floats or integers.

    Raises
    ------
    google.protobuf.message.DecodeError
        If it is none.
    """
    example = _example_class().FromString(record)
    return {
        name: list(feature.float_list.value) or list(feature.int64_list.value)
        for name, feature in example.features.feature.items()
    }


@functools.cache
def _example_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
    )

    def add(message: Any, name: str, number: int, kind: int, **more: Any) -> None:
        label = more.pop("label", field.LABEL_OPTIONAL)
        message.field.add(name=name, number=number, type=kind, label=label, **more)

    def add_message(name: str, parent: Any = None) -> Any:
        return (parent.nested_type if parent else file.message_type).add(name=name)

    repeated = field.LABEL_REPEATED
    add(add_message("FloatList"), "value", 1, field.TYPE_FLOAT, label=repeated)
    add(add_message("Int64List"), "value", 1, field.TYPE_INT64, label=repeated)
    feature = add_message("Feature")
    feature.oneof_decl.add(name="kind")
    for name, number, kind in (("float_list", 2, "FloatList"), ("int64_list", 3, "Int64List")):
        type_name = f".{_PACKAGE}.{kind}"
        add(feature, name, number, field.TYPE_MESSAGE, type_name=type_name, oneof_index=0)
    features = add_message("Features")
    entry = add_message("FeatureEntry", features)
    entry.options.map_entry = True
    add(entry, "key", 1, field.TYPE_STRING)
    add(entry, "value", 2, field.TYPE_MESSAGE, type_name=f".{_PACKAGE}.Feature")
    entries = f".{_PACKAGE}.Features.FeatureEntry"
    add(features, "feature", 1, field.TYPE_MESSAGE, label=repeated, type_name=entries)
    features_type = f".{_PACKAGE}.Features"
    add(add_message("Example"), "features", 1, field.TYPE_MESSAGE, type_name=features_type)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))
