"""Command line: ``python -m data_prep simulate | inspect | prepare | verify``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from data_prep.console import run_command

__all__ = ["main"]

_COMMANDS = {
    "simulate": "draw a mini-Balrog: galaxies injected into simulated images and measured",
    "inspect": "say what a map, a catalogue or a directory of them is, and which preset fits",
    "prepare": "turn injection catalogues and survey property maps into training shards",
    "verify": "check shards against their manifest: every bit, every file",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process if None.

    Returns
    -------
    int
        Exit status: 0 done, 1 bad input or failed write, 130 interrupted; usage errors exit 2.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="python -m data_prep", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        # Only the command that runs is imported, so that help appears at once.
        if argv[:1] == [name]:
            module = importlib.import_module(f"data_prep.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)

    def run() -> int:
        arguments.run(arguments)
        return 0

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
