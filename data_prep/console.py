"""What all commands share: logging set up once, errors as one line, exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from data_prep.errors import BalrogError

__all__ = ["run_command"]


def run_command(command: Callable[[], int], quiet: bool = False) -> int:
    """Run a command as a process' main: logging to standard error, errors as one line.

    Parameters
    ----------
    command : callable
        Gives the exit code.
    quiet : bool
        Log warnings and errors only.

    Returns
    -------
    int
        The command's exit code; 1 after a BalrogError or OSError, 130 after Ctrl-C.
    """
    # TensorFlow's C++ start-up notes; a user's own choice stands.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Dask sets its loggers' levels itself when it is imported.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for chatty in ("absl", "tensorflow", "matplotlib", "jax", "numexpr"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        return command()
    except (BalrogError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
