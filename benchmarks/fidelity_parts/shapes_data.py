"""Data with nine measured columns: magnitudes, flux errors, size and two ellipticities.

True size and shape are among the conditions, so that parents may be few.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from fidelity_parts.data import checksum, require_size

from data_prep.manifest import Manifest

__all__ = ["make_shapes_shards"]

logger = logging.getLogger(__name__)

PRESET = "mini-balrog-shapes"
SIMULATION = ("--tiles", "320", "--seed", "5", "--replicate")
LEAST_TRAIN, LEAST_TEST, LEAST_REGIONS = 25_000, 5_000, 30


def make_shapes_shards(directory: Path) -> Path:
    """Simulate and prepare what is missing below `directory`; gives the directory of shards.

    Raises
    ------
    BalrogError
        If the splits are smaller than expected.
    """
    simulation, shards = directory / "sim", directory / "shards"
    if not (shards / "manifest.json").is_file():
        if not (simulation / "simulation.json").is_file():
            _data_prep("simulate", "--out", simulation, *SIMULATION)
        _data_prep("prepare", "--preset", PRESET, "--maps", simulation / "maps", "--out", shards,
                   "--catalog", simulation / "balrog_matched_catalog.parquet",
                   "--detection", simulation / "balrog_detection_catalog.parquet",
                   "--replicate", simulation / "replicate_matched_catalog.parquet")  # fmt: skip
    require_size(shards, LEAST_TRAIN, LEAST_TEST, LEAST_REGIONS)
    logger.info("data checksum %s", checksum(Manifest.load(shards)))
    return shards


def _data_prep(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "data_prep", *map(str, arguments)], check=True)
