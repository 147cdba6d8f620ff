"""A disk that is full, places that cannot be written, and what is left behind."""

import contextlib
import locale
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import light
import pytest

from data_prep.files import sha256_of


@contextlib.contextmanager
def full_disk(most_bytes):
    """The kernel refuses to let any file of this process grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def unwritable(place):
    """A directory that nobody may write: for root, one of the kernel's own."""
    if os.geteuid() == 0:
        if not Path("/proc/self").exists():
            pytest.skip("root can write everywhere here")
        return Path("/proc/self")
    (place / "read only").mkdir(mode=0o555)
    return place / "read only"


@contextlib.contextmanager
def elsewhere(tmp_path_factory, monkeypatch):
    """The process runs in Kathmandu (UTC+5:45), with German numbers where those can be had."""
    compiled = light.made_once(tmp_path_factory, "locales", _compile_locale)
    before = locale.setlocale(locale.LC_ALL)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        patch.setenv("LOCPATH", str(compiled))
        time.tzset()
        if (compiled / "de_DE.UTF-8").is_dir():
            locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
            assert locale.localeconv()["decimal_point"] == ","
        try:
            yield
        finally:
            locale.setlocale(locale.LC_ALL, before)
    time.tzset()


def _compile_locale(directory):
    """de_DE, if the system has its source and the compiler."""
    if shutil.which("localedef"):
        command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(directory / "de_DE.UTF-8")]
        subprocess.run(command, capture_output=True, check=False)


def tree(place):
    """Checksum of every file below a directory, links by where they lead."""
    return {
        str(path.relative_to(place)): os.readlink(path) if path.is_symlink() else sha256_of(path)
        for path in sorted(place.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def error_of(code, capsys):
    """The error line of a command that must have failed with exit code 1, and nothing else."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 1, lines
    assert lines[-1].startswith("error: "), lines
    assert not any(line.startswith("Traceback") for line in lines)
    return lines[-1]
