"""Write a trained generator as a bundle: SavedModel, emulator.json, metrics, model card."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.bundle import FORMAT_VERSION, MODEL_VERSION, checksums
from balrog_keras.config import Settings
from balrog_keras.domain import DomainModel
from balrog_keras.domain_fit import FLAGGED_FRACTION
from balrog_keras.draw_bounds import DrawBounds
from balrog_keras.export_endpoints import EmulatorModule
from balrog_keras.fine_tune import Base
from balrog_keras.members import Member, TrainedMember
from balrog_keras.model_card import model_card
from balrog_keras.training_weights import write_weights
from data_prep.files import atomic_directory, write_json
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.provenance import provenance

__all__ = ["EmulatorModule", "export_emulator", "member_scores", "write_bundle"]


def export_emulator(
    destination: Path,
    members: Sequence[TrainedMember],
    manifest: Manifest,
    settings: Settings,
    shards: Path,
    domain: DomainModel,
    detection: Any = None,
    base: Base | None = None,
    bounds: DrawBounds | None = None,
) -> Path:
    """Write ``saved_models/NAME``, whole or not at all; an older one is replaced.

    Parameters
    ----------
    destination : path
        ``saved_models/NAME``.
    members : sequence of TrainedMember
        At least one.
    manifest : Manifest
        Of the shards they were trained on.
    settings : Settings
        Hyper-parameters of the run.
    shards : path
        Named in the provenance.
    domain : DomainModel
        Fitted to their conditions.
    detection : DetectionModel, optional
        Exported with them.
    base : Base, optional
        The emulator that was fine-tuned.
    bounds : DrawBounds, optional
        What draws are kept within.

    Returns
    -------
    pathlib.Path
        `destination`.

    Raises
    ------
    OSError
        If it cannot be written; an older bundle is untouched.
    """
    module = EmulatorModule(
        [Member(member.generator, member.standardizer, bounds) for member in members],
        manifest.schema,
        domain,
        detection,
    )
    description = _description(destination.name, manifest, settings, shards)
    description |= {
        "members": len(members),
        "seeds": [member.seed for member in members],
        "detection": detection is not None,
    }
    if bounds is not None:
        description["draw_bounds"] = bounds.describe(manifest.schema)
    if base is not None:
        description["fine_tuned_from"] = base.provenance
    metrics = member_scores([member.scores for member in members])

    def add_weights(bundle: Path) -> None:
        _write_weights(bundle, members, detection)

    return write_bundle(destination, module, description, metrics, add_weights)


def write_bundle(
    destination: Path,
    module: EmulatorModule,
    description: dict[str, Any],
    metrics: dict[str, Any],
    add_weights: Callable[[Path], None],
) -> Path:
    """Write an emulator's directory, whole or not at all; an older one is replaced.

    Parameters
    ----------
    destination : path
        ``saved_models/NAME``.
    module : EmulatorModule
        To be saved.
    description : dict
        Content of emulator.json but for what follows from the module and the files.
    metrics : dict
        Content of metrics.json.
    add_weights : callable
        Given the directory, puts the training weights into it.

    Returns
    -------
    pathlib.Path
        `destination`.

    Raises
    ------
    OSError
        If it cannot be written; an older bundle is untouched.
    """
    signatures = module.signatures()
    with atomic_directory(destination) as partial:
        tf.saved_model.save(module, str(partial / MODEL_VERSION), signatures=signatures)
        add_weights(partial)
        own = {
            "in_domain": _describe_domain(module.domain),
            "endpoints": _describe_endpoints(signatures),
            "files": checksums(partial),
        }
        kept = {key: value for key, value in description.items() if key not in own}
        content = kept | {"format_version": FORMAT_VERSION} | own
        write_json(partial / "emulator.json", content)
        write_json(partial / "metrics.json", metrics)
        (partial / "README.md").write_text(model_card(content, metrics), encoding="utf-8")
    return destination


def member_scores(scores: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Validation scores by part of metrics.json: mean, and spread and single ones of an ensemble.

    Parameters
    ----------
    scores : sequence of dict
        ``step`` and scores of each member.

    Returns
    -------
    dict of dict of str to float
        ``validation`` (of the only member, or the mean), and with several members
        ``validation spread`` (standard deviation) and ``validation member K``.
    """
    if len(scores) == 1:
        return {"validation": scores[0]}
    table = {name: [float(each[name]) for each in scores] for name in scores[0]}
    parts = {
        "validation": {name: float(np.mean(values)) for name, values in table.items()},
        "validation spread": {name: float(np.std(v, ddof=1)) for name, v in table.items()},
    }
    return parts | {f"validation member {k}": dict(each) for k, each in enumerate(scores)}


def _describe_domain(domain: DomainModel) -> dict[str, float]:
    """What emulator.json says of the training density."""
    return {
        "components": domain.components,
        "flagged_fraction": FLAGGED_FRACTION,
        "log_density_threshold": domain.threshold,
    }


def _describe_endpoints(signatures: Mapping[str, Any]) -> dict[str, Any]:
    """By endpoint, ``inputs`` and ``outputs``: dtype and shape by name (None: any number)."""

    def described(specs: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
            for name, spec in specs.items()
        }

    def inputs_of(function: Any) -> dict[str, Any]:
        specs = tf.nest.flatten(function.structured_input_signature)
        return {spec.name: spec for spec in specs if isinstance(spec, tf.TensorSpec)}

    return {
        name: {
            "inputs": described(inputs_of(function)),
            "outputs": described(function.structured_outputs),
        }
        for name, function in signatures.items()
    }


def _write_weights(bundle: Path, members: Sequence[TrainedMember], detection: Any) -> None:
    """Keep what fine-tuning goes on from."""
    for number, member in enumerate(members):
        networks = {
            "generator": member.generator,
            "critic": member.critic,
            "standardizer": member.standardizer,
        }
        write_weights(bundle, f"member-{number}", networks)
    if detection is not None:
        write_weights(bundle, "detection", {"detection": detection})


def _description(name: str, manifest: Manifest, settings: Settings, shards: Path) -> dict[str, Any]:
    """Content of emulator.json, without the checksums."""
    made = provenance(f"python {' '.join(sys.argv)}", [Path(shards) / MANIFEST_NAME])
    # The distribution may be tensorflow or tensorflow-cpu; the library is one.
    versions = {k: v for k, v in made["versions"].items() if not k.startswith("tensorflow")}
    versions |= {"keras": keras.__version__, "tensorflow": tf.__version__}
    conditions = manifest.schema.condition_names
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "label": manifest.label,
        "created": made["created"],
        "command": made["command"],
        "schema": manifest.schema.to_dict(),
        "fingerprint": manifest.schema.fingerprint,
        "map_patterns": dict(manifest.map_patterns),
        "latent_dim": len(manifest.schema.measured_names),
        "domain": {column: manifest.statistics[column] for column in conditions},
        "settings": settings.to_dict(),
        "training_data": {
            "shards": Path(shards).name,
            "rows": {split: entry["rows"] for split, entry in manifest.splits.items()},
            "provenance": dict(manifest.provenance),
        },
        "versions": versions,
    }
