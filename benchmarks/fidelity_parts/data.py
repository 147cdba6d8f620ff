"""The benchmark's data: one simulation, its shards, their frozen checksums, smaller copies of them.

Everything is made from seeds. The checksum covers the records of every split and the schema, not
when and where they were made; another one means another machine or other library versions, whose
numbers must not be put into one table.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import atomic_directory
from data_prep.manifest import Manifest, write_manifest
from data_prep.shards import PieceWriter, assemble_split, read_split

__all__ = [
    "FROZEN_CHECKSUMS",
    "SCHEMA",
    "checksum",
    "home",
    "make_more",
    "make_shards",
    "require_size",
    "shards_with_rows",
    "validation_shards",
]

logger = logging.getLogger(__name__)

# The preset of the published table: three measured magnitudes.
SCHEMA = "des-y3-sof"
FROZEN_CHECKSUMS = {
    SCHEMA: "9452e4865595c081aa462b9f831c13ab8b106239845ce08b860ad7b52741e32c",
    "mini-balrog-shapes": "57682ef7e4ae7da09ae7ac9579703d4561d12903ad9252fcf828c6da9e4d7879",
}
# Nearly every injection has a parent of its own: rows that share one also share its size and shape,
# which are no conditions, and with few parents even a perfect emulator differs from the test rows.
FRACTIONS = ("--validation-fraction", "0.06", "--test-fraction", "0.32")
SIMULATION = ("--tiles", "2200", "--parents", "1000000", "--seed", "4", *FRACTIONS, "--replicate")
# Training rows beyond those of the table: other skies, other galaxies, 813,000 rows of each seed.
MORE_FRACTIONS = ("--validation-fraction", "0.01", "--test-fraction", "0.01")
MORE = ("--tiles", "5500", "--parents", "3000000", *MORE_FRACTIONS)
FIRST_MORE_SEED = 5
LEAST_TRAIN, LEAST_TEST, LEAST_REGIONS = 150_000, 100_000, 30
_MORE_SHARDS = "shards-more-{seed}"
_REPLICATE = "replicate_matched_catalog.parquet"
# Far more than training looks at: an AUC of 10,000 rows is known to 0.004 alone.
_VALIDATION_ROWS = 50_000


def home(directory: Path, schema: str = SCHEMA) -> Path:
    """Where shards, models, results and caches of a schema are: below `directory`, its own folder.

    Parameters
    ----------
    directory : path
        Of the benchmark; the simulation in it serves every schema.
    schema : str
        Name of a preset, or path of one.
    """
    return directory if schema == SCHEMA else directory / Path(schema).stem


def make_shards(directory: Path, schema: str = SCHEMA) -> Path:
    """Simulate and prepare what is missing below `directory`; gives the directory of shards.

    Parameters
    ----------
    directory, schema
        As in :func:`home`. Every schema has the same split of the same injections.

    Raises
    ------
    BalrogError
        If the splits are smaller than the benchmark demands.
    """
    simulation, shards = directory / "sim", home(directory, schema) / "shards"
    if not (shards / "manifest.json").is_file():
        if not (simulation / "simulation.json").is_file():
            _data_prep("simulate", "--out", simulation, *SIMULATION)
        _prepare(simulation, schema, shards, *FRACTIONS, "--replicate", simulation / _REPLICATE)
    require_size(shards)
    found = checksum(Manifest.load(shards))
    logger.info("data checksum %s", found)
    frozen = FROZEN_CHECKSUMS.get(schema)
    if frozen and found != frozen:
        logger.warning(
            "THE DATA DIFFER from those of the published table (checksum %s): other library "
            "versions or another machine; do not put these numbers beside those",
            frozen,
        )
    return shards


def validation_shards(directory: Path, schema: str = SCHEMA) -> Path:
    """The same shards with every validation row that `prepare` allows, for AUCs of validation."""
    shards = home(directory, schema) / "shards-validation"
    if not (shards / "manifest.json").is_file():
        simulation = directory / "sim"
        options = (*FRACTIONS, "--replicate", simulation / _REPLICATE)
        _prepare(simulation, schema, shards, *options, "--validation-rows", _VALIDATION_ROWS)
    return shards


def make_more(directory: Path, schema: str, rows: int) -> None:
    """Simulate and prepare the further training rows that a long learning curve needs.

    They go where :func:`shards_with_rows` takes them from.

    Parameters
    ----------
    directory, schema
        As in :func:`home`.
    rows : int
        Training rows wanted, those of :func:`make_shards` among them. One simulation after the
        other is made until there are as many.
    """
    shards = home(directory, schema) / "shards"
    have, seed = _train_rows(shards), FIRST_MORE_SEED
    while have < rows:
        more = _more_shards(shards, seed)
        if not (more / "manifest.json").is_file():
            logger.info("%s training rows of %s: simulating more", f"{have:,}", f"{rows:,}")
            simulation = directory / f"sim-more-{seed}"
            if not (simulation / "simulation.json").is_file():
                _data_prep("simulate", "--out", simulation, *MORE, "--seed", seed)
            _prepare(simulation, schema, more, *MORE_FRACTIONS)
        have, seed = have + _train_rows(more), seed + 1


def _more_shards(shards: Path, seed: int) -> Path:
    return shards.parent / _MORE_SHARDS.format(seed=seed)


def _train_rows(shards: Path) -> int:
    return Manifest.load(shards).splits["train"]["rows"]


def _prepare(simulation: Path, schema: str, shards: Path, *options: object) -> None:
    catalogs = {
        "--catalog": "balrog_matched_catalog.parquet",
        "--detection": "balrog_detection_catalog.parquet",
    }
    files = [part for key, name in catalogs.items() for part in (key, simulation / name)]
    _data_prep("prepare", "--preset", schema, "--maps", simulation / "maps", *files,
               "--out", shards, *options)  # fmt: skip


def _data_prep(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "data_prep", *map(str, arguments)], check=True)


def checksum(manifest: Manifest) -> str:
    """SHA-256 over the schema and every shard's SHA-256, in order."""
    shards = {
        name: [shard["sha256"] for shard in split["shards"]]
        for name, split in sorted(manifest.splits.items())
    }
    canonical = json.dumps([manifest.schema.fingerprint, shards], separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def require_size(
    shards: Path,
    train: int = LEAST_TRAIN,
    test: int = LEAST_TEST,
    regions: int = LEAST_REGIONS,
) -> None:
    """Refuse shards with fewer rows or test regions, or without an oracle.

    Raises
    ------
    BalrogError
        If they have.
    """
    manifest = Manifest.load(shards)
    splits = manifest.splits
    if "oracle" not in splits:
        raise BalrogError(f"{shards} must have an oracle split: prepare with --replicate")
    found = splits["train"]["rows"], splits["test"]["rows"], len(_regions(shards))
    if any(have < least for have, least in zip(found, (train, test, regions), strict=True)):
        raise BalrogError(
            f"{shards} must have {train:,} train rows and {test:,} test rows of {regions} regions; "
            "it has {:,}, {:,} of {}: simulate more tiles".format(*found)
        )


def _regions(shards: Path) -> np.ndarray:
    return np.unique(read_split(shards, "test")["region"])


def shards_with_rows(shards: Path, rows: int, destination: Path) -> Path:
    """A copy of the shards whose train split is its first `rows` rows (they are in random order).

    Parameters
    ----------
    shards : path
        The benchmark's, or a user's.
    rows : int
        More than `shards` have are taken from the folder that :func:`make_more` fills beside them.
    destination : path
        Directory of the copy; kept if it is there.

    Raises
    ------
    BalrogError
        If there are not as many.
    """
    if (destination / "manifest.json").is_file():
        return destination
    manifest = Manifest.load(shards)
    train = read_split(shards, "train")
    parts, seed = [train], FIRST_MORE_SEED
    while (
        rows > sum(len(part["region"]) for part in parts)
        and (_more_shards(shards, seed) / "manifest.json").is_file()
    ):
        parts.append(read_split(_more_shards(shards, seed), "train"))
        seed += 1
    if len(parts) > 1:
        train = {name: np.concatenate([part[name] for part in parts]) for name in train}
        order = np.random.default_rng(rows).permutation(len(train["region"]))
        train = {name: values[order] for name, values in train.items()}
    have = len(train["region"])
    if not 1 <= rows <= have:
        raise BalrogError(f"expected 1 to {have:,} training rows, found {rows:,}")
    train = {name: values[:rows] for name, values in train.items()}
    with atomic_directory(destination) as partial:
        for name, split in manifest.splits.items():
            if name != "train":
                for shard in split["shards"]:
                    shutil.copyfile(shards / shard["file"], partial / shard["file"])
        piece = partial / "piece"
        with PieceWriter.open(piece) as writer:
            writer.write(train)
        widths = manifest.splits["train"]["features"]
        described = assemble_split(partial, "train", [(piece, writer.describe())], widths, rows, 1)
        piece.unlink()
        content = {
            key: value
            for key, value in manifest.content.items()
            if key not in ("format_version", "schema", "fingerprint", "sha256")
        }
        content["splits"] = {**manifest.splits, "train": described}
        write_manifest(partial, manifest.schema, content)
    return destination
