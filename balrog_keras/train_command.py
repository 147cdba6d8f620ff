"""The command line of train.py: options, and settings from a YAML file or single flags."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from balrog_keras.allocator import keep_freed_memory
from balrog_keras.config import Settings
from balrog_keras.fine_tune import tuned_defaults
from balrog_keras.runs import Run
from data_prep.command_line import add_verbosity, settings_parser
from data_prep.console import run_command
from data_prep.errors import require

__all__ = ["main"]

_DESCRIPTION = """\
Train p(measured | detected, truth, survey properties) on shards, keep the generator that is best
on the validation split, and export it.

examples:
  python train.py --data shards --name first
  python train.py --data shards --name wide --width 256 --steps 5000
  python train.py --data shards --name again --config runs/first/config.yaml
  python train.py --data shards --name first --resume
  python train.py --data shards --name five --members 5
  python train.py --data new_shards --name season2 --from saved_models/first --steps 1000
"""


def _parser() -> Any:
    parser = settings_parser("train.py", _DESCRIPTION)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="shards made by python -m data_prep prepare")
    add("--name", type=str, required=True, help="name of the run and of the emulator")
    add("--config", action="config", help="YAML file of settings; flags after it override it")
    add("--resume", action="store_true", help="continue the run from its last checkpoint")
    add("--overwrite", action="store_true", help="replace an older run of this name")
    add(
        "--members",
        type=int,
        default=1,
        help="emulators to train from different seeds and export as one (default: 1)",
    )
    add(
        "--detection",
        type=bool,
        default=True,
        help="fit P(detected | condition) too where the shards have undetected rows",
    )
    add(
        "--from",
        dest="start_from",
        type=Path | None,
        default=None,
        metavar="EMULATOR",
        help="fine-tune saved_models/NAME: its settings, at a quarter of its learning rates, are "
        "the defaults; networks and standardizer are taken over",
    )
    add(
        "--strategy",
        choices=("none", "mirrored", "multiworker"),
        default="none",
        help="spread training over the devices of this machine, or over the workers of TF_CONFIG",
    )
    add("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    add("--saved_models", type=Path, default=Path("saved_models"), help="where emulators are kept")
    add_verbosity(parser)
    parser.add_class_arguments(Settings)
    return parser


def _defaults(arguments: list[str]) -> dict[str, Any]:
    """Defaults from the run to be resumed, or from the emulator to be fine-tuned."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--resume", action="store_true")
    early.add_argument("--name", default="")
    early.add_argument("--runs", type=Path, default=Path("runs"))
    early.add_argument("--from", dest="start_from", type=Path)
    known, _ = early.parse_known_args(arguments)
    if known.resume and known.name:
        run = Run(known.runs / known.name)
        data = asdict(run.saved_data())
        own = {name: data[name] for name in ("members", "detection", "start_from")}
        return {**run.saved_settings().to_dict(), **own}
    return tuned_defaults(known.start_from) if known.start_from else {}


def _train(arguments: list[str]) -> int:
    parser = _parser()
    if "--help" not in arguments and "-h" not in arguments:
        parser.set_defaults(_defaults(arguments))
    options = parser.parse_args(arguments).as_dict()
    own = (
        "data", "name", "resume", "overwrite", "runs", "saved_models", "members", "detection",
        "start_from", "strategy",
    )  # fmt: skip
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
    keep_freed_memory()
    verbose = "--verbose" in arguments
    return run_command(lambda: _train(arguments), "--quiet" in arguments, verbose=verbose)
