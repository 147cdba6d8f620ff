"""The systems that are compared: name -> module and settings."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from fidelity_parts.spec import Spec

from data_prep.errors import BalrogError, require

__all__ = ["FLOWS", "SYSTEMS", "load", "settings_of", "train"]

SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": ("ours", {}),
    "flow-ar": ("flow", {}),
    "flow-coupling": ("flow", {"passes": 2}),
    "flow-ar-network": ("flow", {"scaling": "network"}),
    "flow-coupling-network": ("flow", {"scaling": "network", "passes": 2}),
    "original": ("original", {}),
}
FLOWS = tuple(name for name, (module, _) in SYSTEMS.items() if module == "flow")


def settings_of(system: str, given: dict[str, Any]) -> dict[str, Any]:
    """A system's own settings with the given ones on top."""
    if system not in SYSTEMS:
        raise BalrogError(f"expected a system of {', '.join(SYSTEMS)}, found {system!r}")
    return SYSTEMS[system][1] | given


def _module(system: str) -> Any:
    name = SYSTEMS[system][0]
    if name != "ours":
        for library in ("torch", "zuko"):
            require(library, "benchmark")
    return import_module(f"fidelity_parts.{name}")


def train(spec: Spec, shards: Path, directory: Path) -> dict[str, Any]:
    """Train a system in this process; gives its record."""
    settings = settings_of(spec.system, spec.settings)
    return _module(spec.system).train(spec.but(settings=settings), shards, directory)


def load(system: str, directory: Path) -> Any:
    """A trained system as an emulator."""
    return _module(system).load(directory)
