"""The command line of ``python -m balrog_keras info``; needs no TensorFlow."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from data_prep.command_line import CommandParser, add_verbosity
from data_prep.console import run_command

__all__ = ["main"]

_DESCRIPTION = """\
What an exported emulator is: schema, units, training range, endpoints, scores, where it comes from.
Its files are checked against their checksums first.

examples:
  python -m balrog_keras info saved_models/mini-balrog
  python -m balrog_keras info saved_models/mini-balrog --json
"""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m balrog_keras info", _DESCRIPTION)
    parser.add_argument("emulator", type=Path, help="saved_models/NAME")
    parser.add_argument("--json", action="store_true", help="print emulator.json, with the scores "
        "of metrics.json as metrics")  # fmt: skip
    add_verbosity(parser)
    return parser


def _info(options: argparse.Namespace) -> int:
    from balrog_keras.bundle import read_description, read_metrics, verify
    from balrog_keras.info import describe

    description = read_description(options.emulator)
    verify(options.emulator, description)
    metrics = read_metrics(options.emulator)
    if options.json:
        print(json.dumps({**description, "metrics": metrics}, indent=2))
    else:
        print(describe(description, metrics))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Print; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _info(options), options.quiet, verbose=options.verbose)
