"""Commands in processes of their own that kill themselves, as by kill -9, while they write."""

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from data_prep import files

# A file is half written; the first output is whole, but has its hidden name; it has its own.
MOMENTS = ("half", "hidden", "published")
_ROOT = Path(__file__).parents[1]
_PROGRAM = "import sys, killed; sys.exit(killed.run(*sys.argv[1:]))"


def kill(module, moment, arguments):
    """Call ``MODULE.command(arguments)`` in another process, which dies at one of the moments."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, module, moment, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def run(module, moment, *arguments):
    """In that process."""
    command = import_module(module).command
    replace, exchange = os.replace, files._exchange

    def half(path):
        os.truncate(path, os.path.getsize(path) // 2)
        _die()

    def dying(publish):
        def published(source, target):
            # Files inside a hidden directory are no output yet, nor are those of other packages.
            if ".partial." not in str(source) or ".partial." in str(target):
                return publish(source, target)
            if moment == "published":
                publish(source, target)
            return _die()

        return published

    if moment == "half":
        files.sync_file = half
    else:
        os.replace, files._exchange = dying(replace), dying(exchange)
    return command(list(arguments))


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def hidden(place):
    """Names of what is left hidden in a directory, but for locks, which are in nobody's way."""
    return sorted(path.name for path in place.glob(".*") if not path.name.endswith(".lock"))
