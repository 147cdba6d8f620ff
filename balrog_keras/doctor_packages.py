"""Which packages are installed, by the extras of this package's own metadata."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

__all__ = ["TENSORFLOWS", "extras", "install_command", "required", "tensorflow_packages"]

_NAME = "balrog-keras"
# Distributions of TensorFlow; each installs the same files, so that two damage each other.
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tensorflow-macos", "tf-nightly")
# Of these one is enough, and tensorflow_packages() says which.
_ALTERNATIVES = ("cpu", "tf", "gpu")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _described(requirements: Iterable[str], extra: str) -> list[dict[str, Any]]:
    """Packages of one extra ("": those always needed) that count on this machine."""
    from packaging.requirements import Requirement

    found = []
    for text in requirements:
        each = Requirement(text)
        counts = each.marker is None or each.marker.evaluate({"extra": extra})
        if not counts or (extra and (each.marker is None or "extra" not in str(each.marker))):
            continue
        installed = _version(each.name)
        fits = installed is not None and each.specifier.contains(installed, prereleases=True)
        wanted = str(each.specifier)
        found.append({"package": each.name, "wanted": wanted, "found": installed, "ok": fits})
    return found


def required() -> list[dict[str, Any]]:
    """Packages that are always needed.

    Returns
    -------
    list of dict
        ``package``, ``wanted`` (as ``">=2.0"``), ``found`` (version, None if missing), ``ok``.
        Empty if this package is not installed but found by its folder alone.
    """
    try:
        return _described(requires(_NAME) or [], "")
    except PackageNotFoundError:
        return []


def extras() -> dict[str, dict[str, Any]]:
    """Optional parts.

    Returns
    -------
    dict
        Extra -> ``packages`` as of :func:`required`, ``ok``, and ``install``, the command. Those
        that bring TensorFlow are left out.
    """
    try:
        names = metadata(_NAME).get_all("Provides-Extra") or []
        requirements = requires(_NAME) or []
    except PackageNotFoundError:
        return {}
    found = {}
    for name in names:
        if name in _ALTERNATIVES:
            continue
        packages = _described(requirements, name)
        ok = all(each["ok"] for each in packages)
        found[name] = {"ok": ok, "packages": packages, "install": install_command(name)}
    return found


def install_command(extra: str) -> str:
    """How to install an extra, from a checkout or from a package index."""
    checkout = (Path(__file__).parents[1] / "setup.cfg").is_file()
    return f'pip install -e ".[{extra}]"' if checkout else f'pip install "{_NAME}[{extra}]"'


def tensorflow_packages() -> dict[str, str]:
    """Version of each installed distribution of TensorFlow; one is right."""
    found = {name: _version(name) for name in TENSORFLOWS}
    return {name: each for name, each in found.items() if each is not None}
