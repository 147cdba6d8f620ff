"""The command line of train.py: options, and settings from a YAML file or single flags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from balrog_keras.config import Settings
from balrog_keras.runs import Run
from data_prep.console import run_command
from data_prep.errors import require

__all__ = ["main"]

_DESCRIPTION = """\
Train p(measured | detected, truth, survey properties) on shards, keep the generator that is best
on the validation split, and export it.

examples:
  python train.py --data shards --name first
  python train.py --data shards --name wide --width 256 --steps 20000
  python train.py --data shards --name again --config runs/first/config.yaml
  python train.py --data shards --name first --resume
"""


def _parser() -> Any:
    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    class Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
        """Keep the examples as they are written."""

    parser = ArgumentParser(prog="train.py", description=_DESCRIPTION, formatter_class=Formatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="shards made by python -m data_prep prepare")
    add("--name", type=str, required=True, help="name of the run and of the emulator")
    add("--config", action="config", help="YAML file of settings; flags after it override it")
    add("--resume", action="store_true", help="continue the run from its last checkpoint")
    add("--overwrite", action="store_true", help="replace an older run of this name")
    add("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    add("--saved_models", type=Path, default=Path("saved_models"), help="where emulators are kept")
    add("--quiet", action="store_true", help="log warnings and errors only")
    parser.add_class_arguments(Settings)
    return parser


def _resumed_settings(arguments: list[str]) -> dict[str, Any]:
    """Settings of the run to be resumed, so that its flags need not be given again."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--resume", action="store_true")
    early.add_argument("--name", default="")
    early.add_argument("--runs", type=Path, default=Path("runs"))
    known, _ = early.parse_known_args(arguments)
    if not (known.resume and known.name):
        return {}
    return Run(known.runs / known.name).saved_settings().to_dict()


def _train(arguments: list[str]) -> int:
    parser = _parser()
    if "--help" not in arguments and "-h" not in arguments:
        parser.set_defaults(_resumed_settings(arguments))
    options = parser.parse_args(arguments).as_dict()
    own = ("data", "name", "resume", "overwrite", "runs", "saved_models")
    settings = Settings.from_dict({name: options[name] for name in Settings().to_dict()})
    require("tensorflow", "cpu")
    from balrog_keras.training import Interrupted, train

    chosen = {name: options[name] for name in own}
    try:
        train(chosen.pop("data"), chosen.pop("name"), settings, **chosen)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal_number
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run train.py; gives the exit code (0 done, 1 bad input, 2 usage, 128 + signal)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return run_command(lambda: _train(arguments), quiet="--quiet" in arguments)
