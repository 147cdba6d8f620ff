"""An emulator's directory on disk: what must be in it, and that nothing was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from balrog_keras.training_weights import WEIGHTS_DIRECTORY
from data_prep.errors import BalrogError
from data_prep.files import read_versioned_json, sha256_of
from data_prep.schema import Schema

__all__ = ["FORMAT_VERSION", "MODEL_VERSION", "checksums", "read_description", "verify"]

FORMAT_VERSION = 1
# TensorFlow Serving's layout: one numbered directory per version of the model.
MODEL_VERSION = "1"
_REQUIRED = ("name", "label", "schema", "fingerprint", "latent_dim", "domain", "files")


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
        As written by :func:`balrog_keras.export.export_emulator`.

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
    content = read_versioned_json(path, FORMAT_VERSION, _REQUIRED, remedy)
    if Schema.from_dict(content["schema"]).fingerprint != content["fingerprint"]:
        raise BalrogError(f"{path}: its schema does not have the fingerprint it states")
    return content


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
