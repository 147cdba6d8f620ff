"""What all commands share: logging set up once, errors as one line, exit codes, colours."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Self, TextIO

from data_prep.errors import BalrogError

__all__ = ["paint", "run_command"]

# Loggers of this project; those of other packages stay at INFO with --verbose.
_OURS = ("balrog_keras", "data_prep")
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


def paint(text: str, colour: str, stream: TextIO) -> str:
    """Text in a colour if `stream` is a terminal that shows any, else the text.

    Parameters
    ----------
    text : str
        What to print.
    colour : {"red", "green", "yellow", "bold"}
        What it looks like on a terminal.
    stream : file
        Where it is printed. Colours are left out where the environment has a ``NO_COLOR`` that is
        not empty (https://no-color.org), or ``TERM=dumb``.

    Returns
    -------
    str
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not stream.isatty():
        return text
    return f"\033[{_COLOURS[colour]}m{text}\033[0m"


def run_command(command: Callable[[], int], quiet: bool = False, *, verbose: bool = False) -> int:
    """Run a command as a process' main: logging to standard error, errors as one line.

    Parameters
    ----------
    command : callable
        Gives the exit code.
    quiet : bool
        Log warnings and errors only.
    verbose : bool
        Log debug messages of this project too, with the module of each line, and print the
        traceback of an error before its line.

    Returns
    -------
    int
        The command's exit code; 1 after a BalrogError or OSError, 130 after Ctrl-C, 141 (silently)
        if the reader of standard output has gone, as ``head`` does.
    """
    # TensorFlow's C++ start-up notes; a user's own choice stands.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Dask sets its loggers' levels itself when it is imported.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(name)s: %(message)s" if verbose else "%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for chatty in ("absl", "tensorflow", "matplotlib", "jax", "numexpr"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if verbose:
        for ours in _OURS:
            logging.getLogger(ours).setLevel(logging.DEBUG)
    with _Interrupts() as interrupts:
        try:
            code = command()
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            return _interrupted()
        except Exception as error:
            if verbose:
                traceback.print_exc()
            if interrupts.received:
                return _interrupted()
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                return 128 + signal.SIGPIPE
            if not isinstance(error, (BalrogError, OSError)):
                raise
            shown = paint("error:", "red", sys.stderr)
            print(f"{shown} {' '.join(str(error).split())}", file=sys.stderr)
            return 1


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return 128 + signal.SIGINT


def _nobody_reads() -> bool:
    """Whether standard output is a pipe without a reader; if so, what is left for it is dropped."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(output, 0)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return gone


class _Interrupts:
    """Remembers Ctrl-C: native code that it hits may turn KeyboardInterrupt into another error."""

    received = False

    def __enter__(self) -> Self:
        self._previous = signal.getsignal(signal.SIGINT)
        if self._mine():
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._mine():
            signal.signal(signal.SIGINT, self._previous)

    def _mine(self) -> bool:
        """Only the main thread may set handlers, and one that somebody else set stays."""
        main = threading.current_thread() is threading.main_thread()
        return main and self._previous is signal.default_int_handler

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        raise KeyboardInterrupt
