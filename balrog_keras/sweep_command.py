"""The command line of ``python -m balrog_keras sweep``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from balrog_keras.allocator import keep_freed_memory
from balrog_keras.config import Settings
from balrog_keras.search_space import DEFAULT_SPACE, read_space
from data_prep.command_line import add_verbosity, settings_parser
from data_prep.console import run_command
from data_prep.errors import BalrogError, require

__all__ = ["main"]

_DESCRIPTION = """\
Search for the settings with the best validation score. Each trial is a training run; those that
are worse than the others at the same stage end early. The study is kept in runs/NAME/study.db:
the same command again goes on with it, and several at once, on one machine or as jobs of a batch
system, share its trials. The best settings are in runs/NAME/best.yaml.

examples:
  python -m balrog_keras sweep --data shards --name search --trials 40 --steps 1500
  python -m balrog_keras sweep --data shards --name search --search space.yaml --timeout 36000
  python train.py --data shards --name best --config runs/search/best.yaml
"""


def _parser() -> Any:
    parser = settings_parser("python -m balrog_keras sweep", _DESCRIPTION)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="shards made by python -m data_prep prepare")
    add("--name", type=str, required=True, help="name of the study; it is kept in runs/NAME")
    add("--config", action="config", help="YAML file of the settings that are not varied")
    add("--search", type=Path, help="YAML file of the settings to vary: {low, high, log} or "
        "{choices} for each (default: " + ", ".join(DEFAULT_SPACE) + ")")  # fmt: skip
    add("--trials", type=int, default=50, help="trials of the study in all")
    add("--timeout", type=float, help="start no further trial after so many seconds")
    add("--storage", type=str, help="URL of the study's database (default runs/NAME/study.db)")
    add("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    add_verbosity(parser)
    parser.add_class_arguments(Settings)
    return parser


def _sweep(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments).as_dict()
    settings = Settings.from_dict({name: options[name] for name in Settings().to_dict()})
    if options["trials"] < 1:
        raise BalrogError(f"--trials must be at least 1, got {options['trials']}")
    space = read_space(options["search"], settings) if options["search"] else DEFAULT_SPACE
    for module, extra in (("optuna", "sweep"), ("tensorflow", "cpu")):
        require(module, extra)
    from balrog_keras.fitting import Interrupted
    from balrog_keras.sweep import sweep
    from balrog_keras.sweep_summary import summary

    own = ("runs", "trials", "timeout", "storage")
    chosen = {name: options[name] for name in own}
    try:
        study = sweep(options["data"], options["name"], settings, space, **chosen)
    except Interrupted as stopped:
        print("stopped; the same command goes on with this trial", file=sys.stderr)
        return 128 + stopped.signal_number
    print(summary(study, options["runs"] / options["name"]))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the sweep; gives the exit code (0 done, 1 bad input, 2 usage, 128 + signal)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    keep_freed_memory()
    verbose = "--verbose" in arguments
    return run_command(lambda: _sweep(arguments), "--quiet" in arguments, verbose=verbose)
