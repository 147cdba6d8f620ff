"""What export-onnx reads and where it writes, checked before TensorFlow is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from balrog_keras.bundle import read_description, verify
from balrog_keras.onnx_emulator import DESCRIPTION_NAME
from balrog_keras.output_place import require_apart, require_only
from balrog_keras.training_weights import WEIGHTS_DIRECTORY
from data_prep.errors import BalrogError

__all__ = ["exportable"]


def exportable(bundle: Path, destination: Path) -> dict[str, Any]:
    """The description of an emulator that can be exported to a place.

    Parameters
    ----------
    bundle : path
        ``saved_models/NAME``.
    destination : path
        Directory that the export will be.

    Returns
    -------
    dict
        Content of ``emulator.json``.

    Raises
    ------
    BalrogError
        If the bundle is damaged or keeps no weights, or `destination` is or holds anything but an
        earlier export.
    """
    require_apart(destination, [bundle])
    description = read_description(bundle)
    verify(bundle, description)
    if not (bundle / WEIGHTS_DIRECTORY).is_dir():
        raise BalrogError(
            f"{bundle} must keep its weights in {WEIGHTS_DIRECTORY}/, which is missing: it was "
            "exported by an older version; train and export the emulator again"
        )
    if destination.exists():
        record = destination / DESCRIPTION_NAME
        require_only(destination, [*_files_of(record), DESCRIPTION_NAME], record)
    return description


def _files_of(record: Path) -> list[str]:
    """Names of an earlier export's networks; BalrogError if it is none."""
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        # Other programs have an onnx.json too.
        if {"from_latent", "emulator_json_sha256"} <= content.keys():
            return list(content["files"])
        found = f"{record} is another program's"
    except OSError:
        found = f"{record} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        found = f"{record} is damaged"
    raise BalrogError(
        f"--out must be a new directory or an earlier export, not {record.parent}: {found}; give "
        "another --out, or delete it"
    )
