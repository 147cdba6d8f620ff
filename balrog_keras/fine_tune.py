"""Going on from an exported emulator on new shards: what is taken over, and what it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from balrog_keras.bundle import read_description, verify
from balrog_keras.config import Settings
from balrog_keras.stored_networks import stored_detection
from balrog_keras.training_weights import read_weights, require_weights, set_weights
from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.schema import Schema

__all__ = ["RATE_FRACTION", "Base", "tuned_defaults"]

# A fine-tuned emulator's learning rates by default, over those it was first trained with: the
# networks are near their optimum, and full rates would first carry them off.
RATE_FRACTION = 0.25
_RATES = ("generator_learning_rate", "critic_learning_rate")
_PARTS = ("generator", "critic", "standardizer")
# What a network's configuration says besides its shape.
_NOT_SHAPE = ("name", "seed", "trainable", "dtype")
_NOT_SEEN = (
    "did not show its generator the residuals and latents of the columns before, as this one does"
)
# What configurations of earlier versions do not have, as a version is said to be that wrote one.
_NEWER = {
    "links": "did not learn columns as differences from each other, which its flux errors or their "
    "like now are",
    "sees_latents": _NOT_SEEN,
    "sees_residuals": _NOT_SEEN,
    "gives_scales": _NOT_SEEN,
}


def tuned_defaults(directory: Path) -> dict[str, Any]:
    """Settings and number of members that fine-tuning starts with; needs no TensorFlow.

    Parameters
    ----------
    directory : path
        The emulator, ``saved_models/NAME``.

    Returns
    -------
    dict
        The emulator's own settings with the learning rates times RATE_FRACTION (once: those of an
        emulator that was fine-tuned itself stay), and ``members``.

    Raises
    ------
    BalrogError
        If it is no emulator, or keeps no weights to go on from.
    """
    description = read_description(directory)
    require_weights(directory)
    known = Settings().to_dict().keys()
    settings = {name: value for name, value in description["settings"].items() if name in known}
    if "fine_tuned_from" not in description:
        settings |= {name: RATE_FRACTION * settings[name] for name in _RATES}
    return {**settings, "members": description.get("members", 1)}


class Base:
    """The emulator that a run is fine-tuned from.

    Parameters
    ----------
    directory : path
        ``saved_models/NAME``.

    Attributes
    ----------
    directory : pathlib.Path
        Absolute.
    sha256 : str
        Checksum of its emulator.json.

    Raises
    ------
    BalrogError
        If it is no emulator, or was changed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory).resolve()
        self._description = read_description(self.directory)
        verify(self.directory, self._description)
        self.sha256 = sha256_of(self.directory / "emulator.json")

    def require_fits(
        self, schema: Schema, settings: Settings, members: int, destination: Path
    ) -> None:
        """Demand that it has the shards' columns, the settings' networks and enough members.

        Parameters
        ----------
        schema : Schema
            Of the new shards.
        settings : Settings
            Of the new run.
        members : int
            To be fine-tuned.
        destination : path
            Where the new emulator goes, which must be another directory.

        Raises
        ------
        BalrogError
            Naming what differs.
        """
        from balrog_keras.building import gan_of_schema
        from balrog_keras.member_training import build_standardizer

        own = Schema.from_dict(self._description["schema"])
        own.require_same(schema, f"fine-tuning {self.directory}")
        if Path(destination).resolve() == self.directory:
            raise BalrogError(f"--name must be another one than that of --from, {self.directory}")
        available = self._description.get("members", 1)
        if members > available:
            raise BalrogError(
                f"--members must be at most the {available} of {self.directory}, found {members}"
            )
        configs = self._configs()
        gan = gan_of_schema(settings, schema)
        for name, network in _networks(gan, build_standardizer(settings, schema)).items():
            # As the saved one was: JSON has no tuples.
            found = json.loads(json.dumps(network.get_config()))
            for key in sorted((configs[name].keys() | found.keys()) - set(_NOT_SHAPE)):
                before, now = configs[name].get(key), found.get(key)
                if key in _NEWER and before != now:
                    raise BalrogError(
                        f"{self.directory} was trained by a version that {_NEWER[key]}: train an "
                        "emulator anew"
                    )
                if before != now:
                    raise _other_network(self.directory, f"{key} of its {name}", before, now)

    def _configs(self) -> dict[str, dict[str, Any]]:
        """Configurations of the networks of member 0."""
        configs = read_weights(self.directory, "member-0")[1]
        missing = [name for name in _PARTS if not isinstance(configs.get(name), dict)]
        if missing:
            raise BalrogError(
                f"{self.directory} must describe its {', '.join(_PARTS)} to be fine-tuned; missing "
                f"{', '.join(missing)}; copy or export it again"
            )
        return configs

    def load(self, number: int, gan: Any, standardizer: Any) -> None:
        """Set the weights of generator, average, critic and standardizer to those of a member."""
        weights = read_weights(self.directory, f"member-{number}")[0]
        for name, network in _networks(gan, standardizer).items():
            set_weights(network, weights[name], self.directory)
        gan.ema_generator.set_weights(gan.generator.get_weights())

    def detection(self) -> Any:
        """Its detection model, or None if it has none."""
        return stored_detection(self.directory, self._description)

    @property
    def provenance(self) -> dict[str, Any]:
        """What emulator.json of the new emulator says of it, its own origin included."""
        own = self._description
        kept = {name: own[name] for name in ("name", "label", "created", "command")}
        kept |= {"emulator_json_sha256": self.sha256, "training_data": own["training_data"]}
        if "fine_tuned_from" in own:
            kept["fine_tuned_from"] = own["fine_tuned_from"]
        return kept


def _networks(gan: Any, standardizer: Any) -> dict[str, Any]:
    return {"generator": gan.generator, "critic": gan.critic, "standardizer": standardizer}


def _other_network(base: Path, what: str, before: Any, now: Any) -> BalrogError:
    return BalrogError(
        f"fine-tuning keeps the networks of {base}: {what} must be {before!r}, the settings make "
        f"it {now!r}; leave out that setting"
    )
