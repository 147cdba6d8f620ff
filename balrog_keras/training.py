"""One training run: standardize, fit the GAN, keep the best generator, export it."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np

from balrog_keras.building import Seeds, build_gan
from balrog_keras.checkpoints import Checkpoints
from balrog_keras.config import Settings
from balrog_keras.export import export_emulator
from balrog_keras.fitting import Interrupted, fit_gan
from balrog_keras.runs import Run
from balrog_keras.standardizer import Standardizer
from balrog_keras.standardizer_fit import fit_standardizer
from balrog_keras.training_summary import log_summary
from balrog_keras.validation import Validator
from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.shards import read_split

__all__ = ["Interrupted", "train"]

logger = logging.getLogger(__name__)


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
    fit_gan(gan, standardized, weights, validator, checkpoints, run, settings, manifest.label)
    scores = validator.scores(checkpoints.best_generator)
    best = {"step": int(checkpoints.best_step.numpy()), **scores}
    bundle = export_emulator(
        destination, checkpoints.best_generator, standardizer, manifest, settings, best, shards
    )
    log_summary(best, rows, settings, run, bundle, shards)
    return bundle
