"""Write an exported emulator's networks as ONNX, checked against the SavedModel."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from balrog_keras.emulator import Emulator
from balrog_keras.members import Member
from balrog_keras.onnx_emulator import DESCRIPTION_NAME, FORMAT_VERSION, OnnxEmulator
from balrog_keras.onnx_place import exportable
from balrog_keras.stored_networks import stored_detection, stored_members
from balrog_keras.transforms import MAGNITUDES
from data_prep.errors import BalrogError, require
from data_prep.files import atomic_directory, sha256_of, write_json
from data_prep.locks import locked
from data_prep.provenance import provenance
from data_prep.schema import Schema

__all__ = ["export_onnx"]

logger = logging.getLogger(__name__)

# Read by onnxruntime from 1.12 on.
_OPSET = 17
_CHECKED_ROWS = 4096
_TOLERANCE = 1e-4


def export_onnx(bundle: Path, destination: Path) -> Path:
    """Write ``from_latent.onnx``, ``detection_probability.onnx`` and ``onnx.json``.

    Each model takes the condition's columns by name, float32 of shape ``(N,)`` in physical units;
    ``from_latent`` also ``latent``, float32 ``(N, latent_dim)``, and gives the measured columns by
    name; ``detection_probability`` gives ``p_detect``. Each member of an ensemble has a file of its
    own, ``from_latent-0.onnx`` and so on.

    Parameters
    ----------
    bundle : path
        ``saved_models/NAME``.
    destination : path
        Directory to write, whole or not at all; an earlier export there is replaced.

    Returns
    -------
    pathlib.Path
        `destination`.

    Raises
    ------
    BalrogError
        If the bundle is damaged or keeps no weights, if `destination` holds anything else or
        another process writes it, or if what onnxruntime draws differs from the SavedModel by more
        than 1e-4 mag.
    MissingExtraError
        If tf2onnx or onnxruntime is not installed.
    """
    description = exportable(bundle, destination)
    for module in ("tf2onnx", "onnxruntime"):
        require(module, "onnx")
    with locked(destination, "give another --out"), atomic_directory(destination) as partial:
        content = _description(bundle, description)
        content |= _write_models(bundle, description, partial)
        content["files"] = {path.name: sha256_of(path) for path in sorted(partial.iterdir())}
        write_json(partial / DESCRIPTION_NAME, content)
        content["agreement"] = _agreement(Emulator.load(bundle), OnnxEmulator.load(partial))
        write_json(partial / DESCRIPTION_NAME, content)
    return destination


def _description(bundle: Path, description: dict[str, Any]) -> dict[str, Any]:
    """Content of onnx.json, without the files."""
    schema = Schema.from_dict(description["schema"])
    kept = ("name", "label", "fingerprint", "latent_dim", "domain")
    made = provenance(f"python {' '.join(sys.argv)}", [])
    return {
        "format_version": FORMAT_VERSION,
        **{key: description[key] for key in kept},
        "emulator_json_sha256": sha256_of(bundle / "emulator.json"),
        "created": made["created"],
        "command": made["command"],
        "versions": made["versions"] | {"tf2onnx": require("tf2onnx", "onnx").__version__},
        "opset": _OPSET,
        "conditions": list(schema.condition_names),
        "measured": list(schema.measured_names),
        "columns": description["schema"]["columns"],
    }


def _write_models(bundle: Path, description: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write the models; gives their names for onnx.json.

    They are made of the weights beside the SavedModel: its own graph draws in blocks of a fixed
    size, which ONNX has no use for.
    """
    schema = Schema.from_dict(description["schema"])
    latent = tf.TensorSpec([None, description["latent_dim"]], tf.float32, "latent")
    members, detection = stored_members(bundle, description), stored_detection(bundle, description)
    names = ["from_latent.onnx"]
    if len(members) > 1:
        names = [f"from_latent-{number}.onnx" for number in range(len(members))]
    for name, member in zip(names, members, strict=True):
        _convert(_measured_by_name(member, schema), schema, [latent], out / name)
    if detection is None:
        return {"from_latent": names, "detection": None}

    def probability(*columns: Any) -> dict[str, Any]:
        return {"p_detect": detection.probability(tf.stack(columns, axis=1))}

    _convert(probability, schema, [], out / "detection_probability.onnx")
    return {"from_latent": names, "detection": "detection_probability.onnx"}


def _measured_by_name(member: Member, schema: Schema) -> Callable[..., dict[str, Any]]:
    def from_latent(*inputs: Any) -> dict[str, Any]:
        *columns, latent = inputs
        measured = member.measured(tf.stack(columns, axis=1), latent)
        return {name: measured[:, index] for index, name in enumerate(schema.measured_names)}

    return from_latent


def _convert(
    function: Callable[..., Any], schema: Schema, others: Sequence[tf.TensorSpec], path: Path
) -> None:
    """Write a function of the condition's columns, then `others`, as one ONNX file."""
    tf2onnx = require("tf2onnx", "onnx")
    columns = [tf.TensorSpec([None], tf.float32, name) for name in schema.condition_names]
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    model, _ = tf2onnx.convert.from_function(
        tf.function(function, autograph=False),
        input_signature=[*columns, *others],
        opset=_OPSET,
        custom_op_handlers={"Log1p": (_log1p, []), "Expm1": (_expm1, [])},
    )
    path.write_bytes(model.SerializeToString())


# tf2onnx knows neither, and ONNX has no such operator. What these lose, 6e-8 beside 1, is nothing
# in a column for which log1p was chosen.
def _log1p(graph: Any, node: Any, name: str, _arguments: Any) -> None:
    """log1p(x) as Log(x + 1)."""
    one = graph.make_const(f"{name}/one", np.float32(1.0))
    total = graph.make_node("Add", [node.input[0], one.output[0]])
    node.type = "Log"
    graph.replace_inputs(node, total.output)


def _expm1(graph: Any, node: Any, name: str, _arguments: Any) -> None:
    """expm1(x) as Exp(x) - 1."""
    one = graph.make_const(f"{name}/one", np.float32(1.0))
    exponential = graph.make_node("Exp", node.input)
    node.type = "Sub"
    graph.replace_inputs(node, [exponential.output[0], one.output[0]])


def _agreement(emulator: Emulator, exported: OnnxEmulator) -> dict[str, float]:
    """Largest difference between the two, by column, on rows inside the training range.

    Raises
    ------
    BalrogError
        If one is past the tolerance: 1e-4 mag, or 1e-4 of the column's spread in other units.
    """
    condition = _typical_conditions(emulator)
    ids = np.arange(len(condition))
    found = dict.fromkeys(exported.measured_names, 0.0)
    for member in range(exported.members):
        expected = emulator.draw(condition, ids, 0, member=member)
        difference = np.abs(exported.draw(condition, ids, 0, member=member) - expected)
        for index, column in enumerate(emulator.schema.measured):
            spread = float(expected[:, index].std()) or 1.0
            unit = 1.0 if column.unit in MAGNITUDES else spread
            largest = float(difference[:, index].max()) / unit
            found[column.name] = max(found[column.name], largest)
    if exported.has_detection:
        difference = np.abs(exported.p_detect(condition) - emulator.p_detect(condition))
        found["p_detect"] = float(difference.max())
    for name, largest in found.items():
        if not largest <= _TOLERANCE:
            raise BalrogError(
                f"{name} drawn by onnxruntime must be that of {emulator.info['name']} to "
                f"{_TOLERANCE:g}, differs by {largest:.3g}; its weights are not those of its "
                "SavedModel, or onnxruntime is faulty: nothing was written"
            )
    logger.info("onnxruntime agrees with the SavedModel to %.1e", max(found.values()))
    return found


def _typical_conditions(emulator: Emulator) -> np.ndarray:
    """Rows at random quantiles of the training rows, the same one for all columns of a group.

    Bands are correlated: independent quantiles would make impossible colours.
    """
    rng = np.random.default_rng(0)
    levels = {group: rng.uniform(0.01, 0.99, _CHECKED_ROWS) for group in ("truth", "survey")}
    columns = []
    for column in emulator.schema.truth + emulator.schema.survey:
        quantiles = emulator.info["domain"][column.name]["quantiles"]
        known = np.array(sorted((float(level), value) for level, value in quantiles.items()))
        columns.append(np.interp(levels[column.group], known[:, 0], known[:, 1]))
    return np.stack(columns, axis=1).astype(np.float32)
