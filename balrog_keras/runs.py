"""A run's directory: its settings and data, its log file, and where everything lies."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import yaml

from balrog_keras.config import Settings
from data_prep.errors import BalrogError
from data_prep.files import atomic_path

__all__ = ["Run"]


class Run:
    """Directory ``runs/NAME`` of one training run.

    Parameters
    ----------
    directory : path
        Need not exist yet.

    Attributes
    ----------
    config, data, checkpoints, tensorboard, log : pathlib.Path
        ``config.yaml`` (the settings; ``train.py --config`` takes it), ``data.yaml`` (which
        shards), ``checkpoints/``, ``tensorboard/``, ``train.log``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.config = self.directory / "config.yaml"
        self.data = self.directory / "data.yaml"
        self.checkpoints = self.directory / "checkpoints"
        self.tensorboard = self.directory / "tensorboard"
        self.log = self.directory / "train.log"

    def saved_settings(self) -> Settings:
        """Settings the run was started with.

        Raises
        ------
        BalrogError
            If there is no such run, or its config.yaml cannot be read.
        """
        return Settings.from_dict(self._read(self.config))

    def _read(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            raise BalrogError(f"no run to resume: {path} is missing; train without --resume")
        try:
            return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise BalrogError(f"{path} cannot be read as the file of a run: {error}") from None

    def start(self, settings: Settings, data: dict[str, str], overwrite: bool) -> None:
        """Create the directory and save the settings.

        Parameters
        ----------
        settings : Settings
            Of this run.
        data : dict
            ``shards`` (path) and ``manifest_sha256``.
        overwrite : bool
            Replace an older run of this name.

        Raises
        ------
        BalrogError
            If the run exists and is not to be replaced.
        """
        if self.directory.exists() and any(self.directory.iterdir()):
            if not overwrite:
                raise BalrogError(
                    f"{self.directory} exists already: continue it with --resume, choose another "
                    "--name, or replace it with --overwrite"
                )
            shutil.rmtree(self.directory)
        for path, content in ((self.data, data), (self.config, settings.to_dict())):
            with atomic_path(path) as partial:
                partial.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def check_same(self, settings: Settings, data: dict[str, str]) -> None:
        """Refuse to resume with other settings or other shards.

        Raises
        ------
        BalrogError
            Naming what differs.
        """
        different = self.saved_settings().differences(settings)
        if different:
            listing = ", ".join(f"{n} was {a!r}, now {b!r}" for n, (a, b) in different.items())
            raise BalrogError(
                f"{self.directory} was started with other settings: {listing}; resume with the "
                "same ones, or start a new run under another --name"
            )
        saved = self._read(self.data)
        if saved.get("manifest_sha256") != data["manifest_sha256"]:
            raise BalrogError(
                f"{self.directory} was started on other shards ({saved.get('shards')}); "
                f"{data['shards']} differs. Resume with those, or choose another --name"
            )

    def log_to_file(self) -> logging.Handler:
        """Handler that appends to ``train.log``; the caller attaches and removes it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler
