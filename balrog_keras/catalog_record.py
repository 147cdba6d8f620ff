"""What an emulated catalogue depends on, and the record of it beside the catalogue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balrog_keras.catalog_parts import CatalogDraws
from data_prep.provenance import provenance

if TYPE_CHECKING:
    from balrog_keras.catalog_emulation import Emulated

__all__ = ["identity_of", "record_of", "record_path", "recorded_files"]

_FORMAT_VERSION = 1


def record_path(output: Path) -> Path:
    """Where the record of a catalogue is: ``OUTPUT.provenance.json``."""
    return output.with_name(f"{output.name}.provenance.json")


def recorded_files(record: Path) -> list[str]:
    """Files of the output that a record is of; none if it does not say."""
    try:
        files = json.loads(record.read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in files]


def identity_of(draws: CatalogDraws, output: Path) -> dict[str, Any]:
    """Everything that decides the bytes of the output, JSON-able.

    Files of rows and pixels, which may be larger than memory, are known by name, size and time
    of change; the emulator by the checksums of its files.
    """
    info = draws.emulator.info
    identity = {
        "output": output.name,
        "emulator": {
            "name": info["name"],
            "label": draws.emulator.label,
            "sha256": _sha256_of(info),
        },
        "catalog": _described(draws.catalog.path) | {"rows": draws.catalog.rows},
        "maps": [_described(path) for path in draws.reader.map_files],
        **draws.reader.describe(),
        "keep": list(draws.keep),
        "draws": asdict(draws.plan),
        "batch_rows": draws.batch_rows,
        "versions": provenance("", [])["versions"],
    }
    # In JSON's types, so that what was read from a file equals what was written.
    return dict(json.loads(json.dumps(identity)))


def record_of(command: str, identity: Mapping[str, Any], emulated: Emulated) -> dict[str, Any]:
    """Content of the record: the command, what it depended on, and what became of the rows."""
    return {
        "format_version": _FORMAT_VERSION,
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **identity,
        **asdict(emulated),
    }


def _sha256_of(info: Mapping[str, Any]) -> str:
    """Checksum of ``emulator.json``, which holds those of the other files."""
    return hashlib.sha256(json.dumps(info, sort_keys=True).encode()).hexdigest()


def _described(path: Path) -> dict[str, Any]:
    """Name, size and time of change of a file, or of all files of a directory."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    status = [each.stat() for each in files]
    changed = max((each.st_mtime_ns for each in status), default=0)
    return {
        "name": path.name,
        "bytes": sum(each.st_size for each in status),
        "modified": datetime.fromtimestamp(changed / 1e9, UTC).isoformat(),
    }
