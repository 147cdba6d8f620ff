"""Options of a command that reads a truth catalogue for an emulator."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.measured_cuts import MeasuredCut, preset_cuts, read_cuts
from data_prep.command_line import add_verbosity, user_path
from data_prep.errors import BalrogError
from data_prep.files import sha256_of
from data_prep.preset import load_preset
from data_prep.schema import Schema

__all__ = ["add_truth_options", "emulator_record", "selection_cuts", "truth_columns"]

logger = logging.getLogger(__name__)


def add_truth_options(parser: argparse.ArgumentParser) -> None:
    """Add the emulator, the catalogue, and how its columns are called."""
    add = parser.add_argument
    add("emulator", type=user_path, help="saved_models/NAME")
    add("--catalog", type=user_path, required=True,
        help="truth catalogue: FITS, HDF5, Parquet (file or directory), HATS or CSV")  # fmt: skip
    add("--preset", help="the catalogue has the column names and units of this survey's preset: "
        "its name, or a .yaml file")  # fmt: skip
    add("--columns", nargs="+", action="extend", default=[], metavar="CONDITION=COLUMN",
        help="names in the catalogue, as true_mag_r=MAG_R or true_mag_r=MAGS[1]")  # fmt: skip
    add("--allow-pickle", action="store_true",
        help="open a pandas pickle; pickles run code: only files that you trust")  # fmt: skip
    add("--seed", type=int, default=0, help="another seed is another realization (default 0)")
    add("--member", type=int, default=0, help="which member of an ensemble draws (default 0)")
    add("--cut", action="append", default=[], metavar="EXPRESSION", dest="cuts",
        help="keep detected galaxies by their measured columns, as 'meas_mag_i < 22.5'; "
        "can be given more than once")  # fmt: skip
    add("--cuts-of", metavar="PRESET", help="apply this preset's cuts on measured columns too")
    # Commands that need positions or ids add options for them.
    parser.set_defaults(ra=None, dec=None, row_id=None)
    add_verbosity(parser)


def truth_columns(options: argparse.Namespace, keep: Sequence[str] = ()) -> CatalogColumns:
    """Where the catalogue has its columns, those to keep among them.

    Raises
    ------
    BalrogError
        If there is no such preset, it is given with names, or ``--columns`` is malformed.
    """
    names = {"--columns": options.columns, "--ra": options.ra, "--dec": options.dec,
             "--row-id": options.row_id}  # fmt: skip
    if options.preset:
        both = [option for option, given in names.items() if given]
        if both:
            raise BalrogError(f"--preset names the columns itself: leave out {', '.join(both)}")
        return CatalogColumns.of_preset(load_preset(options.preset), keep)
    pairs = [text.partition("=") for text in options.columns]
    wrong = [name + equals + column for name, equals, column in pairs if not equals]
    if wrong:
        raise BalrogError(f"--columns takes CONDITION=COLUMN, found {', '.join(wrong)}")
    given = [name for name, _, _ in pairs]
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise BalrogError(
            f"--columns takes one column for each condition; found several for {', '.join(twice)}"
        )
    return CatalogColumns(
        {name: (column,) for name, _, column in pairs},
        ((options.ra or "ra",), (options.dec or "dec",)),
        (options.row_id,) if options.row_id else (),
        keep,
    )


def selection_cuts(options: argparse.Namespace, schema: Schema) -> list[MeasuredCut]:
    """The cuts of ``--cut`` and ``--cuts-of``; those of the preset that do not apply are logged.

    Raises
    ------
    BalrogError
        If a cut is malformed, or the preset has none on columns that the emulator draws.
    """
    cuts = read_cuts(options.cuts, schema)
    if not options.cuts_of:
        return cuts
    found, others = preset_cuts(load_preset(options.cuts_of), schema)
    if not found:
        raise BalrogError(
            f"--cuts-of needs a preset with cuts on {', '.join(schema.measured_names)}; those of "
            f"{options.cuts_of} are on other columns: {'; '.join(others) or 'it has none'}"
        )
    for text in others:
        logger.info("not applied, as nothing is drawn for it: %s", text)
    return [*cuts, *found]


def emulator_record(directory: Path, emulator: Any) -> dict[str, Any]:
    """Which emulator drew: its name, and the SHA-256 of its description, which has all others."""
    return {"name": emulator.info["name"], "sha256": sha256_of(directory / "emulator.json")}
