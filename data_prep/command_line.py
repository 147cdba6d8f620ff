"""What the parsers of all commands share: examples, exit codes, verbosity, suggestions."""

from __future__ import annotations

import argparse
import os
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from data_prep.errors import did_you_mean
from data_prep.preset_file import read_yaml

__all__ = [
    "EXIT_CODES",
    "CommandParser",
    "Suggestions",
    "add_examples",
    "add_verbosity",
    "complete",
    "settings_parser",
    "user_path",
]

EXIT_CODES = """\
exit codes:
  0 done; 1 the job failed or its input is bad; 2 the command line is wrong;
  128 + the signal's number when interrupted (130 for Ctrl-C)
"""


class Suggestions:
    """Mix-in of parsers: usage errors name the options and choices that are close."""

    _given: Sequence[str] = ()

    def parse_args(self, args: Any = None, namespace: Any = None, **more: Any) -> Any:
        """Parse, and keep what was given for the message of an error."""
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_args(args, namespace, **more)  # type: ignore[misc]

    def error(self, message: str, *more: Any) -> NoReturn:
        """End with exit code 2, the message and what was perhaps meant."""
        super().error(f"{message}{self._hint(message)}", *more)  # type: ignore[misc]
        raise AssertionError("error() of a parser ends the process")

    def _hint(self, message: str) -> str:
        options: dict[str, Any] = self._option_string_actions  # type: ignore[attr-defined]
        misspelt = []
        for place, word in enumerate(self._given):
            option, _, value = word.partition("=")
            if option.startswith("--") and not any(name.startswith(option) for name in options):
                misspelt.append((option, tuple(options)))
            elif choices := getattr(options.get(option), "choices", None):
                misspelt.append((value or " ".join(self._given[place + 1 : place + 2]), choices))
            elif place == 0 and (commands := _commands(self)):
                misspelt.append((word, commands))
        # jsonargparse's words for a key of a YAML file that is no option.
        for name in re.findall(r"Option '(\w+)' is not accepted", message):
            misspelt.append((name, tuple(option.lstrip("-") for option in options)))
        hints = [(name, did_you_mean(name, known)) for name, known in misspelt]
        return "".join(f"; {name}{hint}" for name, hint in hints if hint)


def _commands(parser: Any) -> tuple[str, ...]:
    """Names of a parser's commands, () if it has none."""
    found = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return tuple(found[0].choices) if found else ()


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keep the examples as they are written."""


class CommandParser(Suggestions, argparse.ArgumentParser):
    """Parser of one command: its help ends with the exit codes.

    Parameters
    ----------
    prog, description : str
        As of :class:`argparse.ArgumentParser`; line breaks of the description are kept.
    """

    def __init__(self, prog: str, description: str = "", **more: Any) -> None:
        more.setdefault("epilog", EXIT_CODES)
        more.setdefault("formatter_class", _Formatter)
        super().__init__(prog=prog, description=description, **more)


def user_path(text: str) -> Path:
    """Path of an option: ``~``, which a shell leaves as it is in ``--out=~/x``, is the home."""
    return Path(os.path.expanduser(text))


class _CheckedSettings(Suggestions):
    """Mix-in of parsers with ``--config``: files of settings are read strictly."""

    def parse_args(self, args: Any = None, namespace: Any = None, **more: Any) -> Any:
        """Parse; BalrogError for a file of settings that is no text or has a key twice."""
        files = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        files.add_argument("--config", action="append", default=[], type=Path, nargs="?")
        for path in files.parse_known_args(args)[0].config:
            if path is not None and path.is_file():
                read_yaml(path)
        return super().parse_args(args, namespace, **more)


def settings_parser(prog: str, description: str) -> Any:
    """Parser of a command that also takes settings, as flags or from a YAML file.

    Parameters
    ----------
    prog, description : str
        As of :class:`CommandParser`.

    Returns
    -------
    jsonargparse.ArgumentParser
    """
    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    class Formatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
        """Keep the examples as they are written."""

    class Parser(_CheckedSettings, ArgumentParser):  # type: ignore[misc]
        """With suggestions for misspelt settings."""

    return Parser(prog=prog, description=description, epilog=EXIT_CODES, formatter_class=Formatter)


def add_examples(parser: argparse.ArgumentParser, examples: str) -> None:
    """Put examples behind the description of a command, line by line as they are.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Changed in place.
    examples : str
        Starts with the line ``examples:``.
    """
    parser.formatter_class = _Formatter
    parser.description = f"{parser.description}\n\n{examples}" if parser.description else examples


def add_verbosity(parser: Any) -> None:
    """Add the options ``--quiet`` and ``--verbose``, which every command has.

    Parameters
    ----------
    parser : argparse.ArgumentParser or group of one
        Changed in place.
    """
    add = parser.add_argument
    add("--quiet", action="store_true", help="log warnings and errors only")
    add("--verbose", action="store_true",
        help="log more, with the module of each line; errors with their traceback")  # fmt: skip


def complete(
    parser: Callable[[], argparse.ArgumentParser],
    commands: Mapping[str, Callable[[], argparse.ArgumentParser]],
) -> None:
    """Answer a shell that asks for completions, and end the process; else do nothing.

    Parameters
    ----------
    parser : callable
        Makes the parser that has the commands' names.
    commands : mapping of str to callable
        Makes the parser of each command.
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    # argcomplete's protocol: the number, from 1, of the word that is the program.
    place = int(os.environ["_ARGCOMPLETE"])
    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    words = line[:point].split()
    command = words[place] if len(words) > place else ""
    behind = len(words) > place + 1 or line[:point].endswith(" ")
    if command in commands and behind:
        os.environ["_ARGCOMPLETE"] = str(place + 1)
        parser = commands[command]
    made = parser()
    if not isinstance(made, CommandParser):
        for action in made._actions:
            choices = typing.get_args(getattr(action, "_typehint", None))
            # For a Literal jsonargparse prints its type, and nothing that a shell can complete.
            if choices and all(isinstance(choice, str) for choice in choices):
                action.choices = choices
        made.parse_args([])  # jsonargparse answers by itself, and ends
    for action in made._actions:
        if action.dest in ("preset", "cuts_of"):
            action.completer = _presets  # type: ignore[attr-defined]
    argcomplete.autocomplete(made)


def _presets(**_: Any) -> tuple[str, ...]:
    from data_prep.preset import shipped_presets

    return shipped_presets()
