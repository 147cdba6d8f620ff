"""An evaluation for TensorBoard: the numbers and figures of the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.evaluation import Evaluation
from balrog_keras.evaluation_figures import evaluation_figures
from balrog_keras.monitor_figures import as_image

__all__ = ["scalars", "write_events"]


def scalars(statistics: dict[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """Every value and null in nested statistics.

    Parameters
    ----------
    statistics : dict
        Of metrics.json.
    prefix : str
        What the names start with.

    Yields
    ------
    name : str
        For example ``evaluation/bias/meas_mag_r``; nulls end with ``/null``.
    value : float
        Known values only.
    """
    for key, entry in statistics.items():
        if not isinstance(entry, dict):
            continue
        name = f"{prefix}/{key}"
        if "value" not in entry:
            yield from scalars(entry, name)
            continue
        for kind, suffix in (("value", ""), ("null", "/null")):
            if entry.get(kind) is not None:
                yield name + suffix, float(entry[kind])


def write_events(evaluation: Evaluation, document: dict[str, Any], directory: Path) -> None:
    """Write scalars and images; ``tensorboard --logdir`` shows them beside those of training.

    Parameters
    ----------
    evaluation : Evaluation
        Gives the figures.
    document : dict
        Content of metrics.json; gives the numbers.
    directory : pathlib.Path
        For example ``runs/NAME/tensorboard/evaluation``; made if missing.
    """
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(directory))
    parts = {
        "evaluation": document["statistics"],
        "science": document.get("science", {}),
        "detection": document.get("detection", {}).get("statistics", {}),
    }
    with writer.as_default():
        for part, statistics in parts.items():
            for name, value in scalars(statistics, part):
                tf.summary.scalar(name, value, step=0)
        for bar in document["bars"]:
            tf.summary.scalar(f"bars/{bar['name']}", float(bar["passed"]), step=0)
        for number, named in enumerate(evaluation_figures(evaluation)):
            image = as_image(named.figure)[np.newaxis]
            tf.summary.image(f"{named.section}/{number:02d}", image, step=0, description=named.text)
    writer.close()
