"""A run's settings and final scores for TensorBoard's HPARAMS page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balrog_keras.config import Settings
from data_prep.errors import require

__all__ = ["describe_hparams", "write_hparams"]


def write_hparams(directory: Path, settings: Settings, scores: Mapping[str, float]) -> None:
    """Write one row of the HPARAMS page: a run's settings, and its scores as ``final/NAME``.

    Parameters
    ----------
    directory : path
        The run's directory of TensorBoard events; the row is named after the two above it, as
        ``search/trial-3`` or ``runs/first``.
    settings : Settings
        Of the run.
    scores : mapping of str to float
        Of its best generator on the validation split.
    """
    tf, plugin = require("tensorflow", "cpu"), require("tensorboard.plugins.hparams.api", "cpu")
    run = directory.resolve().parent
    with _writer(tf, directory).as_default():
        plugin.hparams(settings.to_dict(), trial_id=f"{run.parent.name}/{run.name}")
        for name, value in scores.items():
            tf.summary.scalar(f"final/{name}", value, step=settings.steps)


def describe_hparams(
    directory: Path, space: Mapping[str, Mapping[str, Any]], scores: Mapping[str, str]
) -> None:
    """Choose the columns of the HPARAMS page for all runs below `directory`.

    Parameters
    ----------
    directory : path
        That ``tensorboard --logdir`` is given.
    space : mapping
        Settings that differ between the runs: ``{setting: {"low", "high"} or {"choices"}}``.
    scores : mapping of str to str
        The scores to show, ``{name: text above the column}``.
    """
    tf, plugin = require("tensorflow", "cpu"), require("tensorboard.plugins.hparams.api", "cpu")
    columns = [plugin.HParam(name, _domain(plugin, how)) for name, how in space.items()]
    metrics = [plugin.Metric(f"final/{name}", display_name=title) for name, title in scores.items()]
    with _writer(tf, directory).as_default():
        plugin.hparams_config(columns, metrics)


def _writer(tf: Any, directory: Path) -> Any:
    return tf.summary.create_file_writer(str(directory), filename_suffix=".hparams")


def _domain(plugin: Any, how: Mapping[str, Any]) -> Any:
    if "choices" in how:
        return plugin.Discrete(list(how["choices"]))
    interval = plugin.IntInterval if isinstance(how["low"], int) else plugin.RealInterval
    return interval(how["low"], how["high"])
