"""Weights that fine-tuning goes on from, beside the SavedModel: npz files, no pickles."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import write_json

__all__ = [
    "WEIGHTS_DIRECTORY",
    "read_weights",
    "require_weights",
    "set_weights",
    "write_weights",
]

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
        If the emulator has none, or they are damaged.
    """
    require_weights(bundle)
    place = bundle / WEIGHTS_DIRECTORY / f"{name}.npz"
    try:
        configs = dict(json.loads(place.with_suffix(".json").read_text(encoding="utf-8")))
        if not zipfile.is_zipfile(place):
            raise ValueError("no npz file")
        with np.load(place, allow_pickle=False) as arrays:
            weights = {network: _of_network(arrays, network) for network in configs}
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise BalrogError(
            f"{place} and its .json must hold the weights of {name}, but are damaged ({error}); "
            "copy or export the emulator again"
        ) from None
    return weights, configs


def set_weights(network: Any, weights: list[np.ndarray], bundle: Path) -> None:
    """Set a network's weights to those of an emulator; BalrogError if they do not fit."""
    try:
        network.set_weights(weights)
    except ValueError as error:
        raise BalrogError(
            f"the weights in {bundle / WEIGHTS_DIRECTORY} do not fit the networks that it "
            f"describes ({error}); copy or export the emulator again"
        ) from None


def _of_network(arrays: Any, network: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{network}/") for key in arrays.files)
    return [arrays[f"{network}/{index}"] for index in range(count)]
