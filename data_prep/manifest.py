"""The manifest of a directory of shards: what they hold and where it came from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError
from data_prep.files import inside, read_versioned_json, write_json
from data_prep.schema import Schema

__all__ = ["FORMAT_VERSION", "MANIFEST_NAME", "Manifest", "manifest_checksum", "write_manifest"]

# 2: each split lists its features; a checksum of the manifest itself.
FORMAT_VERSION = 2
MANIFEST_NAME = "manifest.json"
_KEYS = (
    "schema", "fingerprint", "preset", "label", "splits", "statistics", "dropped", "rows_read",
    "regions", "parents", "provenance", "map_patterns", "sha256",
)  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says of a directory of shards.

    Attributes
    ----------
    directory : pathlib.Path
        Where the shards lie.
    schema : Schema
        Their columns.
    label : str
        Provenance label, shown in every figure.
    splits : dict
        Split -> ``{"rows": int, "record_bytes": int, "features": {name: width}, "shards":
        [{"file", "rows", "sha256"}]}``.
    statistics : dict
        Column -> count, mean, std, min, max, quantiles of the train split.
    map_patterns : dict
        Survey column -> file name patterns of the map it was looked up in.
    provenance : dict
        Command, sources, columns used, versions, time.
    content : dict
        The whole file.
    """

    directory: Path
    schema: Schema
    label: str
    splits: Mapping[str, Any]
    statistics: Mapping[str, Any]
    map_patterns: Mapping[str, Any]
    provenance: Mapping[str, Any]
    content: Mapping[str, Any]

    @classmethod
    def load(cls, directory: str | os.PathLike[str], require_shards: bool = True) -> Manifest:
        """Load and validate the manifest of a directory of shards.

        Parameters
        ----------
        directory : path
            Written by ``python -m data_prep prepare``.
        require_shards : bool
            Whether a missing shard is an error.

        Returns
        -------
        Manifest

        Raises
        ------
        BalrogError
            If there is none, it is damaged, of another version, names a file elsewhere, or a
            required shard is missing.
        """
        directory = Path(directory)
        path = directory / MANIFEST_NAME
        if not path.is_file():
            raise BalrogError(
                f"{directory} must be a directory of shards; it has no {MANIFEST_NAME}; make one "
                "with python -m data_prep prepare"
            )
        content = read_versioned_json(path, FORMAT_VERSION, _KEYS, "prepare the shards again")
        if content["sha256"] != manifest_checksum(content):
            raise BalrogError(
                f"{path} must have the checksum it states; it is damaged or was edited; prepare "
                "the shards again"
            )
        schema = Schema.from_dict(content["schema"])
        if schema.fingerprint != content["fingerprint"]:
            raise BalrogError(f"{path}: schema and fingerprint disagree; prepare the shards again")
        manifest = cls(
            directory=directory,
            schema=schema,
            label=content["label"],
            splits=content["splits"],
            statistics=content["statistics"],
            map_patterns=content["map_patterns"],
            provenance=content["provenance"],
            content=content,
        )
        manifest._require_files(require_shards)
        return manifest

    def split(self, name: str) -> Mapping[str, Any]:
        """What the manifest says of a split, as in `splits`.

        Raises
        ------
        BalrogError
            If there is no such split.
        """
        if name not in self.splits:
            raise BalrogError(
                f"{self.directory} must have the split {name!r}; it has {', '.join(self.splits)}"
            )
        described: Mapping[str, Any] = self.splits[name]
        return described

    def _require_files(self, present: bool) -> None:
        """Shards lie beside the manifest, whatever it says, and are there."""
        names = [shard["file"] for split in self.splits.values() for shard in split["shards"]]
        paths = [inside(self.directory, name, MANIFEST_NAME) for name in names]
        missing = [path.name for path in paths if not path.is_file()]
        if missing and present:
            raise BalrogError(
                f"{self.directory} must hold the {len(names)} shards of its manifest; missing "
                f"{', '.join(missing[:5])}; copy them or prepare the shards again"
            )


def manifest_checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest without its own checksum, over canonical JSON."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_manifest(directory: Path, schema: Schema, content: Mapping[str, Any]) -> None:
    """Write the manifest of a directory of shards.

    Parameters
    ----------
    directory : path
        Exists.
    schema : Schema
        Of the shards.
    content : mapping
        The other keys (JSON-able).
    """
    manifest = {
        "format_version": FORMAT_VERSION,
        "schema": schema.to_dict(),
        "fingerprint": schema.fingerprint,
    } | dict(content)
    # As it will be read: JSON has no tuples and no integer keys.
    manifest = json.loads(json.dumps(manifest, allow_nan=False))
    manifest["sha256"] = manifest_checksum(manifest)
    write_json(directory / MANIFEST_NAME, manifest)
