"""A run's directory: its settings and data, its log file, and where everything lies."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from balrog_keras.config import Settings
from data_prep.errors import BalrogError
from data_prep.files import atomic_path, remove_directory

__all__ = ["Run", "RunData"]

_PARTIAL = re.compile(r"\.[0-9a-f]{12}\.partial\.(data|config)\.yaml")


@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a run is made of besides its settings; kept in ``data.yaml``.

    Parameters
    ----------
    shards : str
        Their directory, absolute.
    manifest_sha256 : str
        Checksum of their manifest, which tells whether they are the same.
    members : int
        Networks trained alike but for their seeds.
    detection : bool
        Whether a detection model is fitted where the shards have undetected rows.
    start_from : str or None
        Absolute directory of the emulator that is fine-tuned.
    start_from_sha256 : str or None
        Checksum of its ``emulator.json``.

    Raises
    ------
    BalrogError
        If there is no member.
    """

    shards: str
    manifest_sha256: str
    members: int = 1
    detection: bool = True
    start_from: str | None = None
    start_from_sha256: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.members, int) or self.members < 1:
            raise BalrogError(f"members must be at least 1, got {self.members!r}")


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
        shards, how many members), ``checkpoints/``, ``tensorboard/``, ``train.log``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.config = self.directory / "config.yaml"
        self.data = self.directory / "data.yaml"
        self.checkpoints = self.directory / "checkpoints"
        self.tensorboard = self.directory / "tensorboard"
        self.log = self.directory / "train.log"

    @property
    def started(self) -> bool:
        """Whether a run was started here."""
        return self.config.is_file()

    def member(self, number: int) -> Run:
        """Run directory of one member of an ensemble, ``runs/NAME/member-K``."""
        return Run(self.directory / f"member-{number}")

    def saved_settings(self) -> Settings:
        """Settings the run was started with.

        Raises
        ------
        BalrogError
            If there is no such run, or its config.yaml cannot be read.
        """
        content = self._read(self.config)
        try:
            return Settings.from_dict(content)
        except BalrogError as error:
            raise BalrogError(f"{self.config}: {error}") from None

    def saved_data(self) -> RunData:
        """What the run was started on.

        Raises
        ------
        BalrogError
            If there is no such run, or its data.yaml cannot be read.
        """
        content = self._read(self.data)
        expected = {field.name for field in fields(RunData)}
        if not {"shards", "manifest_sha256"} <= content.keys() <= expected:
            raise BalrogError(
                f"{self.data} must have {', '.join(sorted(expected))}; found "
                f"{', '.join(sorted(content))}. Start a new run under another --name"
            )
        return RunData(**content)

    def _read(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            raise BalrogError(f"no run to resume: {path} is missing; train without --resume")
        try:
            return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise BalrogError(f"{path} cannot be read as the file of a run: {error}") from None

    def start(self, settings: Settings, data: RunData, overwrite: bool) -> None:
        """Create the directory and save the settings.

        Parameters
        ----------
        settings : Settings
            Of this run.
        data : RunData
            What it is made of.
        overwrite : bool
            Replace an older run of this name.

        Raises
        ------
        BalrogError
            If the run exists and is not to be replaced, or what is there is no run.
        """
        self.require_free(overwrite)
        if self.directory.exists():
            remove_directory(self.directory)
        for path, content in ((self.data, asdict(data)), (self.config, settings.to_dict())):
            with atomic_path(path) as partial:
                partial.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def require_free(self, overwrite: bool) -> None:
        """Refuse what :meth:`start` would refuse, and change nothing.

        Parameters
        ----------
        overwrite : bool
            Replace an older run of this name.

        Raises
        ------
        BalrogError
            If the run exists and is not to be replaced, or what is there is no run.
        """
        if self.directory.exists() and any(self.directory.iterdir()):
            if not overwrite:
                raise BalrogError(
                    f"{self.directory} exists already: continue it with --resume, choose another "
                    "--name, or replace it with --overwrite"
                )
            self._require_run()

    def _require_run(self) -> None:
        """Never delete what is no run.

        Every run has a ``data.yaml`` that says what it is made of, written before all else; one
        killed before that holds unfinished files only. Many programs have a ``config.yaml``.
        """
        if all(_PARTIAL.fullmatch(path.name) for path in self.directory.iterdir()):
            return
        try:
            self.saved_data()
        except BalrogError:
            raise BalrogError(
                f"{self.directory} must be a run to be replaced, but holds something else (a run "
                f"has a {self.data.name} that can be read); choose another --name, or delete it "
                "yourself"
            ) from None

    def check_same(self, settings: Settings, data: RunData) -> None:
        """Refuse to resume with other settings, shards, members or start.

        Raises
        ------
        BalrogError
            Naming what differs.
        """
        saved = self.saved_data()
        if saved.manifest_sha256 != data.manifest_sha256:
            raise BalrogError(
                f"{self.directory} was started on other shards ({saved.shards}); "
                f"{data.shards} differs. Resume with those, or choose another --name"
            )
        different = self.saved_settings().differences(settings)
        for name in ("members", "detection", "start_from", "start_from_sha256"):
            before, now = getattr(saved, name), getattr(data, name)
            if before != now:
                different[name] = before, now
        if different:
            listing = ", ".join(f"{n} was {a!r}, now {b!r}" for n, (a, b) in different.items())
            raise BalrogError(
                f"{self.directory} was started with other settings: {listing}; resume with the "
                "same ones, or start a new run under another --name"
            )

    def log_to_file(self) -> logging.Handler:
        """Handler that appends to ``train.log``; the caller attaches and removes it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler
