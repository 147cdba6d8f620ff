"""An emulator's directory on disk: what must be in it, and that nothing was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from balrog_keras.training_weights import WEIGHTS_DIRECTORY
from data_prep.errors import BalrogError
from data_prep.files import read_versioned_json, sha256_of
from data_prep.schema import Schema

__all__ = [
    "FORMAT_VERSION",
    "MODEL_VERSION",
    "checksums",
    "is_bundle",
    "lacks",
    "read_description",
    "read_metrics",
    "schema_path",
    "verify",
]

# 2: endpoints listed; the input `draw`, and the endpoint `in_domain`.
FORMAT_VERSION = 2
# TensorFlow Serving's layout: one numbered directory per version of the model.
MODEL_VERSION = "1"
_REQUIRED = ("name", "label", "schema", "fingerprint", "latent_dim", "domain", "files")
_REQUIRED_SINCE: dict[int, tuple[str, ...]] = {
    1: (),
    2: ("members", "detection", "in_domain", "endpoints"),
}
# What a description of version 1 leaves out.
_FIRST_DEFAULTS: dict[str, Any] = {"members": 1, "detection": False, "endpoints": {}}
_KINDS: dict[str, type] = {
    "name": str, "label": str, "created": str, "command": str, "latent_dim": int, "members": int,
    "detection": bool, "domain": dict, "files": dict, "endpoints": dict, "in_domain": dict,
    "draw_bounds": dict, "map_patterns": dict, "settings": dict, "training_data": dict,
    "versions": dict,
}  # fmt: skip
_JSON_NAMES = {str: "string", int: "integer", bool: "boolean", dict: "object"}


def checksums(directory: Path) -> dict[str, str]:
    """SHA-256 of every file of the SavedModel and the training weights, by relative path."""
    parts = (directory / MODEL_VERSION, directory / WEIGHTS_DIRECTORY)
    files = sorted(path for part in parts for path in part.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): sha256_of(path) for path in files}


def read_description(directory: str | Path) -> dict[str, Any]:
    """Content of an emulator's ``emulator.json``; needs no TensorFlow.

    Parameters
    ----------
    directory : path
        ``saved_models/NAME``.

    Returns
    -------
    dict
        As written by :func:`balrog_keras.export.export_emulator`. One of an older format version is
        completed; :func:`lacks` says what its emulator cannot do.

    Raises
    ------
    BalrogError
        If there is none, or it is damaged or of another format version.
    """
    path = Path(directory) / "emulator.json"
    if not path.is_file():
        raise BalrogError(
            f"{directory} is no exported emulator: {path} is missing; give saved_models/NAME as "
            "written by train.py"
        )
    remedy = "train and export the emulator again, or use the package version that wrote it"
    version = _stated_version(path)
    required = (*_REQUIRED, *_REQUIRED_SINCE[version])
    content = read_versioned_json(path, version, required, remedy)
    content |= {key: value for key, value in _FIRST_DEFAULTS.items() if key not in content}
    _require_kinds(path, content, remedy)
    if Schema.from_dict(content["schema"]).fingerprint != content["fingerprint"]:
        raise BalrogError(f"{path}: its schema does not have the fingerprint it states")
    return content


def is_bundle(directory: str | Path) -> bool:
    """Whether a directory is that of an emulator, of any format."""
    return (Path(directory) / "emulator.json").is_file()


def _require_kinds(path: Path, content: dict[str, Any], remedy: str) -> None:
    """Demand what the code relies on; ``schemas/emulator.schema.json`` says everything."""
    for key, kind in _KINDS.items():
        found = content.get(key)
        fits = found is None if key not in content else isinstance(found, kind)
        if not fits or (kind is int and isinstance(found, bool)):
            raise BalrogError(
                f"{path}: {key} must be a JSON {_JSON_NAMES[kind]}, found {found!r:.60}; {remedy}"
            )
    if content["members"] < 1:
        raise BalrogError(f"{path}: members must be 1 or more, found {content['members']}")


def read_metrics(directory: str | Path) -> dict[str, dict[str, float]]:
    """Scores by part from an emulator's ``metrics.json``; empty if it has none.

    Raises
    ------
    BalrogError
        If the file is damaged.
    """
    path = Path(directory) / "metrics.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {part: dict(scores) for part, scores in dict(content).items()}
    except (ValueError, TypeError) as error:
        raise BalrogError(
            f"{path} must be JSON, scores by part, but is damaged: {error}; copy or export the "
            "emulator again"
        ) from None


def _stated_version(path: Path) -> int:
    """Format version that a file states; the current one if that is none this package reads."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return FORMAT_VERSION
    found = content.get("format_version") if isinstance(content, dict) else None
    return found if found in tuple(_REQUIRED_SINCE) else FORMAT_VERSION


def lacks(description: dict[str, Any]) -> str:
    """What an emulator of an older format cannot do and how to change that; "" if nothing.

    Parameters
    ----------
    description : dict
        From :func:`read_description`.
    """
    if description["format_version"] == FORMAT_VERSION:
        return ""
    return (
        f"emulator {description['name']} has format 1: no realizations (input draw), no in_domain, "
        "and networks that this version cannot go on from; train it again for these"
    )


def schema_path() -> Path:
    """JSON Schema (draft 2020-12) of emulator.json, shipped with this package."""
    return Path(__file__).parent / "schemas" / "emulator.schema.json"


def verify(directory: str | Path, description: dict[str, Any]) -> None:
    """Demand that the SavedModel's files are those that were exported.

    Parameters
    ----------
    directory : path
        ``saved_models/NAME``.
    description : dict
        From :func:`read_description`.

    Raises
    ------
    BalrogError
        Naming the first file that is missing, added or changed.
    """
    expected, found = description["files"], checksums(Path(directory))
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) == found.get(name):
            continue
        if name not in found:
            state = "is missing"
        elif name not in expected:
            state = "does not belong to it"
        else:
            state = "was changed (SHA-256 differs from emulator.json)"
        raise BalrogError(f"emulator {directory}: {name} {state}; copy or export it again")
