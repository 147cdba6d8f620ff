"""One training run: standardize, fit the GAN, keep the best generator, export it."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.building import Seeds, build_gan
from balrog_keras.callbacks import Monitor, ProgressLine, StopOnNonFinite, StopOnSignal, Validate
from balrog_keras.checkpoints import Checkpoints
from balrog_keras.config import Settings
from balrog_keras.datasets import training_batches
from balrog_keras.export import export_emulator
from balrog_keras.runs import Run
from balrog_keras.standardizer import Standardizer
from balrog_keras.standardizer_fit import fit_standardizer
from balrog_keras.validation import Validator
from balrog_keras.wgan_gp import ConditionalWGANGP
from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.progress import Progress
from data_prep.shards import read_split

__all__ = ["Interrupted", "train"]

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """Training was stopped by a signal, after a checkpoint.

    Attributes
    ----------
    signal_number : int
        The signal.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def train(
    shards: Path,
    name: str,
    settings: Settings,
    runs: Path = Path("runs"),
    saved_models: Path = Path("saved_models"),
    resume: bool = False,
    overwrite: bool = False,
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

    Returns
    -------
    pathlib.Path
        The exported emulator, ``saved_models/NAME``.

    Raises
    ------
    BalrogError
        For bad shards, a run that exists or differs, or a loss that became NaN or infinite.
    Interrupted
        After SIGINT or SIGTERM; a checkpoint has been written.
    """
    manifest = Manifest.load(shards)
    data = {
        "shards": str(Path(shards).resolve()),
        "manifest_sha256": sha256_of(Path(shards) / MANIFEST_NAME),
    }
    run = Run(Path(runs) / name)
    if resume:
        run.check_same(settings, data)
    else:
        run.start(settings, data, overwrite)
    handler = run.log_to_file()
    logging.getLogger().addHandler(handler)
    try:
        return _train(manifest, Path(shards), run, settings, Path(saved_models) / name)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _train(
    manifest: Manifest, shards: Path, run: Run, settings: Settings, destination: Path
) -> Path:
    splits = {split: read_split(shards, split) for split in ("train", "validation")}
    for split, arrays in splits.items():
        if len(arrays["condition"]) == 0:
            raise BalrogError(f"{shards} has no {split} rows; prepare a larger catalogue")
    if settings.use_weights and "weight" not in splits["train"]:
        raise BalrogError(
            f"setting use_weights needs shards with weights, {shards} has none; prepare them with "
            "a preset that names the `weight` column"
        )
    schema = manifest.schema
    standardizer = Standardizer.for_schema(
        schema, settings.width, settings.depth, Seeds.of(settings.seed).regression
    )
    gan = build_gan(settings, len(schema.condition_names), len(schema.measured_names))
    checkpoints = Checkpoints(run.checkpoints, gan, standardizer)
    rows = {split: len(arrays["condition"]) for split, arrays in splits.items()}
    logger.info(
        "%s training rows, %s validation rows, %d conditions -> %d measured columns",
        f"{rows['train']:,}", f"{rows['validation']:,}",
        len(schema.condition_names), len(schema.measured_names),
    )  # fmt: skip
    if checkpoints.restore():
        logger.info("resuming from step %s (%s)", f"{checkpoints.step:,}", checkpoints.latest)
    else:
        started = time.monotonic()
        fit_standardizer(standardizer, splits["train"], splits["validation"], settings)
        logger.info("location and scale fitted in %.1f s", time.monotonic() - started)
    validator = Validator(
        standardizer,
        schema,
        splits["validation"]["condition"],
        splits["validation"]["measured"],
        settings.latent_dim,
        settings.validation_draws,
        settings.seed,
    )
    condition, measured = splits["train"]["condition"], splits["train"]["measured"]
    standardized = (
        np.asarray(standardizer.standardize_condition(condition)),
        np.asarray(standardizer.standardize(condition, measured)),
    )
    weights = splits["train"]["weight"] if settings.use_weights else None
    _fit(gan, standardized, weights, validator, checkpoints, run, settings, manifest.label)
    scores = validator.scores(checkpoints.best_generator)
    best = {"step": int(checkpoints.best_step.numpy()), **scores}
    bundle = export_emulator(
        destination, checkpoints.best_generator, standardizer, manifest, settings, best, shards
    )
    _summarise(best, rows, settings, run, bundle, shards)
    return bundle


def _fit(
    gan: ConditionalWGANGP,
    standardized: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray | None,
    validator: Validator,
    checkpoints: Checkpoints,
    run: Run,
    settings: Settings,
    label: str,
) -> None:
    """Run Keras' loop from the current step to the last; one of its epochs is one interval."""
    rows, step_rows = len(standardized[0]), settings.critic_steps * settings.batch_size
    seed, interval = Seeds.of(settings.seed).batches, settings.validation_interval
    with Progress("train", settings.steps * step_rows, "galaxies") as progress:
        progress.done = checkpoints.step * step_rows
        validate, stop = Validate(validator, checkpoints), StopOnSignal()
        nonfinite = StopOnNonFinite(checkpoints)
        line = ProgressLine(progress, checkpoints, validate, rows, step_rows)
        monitor = Monitor(run.tensorboard, validate, label)
        while checkpoints.step < settings.steps and not stop.received:
            step = checkpoints.step
            done, inside = divmod(step, interval)
            # A run stopped inside an interval first completes it; the last one may be short.
            steps = min(interval - inside, settings.steps - step)
            whole = 1 if steps < interval else (settings.steps - step) // interval
            gan.fit(
                training_batches(standardized, step_rows, seed, step, weights),
                initial_epoch=done,
                epochs=done + whole,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[nonfinite, validate, monitor, line, stop],
            )
    if stop.received:
        path = checkpoints.save()
        raise Interrupted(
            f"stopped at step {checkpoints.step:,} of {settings.steps:,}; saved {path}. "
            "Continue with the same command and --resume",
            stop.received,
        )


def _summarise(
    best: dict[str, Any], rows: dict[str, int], settings: Settings, run: Run, bundle: Path,
    shards: Path,
) -> None:  # fmt: skip
    """Log the closing table: scores, and where everything is."""
    epochs = settings.steps * settings.critic_steps * settings.batch_size / rows["train"]
    lines = [f"done: {settings.steps:,} steps, {epochs:.1f} epochs, best at step {best['step']:,}"]
    lines += [f"  {name:<28}{value:>12.5f}" for name, value in best.items() if name != "step"]
    lines += [
        f"  run (settings, log)         {run.directory}",
        f"  TensorBoard                 tensorboard --logdir {run.tensorboard}",
        f"  emulator                    {bundle}",
        f"next: python evaluate.py {bundle} --data {shards} --out {run.directory / 'evaluation'}",
    ]
    for text in lines:
        logger.info("%s", text)
