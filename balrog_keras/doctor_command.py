"""The command line of ``python -m balrog_keras doctor``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.command_line import CommandParser, add_verbosity
from data_prep.console import paint, run_command

__all__ = ["main"]

_DEFAULT_EMULATOR = Path("saved_models/mini-balrog")
# Said of only if they are there; --json has all.
_FOR_DEVELOPERS = ("benchmark", "docs", "test")
_DESCRIPTION = """\
Check this installation in about ten seconds: versions, the devices TensorFlow computes on (or why
there is no GPU), which optional parts are there and what installs the others, and a self-test that
multiplies, trains and draws. The exit code is 1 if something keeps it from working.

examples:
  python -m balrog_keras doctor
  python -m balrog_keras doctor --json
  python -m balrog_keras doctor --quick
"""


def _parser() -> CommandParser:
    parser = CommandParser("python -m balrog_keras doctor", _DESCRIPTION)
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON document instead of text")
    add("--quick", action="store_true", help="leave out the self-test")
    add("--emulator", type=Path, help="exported emulator that the self-test draws with (default "
        f"{_DEFAULT_EMULATOR} if it is there, else untrained networks)")  # fmt: skip
    add_verbosity(parser)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from balrog_keras.doctor import examine

    emulator = options.emulator
    if emulator is None and (_DEFAULT_EMULATOR / "emulator.json").is_file():
        emulator = _DEFAULT_EMULATOR
    report = examine(emulator, options.quick)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for line in _lines(report):
            print(line)
    return 0 if report["ok"] else 1


def _lines(report: dict[str, Any]) -> Iterator[str]:
    versions, processor = report["versions"], report["processor"]
    yield _row("balrog-keras", f"{versions['balrog_keras']}, Python {versions['python']}")
    yield _row("system", versions["system"])
    yield _row("processor", f"{processor['model']}, {processor['cores']} cores")
    names = {"tensorflow": "TensorFlow", "keras": "Keras"}
    stated = [f"{names[name]} {versions[name]}" for name in names if name in versions]
    yield _row("TensorFlow", ", ".join(stated) or "none")
    for device in report["devices"]:
        yield _row("device", f"{device['type']}  {device['name']}")
    if report["no_gpu"]:
        yield _row("no GPU", report["no_gpu"])
    for name, extra in report["extras"].items():
        if name in _FOR_DEVELOPERS and not extra["ok"]:
            continue
        yield _row(f"extra {name}", _extra(extra))
    if report["self_test"]:
        yield from _rates(report["self_test"])
    for text in report["warnings"]:
        yield _row(paint("warning", "yellow", sys.stdout), text, "warning")
    for text in report["problems"]:
        yield _row(paint("problem", "red", sys.stdout), text, "problem")
    if report["ok"]:
        yield paint("everything needed is there and works", "green", sys.stdout)
    else:
        yield paint("not ready: see the problems above", "red", sys.stdout)


def _row(name: str, text: str, plain: str | None = None) -> str:
    return f"{name}{' ' * (18 - len(plain or name))}{text}"


def _extra(extra: dict[str, Any]) -> str:
    if extra["ok"]:
        found = ", ".join(f"{each['package']} {each['found']}" for each in extra["packages"])
        return f"{paint('ok', 'green', sys.stdout)}: {found}"
    missing = [each["package"] for each in extra["packages"] if not each["ok"]]
    return f"not there ({', '.join(missing)}): {extra['install']}"


def _rates(test: dict[str, Any]) -> Iterator[str]:
    yield _row("multiplies", f"{test['matmul_gflops']:,.0f} GFLOP/s, float32")
    yield _row(
        "trains", f"{test['training_galaxies_per_second']:,} galaxies/s (without XLA, which "
        "train.py uses)"
    )  # fmt: skip
    yield _row(
        "draws", f"{test['drawn_galaxies_per_second']:,} galaxies/s with {test['drawn_with']}"
    )
    yield _row("self-test took", f"{sum(test['seconds'].values()):.1f} s")


def main(arguments: list[str] | None = None) -> int:
    """Check; gives the exit code (0 ready, 1 not ready, 2 usage, 130 Ctrl-C)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _doctor(options), options.quiet, verbose=options.verbose)
