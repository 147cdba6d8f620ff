"""The command line of ``python -m balrog_keras emulate``."""

from __future__ import annotations

import argparse
import shlex
import sys

from balrog_keras.threads import draw_on_all_cores
from data_prep.command_line import CommandParser, add_verbosity, user_path
from data_prep.console import run_command
from data_prep.errors import BalrogError

__all__ = ["main"]

_DESCRIPTION = """\
Draw what a survey would measure of the galaxies of a truth catalogue of any size, in bounded
memory. The output appears only when it is whole, with OUT.provenance.json beside it. A job that
was interrupted goes on with --resume; while it runs, rows that are done are kept in a hidden
directory beside the output. The draw of a row depends on its condition, its row id and the seed
alone.

examples:
  python -m balrog_keras emulate saved_models/mini-balrog --catalog truth.parquet \\
      --maps maps --seed 1 --out measured.parquet
  python -m balrog_keras emulate saved_models/mini-balrog --catalog detection.fits \\
      --preset des-y3-sof --maps maps --realizations 10 --detected-only --out ten.fits
"""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m balrog_keras emulate", _DESCRIPTION)
    add = parser.add_argument
    add("emulator", type=user_path, help="saved_models/NAME")
    add("--catalog", type=user_path, required=True,
        help="truth catalogue: FITS, HDF5, Parquet (file or directory), HATS or CSV")  # fmt: skip
    add("--out", type=user_path, required=True, help="measured catalogue; by its ending .parquet, "
        ".fits, .hdf5, .hats, or without one a directory of Parquet files")  # fmt: skip
    add_verbosity(parser)
    add("--resume", action="store_true", help="go on with an interrupted job, if there is one")
    _add_input(parser.add_argument_group("what is in the catalogue"))
    _add_draws(parser.add_argument_group("what is drawn"))
    return parser


def _add_input(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--maps", type=user_path, help="directory of survey property maps, looked up by position")
    add("--preset", help="it has the column names and units of this survey's preset: its name, or "
        "a .yaml file; instead of --columns, --ra, --dec and --row-id")  # fmt: skip
    add("--columns", nargs="+", action="extend", default=[], metavar="CONDITION=COLUMN",
        help="names in the catalogue, as true_mag_r=MAG_R or true_mag_r=MAGS[1]")  # fmt: skip
    add("--ra", help="column of right ascension, degrees (default ra)")
    add("--dec", help="column of declination, degrees (default dec)")
    add("--row-id", help="column of whole numbers; the row number if not given")
    add("--keep", nargs="+", action="extend", default=[], metavar="COLUMN",
        help="columns to copy to the output; all for every one that holds numbers")  # fmt: skip
    add("--allow-pickle", action="store_true",
        help="open a pandas pickle; pickles run code: only files that you trust")  # fmt: skip


def _add_draws(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--seed", type=int, default=0, help="another seed is another realization (default 0)")
    add("--realizations", type=int, default=1, metavar="N", help="draws of each row (default 1)")
    add("--layout", choices=("long", "wide"), default="long",
        help="several draws as rows with the column realization (long, the default), or as "
        "columns, as meas_mag_r_0 (wide)")  # fmt: skip
    add("--member", type=int, help="which member of an ensemble draws (default 0)")
    add("--members", action="store_true", help="every member of an ensemble draws: rows with the "
        "column member, or columns, as meas_mag_r_member0")  # fmt: skip
    add("--detected", action="store_true", help="draw whether each row is detected too: adds "
        "p_detect and detected, and leaves the others' measured columns empty")  # fmt: skip
    add("--detected-only", action="store_true", help="write detected rows only")
    add("--in-domain", action="store_true",
        help="add in_domain: whether a row is like those the emulator was trained on")  # fmt: skip
    add("--units", nargs="+", action="extend", default=[], metavar="UNIT",
        help="give measured brightnesses in these too: flux, nJy, mag, 'asinh mag'; adds "
        "columns as meas_mag_r_flux")  # fmt: skip


def _emulate(options: argparse.Namespace, command: str) -> int:
    from balrog_keras.catalog_emulation import emulate_catalog
    from balrog_keras.draw_plan import DrawPlan
    from balrog_keras.emulator import Emulator
    from balrog_keras.truth_options import truth_columns

    if options.members and options.member is not None:
        raise BalrogError("--member picks one member and --members takes all: give one of them")
    plan = DrawPlan(
        seed=options.seed,
        realizations=options.realizations,
        layout=options.layout,
        member=None if options.members else options.member or 0,
        detected=options.detected,
        detected_only=options.detected_only,
        in_domain=options.in_domain,
        units=tuple(options.units),
    )
    columns = truth_columns(options, options.keep)
    emulator = Emulator.load(options.emulator)
    done = emulate_catalog(
        emulator, options.catalog, options.out, options.maps, plan, columns,
        resume=options.resume, command=command, allow_pickle=options.allow_pickle,
    )  # fmt: skip
    notes = [f"{done.rows_written:,} rows -> {options.out} ({emulator.label})"]
    if plan.detected_only:
        among = ", with those that cannot be used" if done.unusable else ""
        notes.append(f"{done.undetected:,} that are not detected left out{among}")
    if plan.in_domain:
        notes.append(f"{done.outside_domain:,} of {done.rows_read:,} galaxies outside the domain")
    print("; ".join(notes))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    draw_on_all_cores()
    command = shlex.join(["python", "-m", "balrog_keras", "emulate", *arguments])
    return run_command(lambda: _emulate(options, command), options.quiet, verbose=options.verbose)
