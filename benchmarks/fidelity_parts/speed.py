"""Draws per second of several systems, in turn on the same cores and rows."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fidelity_parts import systems
from fidelity_parts.spec import Spec

from data_prep.shards import read_split

__all__ = ["draws_per_second"]

logger = logging.getLogger(__name__)

_ROWS, _ROUNDS = 131_072, 3


def draws_per_second(
    models: Mapping[str, Path], shards: Path, compiled: bool
) -> dict[str, dict[str, Any]]:
    """Best of three rounds in which every system draws the same rows once.

    Parameters
    ----------
    models : mapping
        Label -> directory of a trained spec.
    shards : path
        Their test rows are repeated to 131,072.
    compiled : bool
        Also try torch.compile, which takes minutes.

    Returns
    -------
    dict
        Label -> ``wall`` and ``cpu`` (draws per second of time and of processor time) and
        ``how`` (for a flow, the fastest of eager, traced and compiled).
    """
    condition = np.resize(read_split(shards, "test")["condition"], (_ROWS, _width(shards)))
    row_id = np.arange(_ROWS)
    ways: dict[tuple[str, str], Any] = {}
    for label, directory in models.items():
        emulator = systems.load(Spec.load(directory / "spec.json").system, directory)
        ways[label, "plain"] = emulator
        if hasattr(emulator, "traced"):
            ways[label, "traced"] = emulator.traced()
            if compiled:
                ways[label, "compiled"] = emulator.compiled()
    for emulator in ways.values():
        emulator.draw(condition, row_id, 0)
    best: dict[str, dict[str, Any]] = {}
    for number in range(_ROUNDS):
        for (label, how), emulator in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            emulator.draw(condition, row_id, number)
            rates = {"wall": _ROWS / (time.perf_counter() - wall),
                     "cpu": _ROWS / (time.process_time() - cpu), "how": how}  # fmt: skip
            logger.info("%s (%s): %.0f draws/s", label, how, rates["wall"])
            if label not in best or rates["wall"] > best[label]["wall"]:
                best[label] = rates
    return best


def _width(shards: Path) -> int:
    from data_prep.manifest import Manifest

    return len(Manifest.load(shards).schema.condition_names)
