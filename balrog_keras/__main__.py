"""python -m balrog_keras: train, evaluate, emulate, info, sweep."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data_prep.console import run_command

__all__ = ["main"]

_EXAMPLES = """\
examples:
  python -m balrog_keras emulate saved_models/mini-balrog --catalog truth.parquet \\
      --maps maps --seed 1 --out measured.parquet
  python -m balrog_keras emulate saved_models/mini-balrog --catalog detection.fits \\
      --preset des-y3-sof --maps maps --seed 1 --out measured.fits
  python -m balrog_keras info saved_models/mini-balrog
  python -m balrog_keras train --data shards --name first       (as train.py)
  python -m balrog_keras sweep --data shards --name search --trials 40
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m balrog_keras",
        description="Train emulators of a survey's measurement and draw from them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, script in (("train", "train.py"), ("evaluate", "evaluate.py")):
        commands.add_parser(name, help=f"the same as {script}; see its --help", add_help=False)
    commands.add_parser("sweep", help="search for good settings; see its --help", add_help=False)
    info = commands.add_parser("info", help="what an exported emulator is")
    info.add_argument("emulator", type=Path, help="saved_models/NAME")
    _add_emulate(commands.add_parser("emulate", help="draw measured columns for a catalogue"))
    return parser


def _add_emulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("emulator", type=Path, help="saved_models/NAME")
    add("--catalog", type=Path, required=True,
        help="truth catalogue: FITS, HDF5, Parquet (file or directory), HATS or CSV")  # fmt: skip
    add("--out", type=Path, required=True, help="measured catalogue, Parquet or FITS by its ending")
    add("--maps", type=Path, help="directory of survey property maps")
    add("--seed", type=int, default=0, help="another seed is another realization (default 0)")
    add("--member", type=int, default=0, help="which member of an ensemble draws (default 0)")
    add("--detected", action="store_true", help="draw whether each row is detected too: adds "
        "p_detect and detected, and leaves the others' measured columns empty")  # fmt: skip
    add("--preset", help="the catalogue has the column names and units of this survey's preset: "
        "its name, or a .yaml file")  # fmt: skip
    add("--columns", nargs="+", default=[], metavar="CONDITION=COLUMN",
        help="names in the catalogue, as true_mag_r=MAG_R or true_mag_r=MAGS[1]")  # fmt: skip
    add("--ra", default="ra", help="column of right ascension, degrees (default ra)")
    add("--dec", default="dec", help="column of declination, degrees (default dec)")
    add("--row-id", default="", help="column of whole numbers; the row number if not given")
    add("--allow-pickle", action="store_true",
        help="open a pandas pickle; pickles run code: only files that you trust")  # fmt: skip
    add("--keep", nargs="+", default=[], metavar="COLUMN", help="columns to copy to the output")
    add("--quiet", action="store_true", help="log warnings and errors only")


def _emulate(options: argparse.Namespace) -> int:
    from balrog_keras.catalog_emulation import CatalogColumns, emulate_catalog
    from balrog_keras.emulator import Emulator
    from data_prep.errors import BalrogError
    from data_prep.preset import load_preset

    if options.preset:
        columns = CatalogColumns.of_preset(load_preset(options.preset), options.keep)
    else:
        pairs = [text.partition("=") for text in options.columns]
        wrong = [text for text, pair in zip(options.columns, pairs, strict=True) if not pair[2]]
        if wrong:
            raise BalrogError(f"--columns takes CONDITION=COLUMN, found {', '.join(wrong)}")
        conditions = {name: (column,) for name, _, column in pairs}
        row_id = (options.row_id,) if options.row_id else ()
        position = (options.ra,), (options.dec,)
        columns = CatalogColumns(conditions, position, row_id, options.keep)
    emulator = Emulator.load(options.emulator)
    rows = emulate_catalog(
        emulator,
        options.catalog,
        options.out,
        options.maps,
        options.seed,
        columns,
        allow_pickle=options.allow_pickle,
        member=options.member,
        detected=options.detected,
    )
    print(f"{rows:,} rows -> {options.out} ({emulator.label})")
    return 0


def _info(options: argparse.Namespace) -> int:
    from balrog_keras.bundle import read_description, verify
    from balrog_keras.info import describe

    description = read_description(options.emulator)
    verify(options.emulator, description)
    print(describe(description))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["train"]:
        from balrog_keras.train_command import main as train_main

        return train_main(arguments[1:])
    if arguments[:1] == ["evaluate"]:
        from balrog_keras.evaluate_command import main as evaluate_main

        return evaluate_main(arguments[1:])
    if arguments[:1] == ["sweep"]:
        from balrog_keras.sweep_command import main as sweep_main

        return sweep_main(arguments[1:])
    options = _parser().parse_args(arguments)
    command = {"emulate": _emulate, "info": _info}[options.command]
    return run_command(lambda: command(options), quiet=getattr(options, "quiet", False))


if __name__ == "__main__":
    sys.exit(main())
