# PYTHON_ARGCOMPLETE_OK
"""python -m balrog_keras: train, evaluate, emulate, info, sweep, export-onnx, doctor and more."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from importlib import import_module
from typing import Any

from balrog_keras import __version__
from data_prep.command_line import CommandParser, complete

__all__ = ["main"]

# Each command's options are parsed by a module of its own.
_OWN_PARSERS = {
    "train": "train_command",
    "evaluate": "evaluate_command",
    "emulate": "emulate_command",
    "sweep": "sweep_command",
    "export-onnx": "onnx_command",
    "info": "info_command",
    "maps": "maps_command",
    "magnification": "magnification_command",
    "doctor": "doctor_command",
}
_HELP = {
    "train": "the same as train.py",
    "evaluate": "the same as evaluate.py",
    "emulate": "draw for a catalogue of any size",
    "sweep": "search for good settings",
    "export-onnx": "write for onnxruntime",
    "info": "what an exported emulator is",
    "maps": "paint maps of completeness and depth",
    "magnification": "response of counts to lensing",
    "doctor": "check this installation, in about ten seconds",
}
_DESCRIPTION = """\
Train emulators of a survey's measurement and draw from them. Each command has a --help of its own.

examples:
  python -m balrog_keras doctor
  python -m balrog_keras emulate saved_models/mini-balrog --catalog truth.parquet \\
      --maps maps --seed 1 --out measured.parquet
  python -m balrog_keras emulate saved_models/mini-balrog --catalog detection.fits \\
      --preset des-y3-sof --maps maps --seed 1 --out measured.fits
  python -m balrog_keras info saved_models/mini-balrog
  python -m balrog_keras train --data shards --name first       (as train.py)
  python -m balrog_keras sweep --data shards --name search --trials 40
  python -m balrog_keras export-onnx saved_models/mini-balrog --out onnx/mini-balrog
"""


def _parser() -> CommandParser:
    parser = CommandParser("python -m balrog_keras", _DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"balrog-keras {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _OWN_PARSERS:
        text, prog = _HELP.get(name), f"{parser.prog} {name}"
        commands.add_parser(name, help=text, prog=prog, add_help=False)
    return parser


def _module(name: str) -> Any:
    return import_module(f"balrog_keras.{_OWN_PARSERS[name]}")


def _command_parser(name: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _module(name)._parser()
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    complete(_parser, {name: partial(_command_parser, name) for name in _OWN_PARSERS})
    if arguments and arguments[0] in _OWN_PARSERS:
        return int(_module(arguments[0]).main(arguments[1:]))
    _parser().parse_args(arguments)
    return 2


if __name__ == "__main__":
    sys.exit(main())
