"""The networks of an exported emulator, rebuilt from the weights beside its SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from balrog_keras.bundle import lacks
from balrog_keras.draw_bounds import DrawBounds
from balrog_keras.training_weights import WEIGHTS_DIRECTORY, read_weights, set_weights
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
        If the emulator keeps no weights, those of networks of an older format, or weights that
        do not fit the networks.
    """
    if lacks(description):
        raise BalrogError(lacks(description))
    from balrog_keras.generator import Generator
    from balrog_keras.members import Member
    from balrog_keras.standardizer import Standardizer

    schema = Schema.from_dict(description["schema"])
    bounds = DrawBounds.of_description(schema, description.get("draw_bounds"))
    members = []
    for number in range(description["members"]):
        weights, configs = read_weights(bundle, f"member-{number}")
        standardizer = _network(Standardizer, "standardizer", configs, bundle)
        set_weights(standardizer, weights["standardizer"], bundle)
        generator = _network(Generator, "generator", configs, bundle)
        generator.build(((None, standardizer.context_size), (None, generator.num_outputs)))
        set_weights(generator, weights["generator"], bundle)
        members.append(Member(generator, standardizer, bounds))
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
        If the emulator keeps no weights, or none that fit.
    """
    if not description["detection"]:
        return None
    from balrog_keras.detection import DetectionModel

    weights, configs = read_weights(bundle, "detection")
    model = _network(DetectionModel, "detection", configs, bundle)
    set_weights(model, weights["detection"], bundle)
    return model


def _network(kind: Any, name: str, configs: dict[str, Any], bundle: Path) -> Any:
    """Network of a class of this package (a file never names one) with a stored configuration."""
    try:
        return kind.from_config(configs[name])
    except (TypeError, ValueError, KeyError) as error:
        raise BalrogError(
            f"{bundle / WEIGHTS_DIRECTORY} must describe a {name} of this version, but does not "
            f"({error}); export the emulator again, or use the package version that wrote it"
        ) from None
