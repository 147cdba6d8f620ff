# PYTHON_ARGCOMPLETE_OK
"""Command line: ``python -m data_prep simulate | inspect | prepare | verify``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import partial

from data_prep import __version__
from data_prep.command_line import CommandParser, add_verbosity, complete
from data_prep.console import run_command

__all__ = ["main"]

_COMMANDS = {
    "simulate": "draw a mini-Balrog: galaxies injected into simulated images and measured",
    "inspect": "say what a map, a catalogue or a directory of them is, and which preset fits",
    "prepare": "turn injection catalogues and survey property maps into training shards",
    "verify": "check shards against their manifest: every bit, every file",
}
_DESCRIPTION = """\
Turn catalogues of injections and sky maps into shards; each command has a --help of its own.

examples:
  python -m data_prep simulate --out demo/sim --replicate
  python -m data_prep inspect demo/sim/maps
  python -m data_prep prepare --catalog matched.fits --detection all.fits --maps maps --out shards
  python -m data_prep verify shards
"""


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
    complete(_parser, {name: partial(_command_parser, name) for name in _COMMANDS})
    if argv[:1] and argv[0] in _COMMANDS:
        arguments = _command_parser(argv[0]).parse_args(argv[1:])
    else:
        arguments = _parser().parse_args(argv)

    def run() -> int:
        arguments.run(arguments)
        return 0

    return run_command(run, arguments.quiet, verbose=arguments.verbose)


def _parser() -> CommandParser:
    parser = CommandParser("python -m data_prep", _DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"balrog-keras {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        commands.add_parser(name, help=text, prog=f"{parser.prog} {name}", add_help=False)
    return parser


def _command_parser(name: str) -> CommandParser:
    """Parser of one command; only its module is imported, so that help appears at once."""
    module = importlib.import_module(f"data_prep.{name}")
    text = _COMMANDS[name]
    parser = CommandParser(f"python -m data_prep {name}", f"{text[0].upper()}{text[1:]}.")
    module.add_arguments(parser)
    add_verbosity(parser)
    parser.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
