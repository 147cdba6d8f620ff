"""Settings of the prepare job, and their command-line options."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from data_prep.catalogs import Catalog
from data_prep.command_line import add_examples
from data_prep.errors import BalrogError
from data_prep.splits import check_fractions

__all__ = ["PrepareSettings", "add_arguments", "settings_from"]

_EXAMPLES = """\
examples:
  python -m data_prep prepare --catalog matched.fits --detection all.fits --maps maps --out shards
  python -m data_prep prepare --preset my/survey.yaml --catalog matched.parquet \\
      --detection all.parquet --maps maps --out shards --split sky+parent --workers 4
  python -m data_prep prepare --catalog matched.fits --maps maps --out shards --resume
"""


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """What to prepare, from what, and how.

    A catalogue is a path, or a :class:`data_prep.catalogs.Catalog` that is open already.

    Attributes
    ----------
    catalog : path or Catalog
        Matched catalogue; where the preset says ``join: none``, every injection.
    maps, out : path
        Directory of survey property maps; directory of shards to write.
    preset : str or path
        See :func:`data_prep.preset.load_preset`.
    detection : path, Catalog or None
        Catalogue of every injection.
    deep : path, Catalog or None
        Deep-field table, joined by the parent's id.
    neighbors : path, Catalog or None
        Truth catalogue around the injections, for neighbour columns; None: the injections.
    replicate, replicate_detection : path, Catalog or None
        Matched and detection catalogue of a redraw of the test injections.
    without_detection : bool
        Whether no detection shards are written though the catalogue has every injection.
    validation_rows : int
        Most rows of the validation split; never more than a tenth of all rows.
    validation_fraction, test_fraction : float
        Of the regions of the sky.
    split : {"sky", "parent", "sky+parent"}
        By region of the sky, by parent, or by region with those rows dropped whose parent
        belongs to another split.
    split_seed : int
        Seed of splits and shuffles.
    shards : int or None
        Files of the train split; None: eight, or more so that none has more than about two
        million rows.
    unit : {"mag", "flux", "nJy"} or None
        Unit of magnitudes and fluxes in the catalogue, if not what the preset says.
    map_nside, map_nest : int, bool, or None
        For maps whose header lacks NSIDE or ORDERING.
    strict : bool
        Whether a dropped bad value is an error.
    force : bool
        Whether shards already there are replaced.
    batch_rows : int
        Catalogue rows read at a time; sets the memory needed, not the result.
    allow_pickle : bool
        Whether pickled catalogues, which can run code, are read.
    interpolate : bool
        Whether map values are interpolated between pixels (bilinear), not those of the pixel.
    workers : int
        Processes of a Dask cluster on this machine; 0: none but this one.
    dask : str or None
        Address of a Dask scheduler whose workers see the same files.
    resume : bool
        Whether to go on with an interrupted job.
    """

    catalog: Path | Catalog
    maps: Path
    out: Path
    preset: str = "des-y3-sof"
    detection: Path | Catalog | None = None
    deep: Path | Catalog | None = None
    neighbors: Path | Catalog | None = None
    replicate: Path | Catalog | None = None
    replicate_detection: Path | Catalog | None = None
    without_detection: bool = False
    validation_rows: int = 10_000
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    split: str = "sky"
    split_seed: int = 0
    shards: int | None = None
    unit: str | None = None
    map_nside: int | None = None
    map_nest: bool | None = None
    strict: bool = False
    force: bool = False
    batch_rows: int = 250_000
    allow_pickle: bool = False
    interpolate: bool = False
    workers: int = 0
    dask: str | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        for name, least in (("validation_rows", 1), ("shards", 1), ("batch_rows", 1),
                            ("workers", 0)):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value < least:
                raise BalrogError(
                    f"--{name.replace('_', '-')} must be at least {least}, found {value}"
                )
        check_fractions(self.validation_fraction, self.test_fraction)
        if self.out.name in ("", ".."):
            raise BalrogError(f"--out must name a directory of its own, found {self.out}")
        if self.dask and self.workers:
            raise BalrogError("--dask and --workers exclude each other: give one")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m data_prep prepare``."""
    add_examples(parser, _EXAMPLES)
    optional = [field for field in fields(PrepareSettings) if field.default is not MISSING]
    parser.set_defaults(**{field.name: field.default for field in optional})
    add = parser.add_argument
    files = parser.add_argument_group("files")
    for name, required, text in (
        (
            "catalog",
            True,
            "matched catalogue (detected injections): FITS, HDF5, Parquet, HATS, CSV",
        ),
        ("maps", True, "directory of survey property maps"),
        ("out", True, "directory of shards to write"),
        ("detection", False, "detection catalogue (every injection)"),
        ("deep", False, "deep-field table (the injected galaxies), joined by the parent's id"),
        ("neighbors", False, "truth catalogue of the neighbours, if not the injections"),
        ("replicate", False, "matched catalogue of a redraw of the test injections"),
        ("replicate-detection", False, "its detection catalogue, if not named like it"),
    ):
        files.add_argument(f"--{name}", type=Path, required=required, help=text)
    add("--preset", help="preset name or path of a .yaml file (default %(default)s)")
    add("--unit", choices=("mag", "flux", "nJy"), help="unit in the catalogue, if not the preset's")
    add("--map-nside", type=int, help="nside of maps whose header has no NSIDE")
    add("--map-ordering", choices=("nest", "ring"), help="ordering of maps without ORDERING")
    add("--interpolate", action="store_true", help="interpolate maps between pixels (bilinear)")
    add("--without-detection", action="store_true", help="write no detection shards")
    add("--allow-pickle", action="store_true", help="read pickled tables; pickles can run code")
    add(
        "--split",
        choices=("sky", "parent", "sky+parent"),
        help="split by sky region, by parent, or by both (rows that would cross are dropped)",
    )
    add("--split-seed", type=int, help="seed of splits and shuffles (default %(default)s)")
    for name in ("validation-fraction", "test-fraction"):
        add(f"--{name}", type=float, help="of the sky regions (default %(default)s)")
    add("--validation-rows", type=int, help="most validation rows (default %(default)s)")
    add("--shards", type=int, help="files of the train split (default by the number of rows)")
    add("--batch-rows", type=int, help="catalogue rows read at a time (default %(default)s)")
    add("--strict", action="store_true", help="make a bad value an error instead of a drop")
    add("--workers", type=int, help="processes on this machine (extra `distributed`)")
    add("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, as tcp://host:8786")
    add("--resume", action="store_true", help="go on with an interrupted job")
    add("--force", action="store_true", help="replace shards that are already there")


def settings_from(arguments: argparse.Namespace) -> PrepareSettings:
    """Settings from parsed options; BalrogError if one is out of range."""
    values = vars(arguments)
    ordering = values["map_ordering"]
    values["map_nest"] = None if ordering is None else ordering == "nest"
    return PrepareSettings(**{field.name: values[field.name] for field in fields(PrepareSettings)})
