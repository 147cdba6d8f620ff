"""One training run: its members, its detection model, and their export as one emulator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from balrog_keras.bundle import is_bundle
from balrog_keras.config import Settings
from balrog_keras.datasets import batches_in_epoch
from balrog_keras.detection_fit import fit_detection
from balrog_keras.distribution import is_chief, open_strategy, wait_for_all
from balrog_keras.domain_fit import fit_domain
from balrog_keras.draw_bounds import DrawBounds
from balrog_keras.export import export_emulator
from balrog_keras.file_errors import tensorflow_file_errors
from balrog_keras.fine_tune import Base
from balrog_keras.fitting import Interrupted
from balrog_keras.member_training import Rows, train_member
from balrog_keras.members import TrainedMember, member_settings
from balrog_keras.runs import Run, RunData
from balrog_keras.training_summary import log_summary
from data_prep.errors import BalrogError
from data_prep.files import linked_place, sha256_of
from data_prep.locks import locked
from data_prep.manifest import MANIFEST_NAME, Manifest

__all__ = ["Interrupted", "train"]

logger = logging.getLogger(__name__)

_GO_ON = "checkpoints so far are kept: make room, then run again with --resume"


def train(
    shards: Path,
    name: str,
    settings: Settings,
    runs: Path = Path("runs"),
    saved_models: Path = Path("saved_models"),
    resume: bool = False,
    overwrite: bool = False,
    *,
    members: int = 1,
    detection: bool = True,
    start_from: Path | None = None,
    strategy: str = "none",
    on_validation: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """Train an emulator on shards and export it.

    Parameters
    ----------
    shards : path
        Directory made by ``python -m data_prep prepare``.
    name : str
        The run is kept in ``runs/NAME``, the emulator in ``saved_models/NAME``.
    settings : Settings
        Hyper-parameters.
    runs, saved_models : path
        Where runs and exported emulators are kept.
    resume : bool
        Continue the run from its last checkpoint; the result is that of an uninterrupted run.
    overwrite : bool
        Replace an older run of this name.
    members : int
        Trained alike but for their seeds and exported as one emulator; more than one are kept in
        ``runs/NAME/member-K``.
    detection : bool
        Fit P(detected | condition) too where the shards have undetected rows.
    start_from : path, optional
        Exported emulator to be fine-tuned: its networks and standardizers are the start.
    strategy : {'none', 'mirrored', 'multiworker'}
        How the training is spread over devices, see
        :func:`balrog_keras.distribution.open_strategy`.
    on_validation : callable, optional
        Called with the step and the scores after every validation of member 0; what it raises ends
        the training.

    Returns
    -------
    pathlib.Path
        The exported emulator, ``saved_models/NAME``.

    Raises
    ------
    BalrogError
        For bad shards, a name that is no file name, a run that exists or differs or that another
        process is training, an emulator that cannot be fine-tuned, or a loss that became NaN or
        infinite.
    Interrupted
        After SIGINT or SIGTERM; a checkpoint has been written.
    OSError
        If the run or the emulator cannot be written; the run can be resumed.
    """
    _require_name(name)
    spread = open_strategy(strategy)
    manifest, destination = Manifest.load(shards), linked_place(Path(saved_models) / name)
    _require_free(destination)
    base = None if start_from is None else Base(start_from)
    if base is not None:
        base.require_fits(manifest.schema, settings, members, destination)
    data = RunData(
        shards=str(Path(shards).resolve()),
        manifest_sha256=sha256_of(Path(shards) / MANIFEST_NAME),
        members=members,
        detection=detection,
        start_from=None if base is None else str(base.directory),
        start_from_sha256=None if base is None else base.sha256,
    )
    run, chief = Run(linked_place(Path(runs) / name)), is_chief(spread)
    with _only_writer(run.directory, destination) if chief else nullcontext():
        if resume:
            run.check_same(settings, data)
        elif chief:
            run.require_free(overwrite)
        # Rows that will not do are refused before a run is begun, or an older one replaced.
        rows = Rows.of(Path(shards), settings)
        batches_in_epoch(rows.training.rows, settings.critic_steps * settings.batch_size)
        if chief and not resume:
            run.start(settings, data, overwrite)
        wait_for_all(spread)
        with _logged(run, chief), tensorflow_file_errors(_GO_ON):
            trained = _train_members(
                rows, manifest, run, settings, data, base, spread, on_validation
            )
            if chief:
                model = None
                if detection:
                    model = _fit_detection(Path(shards), manifest, settings, base, run)
                sample = rows.training.sample()
                domain = fit_domain(
                    sample["condition"],
                    rows.validation["condition"],
                    manifest.schema,
                    settings.seed,
                )
                bounds = DrawBounds.of_rows(
                    manifest.schema, sample["condition"], sample["measured"]
                )
                export_emulator(
                    destination, trained, manifest, settings, shards, domain, model, base, bounds
                )
                log_summary(trained, rows.counts, settings, run, destination, shards)
            wait_for_all(spread)
    return destination


@contextmanager
def _only_writer(run: Path, destination: Path) -> Iterator[None]:
    """Keep other processes off the run and, from the start, off where its emulator goes."""
    fresh = [place for place in (run.parent, destination.parent) if not place.exists()]
    try:
        with (
            locked(run, "choose another --name"),
            locked(destination, "choose another --name or --saved_models"),
        ):
            yield
    finally:
        for place in fresh:
            with suppress(OSError):  # it is not empty: something was trained or exported
                place.rmdir()


def _require_name(name: str) -> None:
    """A run and its emulator are directories of this name, and nothing else's."""
    if not name.strip() or name != name.strip() or name.startswith(".") or set(name) & set("/\\\0"):
        raise BalrogError(
            "--name must be a file name that does not start with a dot, without slashes, or spaces "
            f"at its ends; found {name!r}. Other places are chosen with --runs and --saved_models"
        )


def _require_free(destination: Path) -> None:
    """Refuse, before hours of training, to export over anything but an emulator."""
    if destination.is_dir() and (is_bundle(destination) or not any(destination.iterdir())):
        return
    if destination.exists():
        raise BalrogError(
            f"the emulator goes to {destination}, which holds something else; choose another "
            "--name or --saved_models"
        )


def _train_members(
    rows: Rows,
    manifest: Manifest,
    run: Run,
    settings: Settings,
    data: RunData,
    base: Base | None,
    spread: Any,
    on_validation: Callable[[int, dict[str, float]], None] | None,
) -> list[TrainedMember]:
    """Train one after the other; only member 0 is watched."""
    trained = []
    for number in range(data.members):
        own = _member_run(run, number, settings, data, spread)
        with _logged(own, is_chief(spread) and own is not run):
            trained.append(
                train_member(
                    rows,
                    manifest,
                    own,
                    member_settings(settings, number),
                    None if base is None else partial(base.load, number),
                    spread,
                    on_validation if number == 0 else None,
                )
            )
    return trained


@contextmanager
def _logged(run: Run, wanted: bool) -> Iterator[None]:
    """Write the log to the run's file too, if wanted."""
    if not wanted:
        yield
        return
    handler = run.log_to_file()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _member_run(run: Run, number: int, settings: Settings, data: RunData, spread: Any) -> Run:
    """Directory of a member, begun if it is new; the run's own if it is the only member."""
    if data.members == 1:
        return run
    own = run.member(number)
    if is_chief(spread) and not own.started:
        own.start(member_settings(settings, number), replace(data, members=1), overwrite=True)
    wait_for_all(spread)
    logger.info("member %d of %d: %s", number, data.members, own.directory)
    return own


def _fit_detection(
    shards: Path, manifest: Manifest, settings: Settings, base: Base | None, run: Run
) -> Any:
    """Detection model of the shards, or that of the fine-tuned emulator where they have none."""
    curves = run.tensorboard / "detection"
    model = fit_detection(shards, manifest.schema, settings, settings.seed, curves)
    if model is None and base is not None:
        model = base.detection()
        if model is not None:
            logger.warning("the detection model is that of %s, not fitted again", base.directory)
    return model
