"""The networks of an exported emulator, rebuilt from the weights beside its SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from balrog_keras.bundle import lacks
from balrog_keras.training_weights import read_weights
from data_prep.errors import BalrogError
from data_prep.schema import Schema

__all__ = ["stored_detection", "stored_members"]


def stored_members(bundle: Path, description: dict[str, Any]) -> list[Any]:
    """Members of an emulator.

    Parameters
    ----------
    bundle : path
        ``saved_models/NAME``.
    description : dict
        Content of its emulator.json.

    Returns
    -------
    list of Member

    Raises
    ------
    BalrogError
        If the emulator keeps no weights, or those of networks of an older format.
    """
    if lacks(description):
        raise BalrogError(lacks(description))
    from balrog_keras.generator import Generator
    from balrog_keras.members import Member
    from balrog_keras.standardizer import Standardizer

    conditions = len(Schema.from_dict(description["schema"]).condition_names)
    members = []
    for number in range(description["members"]):
        weights, configs = read_weights(bundle, f"member-{number}")
        generator = Generator.from_config(configs["generator"])
        generator.build(((None, conditions), (None, generator.num_outputs)))
        generator.set_weights(weights["generator"])
        standardizer = Standardizer.from_config(configs["standardizer"])
        standardizer.set_weights(weights["standardizer"])
        members.append(Member(generator, standardizer))
    return members


def stored_detection(bundle: Path, description: dict[str, Any]) -> Any:
    """DetectionModel of an emulator, or None if it has none.

    Parameters
    ----------
    bundle : path
        ``saved_models/NAME``.
    description : dict
        Content of its emulator.json.

    Raises
    ------
    BalrogError
        If the emulator keeps no weights.
    """
    if not description["detection"]:
        return None
    from balrog_keras.detection import DetectionModel

    weights, configs = read_weights(bundle, "detection")
    model = DetectionModel.from_config(configs["detection"])
    model.set_weights(weights["detection"])
    return model
