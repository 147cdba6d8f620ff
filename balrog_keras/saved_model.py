"""Load the SavedModel of an emulator that may come from anybody: its graph can only compute."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from balrog_keras.bundle import MODEL_VERSION, lacks
from data_prep.errors import BalrogError, require

__all__ = ["check_graph", "load_saved_model"]

# Operations with a state or an effect that emulators need: their variables, loops and calls.
_STATE = frozenset({
    "Assert", "AssignVariableOp", "Case", "DisableCopyOnRead", "If", "ReadVariableOp",
    "StatefulPartitionedCall", "VarHandleOp", "VarIsInitializedOp", "While",
})  # fmt: skip
# What the functions that save and restore variables are made of; nothing else may call those.
_SAVER = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
# Operations that touch files, tables, compilers or Python, though TensorFlow calls them stateless.
_TOUCHING = re.compile(
    "File|Py|Dataset|Iterator|Reader|Table|Vocab|Debug|Custom|Xla|Mlir|TPU|Tpu|Collective|^_|Host"
)
# What is restored when a graph is loaded. Resources and assets would run functions then.
_KINDS = frozenset({
    "bare_concrete_function", "captured_tensor", "constant", "function", "user_object", "variable",
})  # fmt: skip


def load_saved_model(directory: str | Path, description: dict[str, Any]) -> Any:
    """Load ``saved_models/NAME/1`` after :func:`check_graph`.

    Parameters
    ----------
    directory : path
        ``saved_models/NAME``, verified.
    description : dict
        Content of its emulator.json.

    Returns
    -------
    object
        As ``tf.saved_model.load`` gives it.

    Raises
    ------
    BalrogError
        If it cannot be loaded, does more than compute, or is not what the description says.
    MissingExtraError
        If TensorFlow is not installed.
    """
    tf = require("tensorflow", "cpu")
    place = Path(directory) / MODEL_VERSION
    check_graph(place / "saved_model.pb")
    try:
        model = tf.saved_model.load(str(place))
        inputs = model.signatures["serving_default"].structured_input_signature[1]
    except (tf.errors.OpError, OSError, ValueError, KeyError, IndexError, AttributeError,
            AssertionError, TypeError) as error:  # fmt: skip
        raise BalrogError(
            f"{place} must be the SavedModel of an emulator, but cannot be loaded "
            f"({_first_line(error)}); copy or export it again"
        ) from None
    if not lacks(description) and ("member" in inputs) != (description["members"] > 1):
        raise BalrogError(
            f"emulator {directory}: emulator.json says {description['members']} members, its "
            f"SavedModel is of {'several' if 'member' in inputs else 'one'}; copy or export it "
            "again"
        )
    return model


def check_graph(path: str | Path) -> None:
    """Demand that a SavedModel's graph computes and does nothing else.

    TensorFlow runs any graph, and a graph can read and write files or call Python functions of the
    process. What an emulator needs is arithmetic and its own variables.

    Parameters
    ----------
    path : path
        ``saved_model.pb``. It is parsed, not loaded.

    Raises
    ------
    BalrogError
        If it is damaged, or naming the operations that are not allowed.
    """
    require("tensorflow", "cpu")
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    content = SavedModel()
    try:
        content.ParseFromString(Path(path).read_bytes())
    except DecodeError as error:
        raise _damaged(path, _first_line(error)) from None
    if len(content.meta_graphs) != 1:
        raise _damaged(path, f"it has {len(content.meta_graphs)} graphs in place of one")
    found = sorted(set(_not_allowed(content.meta_graphs[0])))
    if found:
        raise BalrogError(
            f"{path} must only compute, but has {', '.join(found[:5])}, which no emulator needs "
            "and which could reach files or run code: do not use it"
        )


def _not_allowed(graph: Any) -> Iterator[str]:
    """What is in the graph and may not be."""
    functions = graph.graph_def.library.function
    savers = {
        function.signature.name
        for function in functions
        if any(node.op in _SAVER for node in function.node_def)
    }
    for function in functions:
        allowed = _SAVER if function.signature.name in savers else frozenset()
        for name in {node.op for node in function.node_def} - allowed:
            yield from _wrong_operation(name)
        calls = (node for node in function.node_def if _calls(node.op))
        yield from (f"a call of {name}" for node in calls for name in _called(node) & savers)
    for name in {node.op for node in graph.graph_def.node}:
        yield from _wrong_operation(name)
    for kept in graph.object_graph_def.nodes:
        kind = kept.WhichOneof("kind") or "user_object"
        if kind not in _KINDS:
            yield f"an object of kind {kind}"
        names = [
            *kept.function.concrete_functions,
            kept.bare_concrete_function.concrete_function_name,
        ]
        yield from (f"an endpoint {name}" for name in names if name in savers)
        if kept.saveable_objects or kept.registered_saver:
            yield "an object that restores itself"


def _wrong_operation(name: str) -> Iterator[str]:
    known = _registered(name)
    if name in _STATE:
        return
    if known is None or known.is_stateful or _TOUCHING.search(name):
        yield f"the operation {name}"


def _registered(name: str) -> Any:
    """What TensorFlow knows of an operation; None if it has none of this name."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(name)


@cache
def _calls(name: str) -> bool:
    """Whether an operation can call functions."""
    known = _registered(name)
    return known is None or any("func" in each.type for each in known.attr)


def _called(node: Any) -> set[str]:
    """Functions that a node calls."""
    return {each.name for value in node.attr.values() for each in (value.func, *value.list.func)}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def _damaged(path: str | Path, why: str) -> BalrogError:
    return BalrogError(
        f"{path} must be the SavedModel of an emulator, but is damaged ({why}); copy or export it "
        "again"
    )
