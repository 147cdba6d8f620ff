"""Settings of the prepare job, and their command-line options."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from data_prep.errors import BalrogError

__all__ = ["PrepareSettings", "add_arguments", "settings_from"]


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """What to prepare, from what, and how.

    Attributes
    ----------
    catalog, maps, out : path
        Matched catalogue; directory of survey property maps; directory of shards to write.
    preset : str or path
        See :func:`data_prep.preset.load_preset`.
    detection : path or None
        Catalogue of every injection.
    replicate, replicate_detection : path or None
        Matched and detection catalogue of a redraw of the test injections.
    validation_rows : int
        Most rows of the validation split; never more than a tenth of all rows.
    validation_fraction, test_fraction : float
        Of the regions of the sky.
    split : {"sky", "sky+parent"}
        Whether rows whose parent belongs to another split are dropped.
    split_seed : int
        Seed of splits and shuffles.
    shards : int
        Files of the train split.
    unit : {"mag", "flux"} or None
        Unit in the catalogue, if not what the preset says.
    map_nside, map_nest : int, bool, or None
        For maps whose header lacks NSIDE or ORDERING.
    strict : bool
        Whether a dropped bad value is an error.
    force : bool
        Whether shards already there are replaced.
    batch_rows : int
        Catalogue rows read at a time.
    """

    catalog: Path
    maps: Path
    out: Path
    preset: str = "des-y3-sof"
    detection: Path | None = None
    replicate: Path | None = None
    replicate_detection: Path | None = None
    validation_rows: int = 10_000
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    split: str = "sky"
    split_seed: int = 0
    shards: int = 8
    unit: str | None = None
    map_nside: int | None = None
    map_nest: bool | None = None
    strict: bool = False
    force: bool = False
    batch_rows: int = 250_000

    def __post_init__(self) -> None:
        for name in ("validation_rows", "shards", "batch_rows"):
            if getattr(self, name) < 1:
                raise BalrogError(
                    f"--{name.replace('_', '-')} must be at least 1, found {getattr(self, name)}"
                )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m data_prep prepare``."""
    optional = [field for field in fields(PrepareSettings) if field.default is not MISSING]
    parser.set_defaults(**{field.name: field.default for field in optional})
    add = parser.add_argument
    files = parser.add_argument_group("files")
    for name, required, text in (
        ("catalog", True, "matched catalogue (detected injections): FITS or Parquet"),
        ("maps", True, "directory of survey property maps"),
        ("out", True, "directory of shards to write"),
        ("detection", False, "detection catalogue (every injection)"),
        ("replicate", False, "matched catalogue of a redraw of the test injections"),
        ("replicate-detection", False, "its detection catalogue, if not named like it"),
    ):
        files.add_argument(f"--{name}", type=Path, required=required, help=text)
    add("--preset", help="preset name or path of a .yaml file (default %(default)s)")
    add("--unit", choices=("mag", "flux"), help="unit in the catalogue, if not the preset's")
    add("--map-nside", type=int, help="nside of maps whose header has no NSIDE")
    add("--map-ordering", choices=("nest", "ring"), help="ordering of maps without ORDERING")
    add("--split", choices=("sky", "sky+parent"), help="split by sky region, or by parent too")
    add("--split-seed", type=int, help="seed of splits and shuffles (default %(default)s)")
    for name in ("validation-fraction", "test-fraction"):
        add(f"--{name}", type=float, help="of the sky regions (default %(default)s)")
    add("--validation-rows", type=int, help="most validation rows (default %(default)s)")
    add("--shards", type=int, help="files of the train split (default %(default)s)")
    add("--batch-rows", type=int, help="catalogue rows read at a time (default %(default)s)")
    add("--strict", action="store_true", help="make a bad value an error instead of a drop")
    add("--force", action="store_true", help="replace shards that are already there")


def settings_from(arguments: argparse.Namespace) -> PrepareSettings:
    """Settings from parsed options; BalrogError if one is out of range."""
    values = vars(arguments)
    ordering = values["map_ordering"]
    values["map_nest"] = None if ordering is None else ordering == "nest"
    return PrepareSettings(**{field.name: values[field.name] for field in fields(PrepareSettings)})
