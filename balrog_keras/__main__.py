"""python -m balrog_keras: train, evaluate, emulate, info, sweep, export-onnx."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

__all__ = ["main"]

# Commands whose options are parsed by a module of their own.
_OWN_PARSERS = {
    "train": "train_command",
    "evaluate": "evaluate_command",
    "emulate": "emulate_command",
    "sweep": "sweep_command",
    "export-onnx": "onnx_command",
    "info": "info_command",
    "maps": "maps_command",
    "magnification": "magnification_command",
}
_EXAMPLES = """\
examples:
  python -m balrog_keras emulate saved_models/mini-balrog --catalog truth.parquet \\
      --maps maps --seed 1 --out measured.parquet
  python -m balrog_keras emulate saved_models/mini-balrog --catalog detection.fits \\
      --preset des-y3-sof --maps maps --seed 1 --out measured.fits
  python -m balrog_keras info saved_models/mini-balrog
  python -m balrog_keras train --data shards --name first       (as train.py)
  python -m balrog_keras sweep --data shards --name search --trials 40
  python -m balrog_keras export-onnx saved_models/mini-balrog --out onnx/mini-balrog
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
    commands.add_parser("export-onnx", help="write for onnxruntime; see its --help", add_help=False)
    commands.add_parser("info", help="what an exported emulator is", add_help=False)
    commands.add_parser("emulate", help="draw for a catalogue; see its --help", add_help=False)
    commands.add_parser("maps", help="paint maps of completeness and depth", add_help=False)
    commands.add_parser("magnification", help="response of counts to lensing", add_help=False)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in _OWN_PARSERS:
        command_main = import_module(f"balrog_keras.{_OWN_PARSERS[arguments[0]]}").main
        return int(command_main(arguments[1:]))
    _parser().parse_args(arguments)
    return 2


if __name__ == "__main__":
    sys.exit(main())
