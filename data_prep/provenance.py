"""Where a file came from: command, sources with checksums, versions, time."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import data_prep
from data_prep.files import sha256_of

__all__ = ["provenance"]

_PACKAGES = ("numpy", "healpy", "healsparse", "fitsio", "pyarrow", "tensorflow", "tensorflow-cpu")


def provenance(command: str, sources: Iterable[Path]) -> dict[str, Any]:
    """Describe how something was made, for a manifest.

    Parameters
    ----------
    command : str
        The command line.
    sources : iterable of path
        Files and directories that went in; read whole for their checksums.

    Returns
    -------
    dict
        command, sources (name, bytes, sha256; None for what is no file), versions, created (UTC,
        ISO 8601).
    """
    versions = {"python": platform.python_version(), "data_prep": data_prep.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "command": command,
        "sources": [_describe(path) for path in sources],
        "versions": versions,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _describe(path: Path) -> dict[str, Any]:
    if not path.exists():  # computed, not read
        return {"name": path.name, "bytes": None, "sha256": None}
    return {"name": path.name, "bytes": _bytes_of(path), "sha256": sha256_of(path)}


def _bytes_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
