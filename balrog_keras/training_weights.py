"""Weights that fine-tuning goes on from, beside the SavedModel: npz files, no pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import write_json

__all__ = ["WEIGHTS_DIRECTORY", "read_weights", "require_weights", "write_weights"]

WEIGHTS_DIRECTORY = "training_weights"


def write_weights(bundle: Path, name: str, networks: Mapping[str, Any]) -> None:
    """Write networks' weights and configurations to ``training_weights/NAME.npz`` and ``.json``.

    Parameters
    ----------
    bundle : path
        Directory of the emulator.
    name : str
        For example ``"member-0"``.
    networks : mapping of str to keras.Model
        Built.
    """
    directory = bundle / WEIGHTS_DIRECTORY
    directory.mkdir(exist_ok=True)
    arrays = {
        f"{network}/{index}": array
        for network, model in networks.items()
        for index, array in enumerate(model.get_weights())
    }
    np.savez(directory / f"{name}.npz", allow_pickle=False, **arrays)
    configs = {network: model.get_config() for network, model in networks.items()}
    write_json(directory / f"{name}.json", configs)


def require_weights(bundle: Path) -> None:
    """Raise BalrogError unless the emulator holds what fine-tuning needs."""
    if not (bundle / WEIGHTS_DIRECTORY).is_dir():
        raise BalrogError(
            f"{bundle} holds no critic to go on from ({WEIGHTS_DIRECTORY}/ is missing): it was "
            "exported by a version that did not keep one. Train an emulator again to fine-tune it"
        )


def read_weights(
    bundle: Path, name: str
) -> tuple[dict[str, list[np.ndarray]], dict[str, dict[str, Any]]]:
    """Weights and configurations written by :func:`write_weights`.

    Parameters
    ----------
    bundle : path
        Directory of the emulator.
    name : str
        As written.

    Returns
    -------
    weights : dict of str to list of array
        By network, in Keras' order.
    configs : dict of str to dict
        By network, as ``get_config`` gave them.

    Raises
    ------
    BalrogError
        If the emulator has none.
    """
    require_weights(bundle)
    place = bundle / WEIGHTS_DIRECTORY / f"{name}.npz"
    configs = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(place, allow_pickle=False) as arrays:
        weights = {
            network: [
                arrays[f"{network}/{index}"]
                for index in range(sum(key.startswith(f"{network}/") for key in arrays.files))
            ]
            for network in configs
        }
    return weights, configs
