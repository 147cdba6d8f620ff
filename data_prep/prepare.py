"""Catalogue and maps -> shards: read, cut, look up, split, write."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_prep.errors import BalrogError, require
from data_prep.files import atomic_directory
from data_prep.injections import Injections, match_rows
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.prepare_settings import PrepareSettings, add_arguments, settings_from
from data_prep.prepare_tables import Tables, look_up, read_tables
from data_prep.provenance import provenance
from data_prep.schema import Schema
from data_prep.shards import SplitRows, write_shards
from data_prep.splits import (
    REGION_NEST,
    REGION_NSIDE,
    SPLITS,
    assign_splits,
    crossing_parents,
    keyed_hash,
    region_of,
    split_of_parents,
)

__all__ = ["add_arguments", "prepare", "run", "shard_tables", "summary"]


def prepare(settings: PrepareSettings, command: str = "") -> Manifest:
    """Turn catalogues and maps into shards.

    Parameters
    ----------
    settings : PrepareSettings
        What to do.
    command : str
        The command line, for the manifest.

    Returns
    -------
    Manifest
        Of the shards written.

    Raises
    ------
    BalrogError
        For bad input; nothing is left behind, shards already there stay.
    OSError
        As raised by the write (disk full); as above.
    """
    _require_free(settings)
    require("tensorflow", "cpu")
    tables = read_tables(settings)
    return shard_tables(tables, settings, command)


def run(arguments: argparse.Namespace) -> None:
    """Do what the parsed options of ``python -m data_prep prepare`` say, and print a summary."""
    command = shlex.join(["python", "-m", "data_prep", *sys.argv[1:]])
    print(summary(prepare(settings_from(arguments), command)))


def shard_tables(tables: Tables, settings: PrepareSettings, command: str = "") -> Manifest:
    """Look up the survey properties, split, and write the shards of tables that are read."""
    look_up(tables, settings.strict)
    regions = {role: region_of(table.ra, table.dec) for role, table in tables.all.items()}
    split_of_region = assign_splits(
        np.concatenate([regions[role] for role in regions if role != "oracle"]),
        settings.split_seed,
        settings.validation_fraction,
        settings.test_fraction,
    )
    split_of_row = {
        role: _split_rows(table, regions[role], split_of_region, settings)
        for role, table in tables.all.items()
    }
    parents = _count_parents(tables, split_of_row)
    splits = _all_splits(tables, regions, split_of_row, settings)
    content = {
        "preset": tables.preset.schema.name,
        "label": tables.matched.label,
        "dropped": tables.matched.selection.dropped,
        "rows_read": len(tables.matched),
        "other_tables": {
            role: {"rows_read": len(table), "dropped": table.selection.dropped}
            for role, table in tables.all.items()
            if role != "matched"
        },
        "cuts": [str(cut) for cut in tables.preset.cuts if str(cut) not in tables.not_applied],
        "cuts_not_applied": tables.not_applied,
        "regions": _describe_regions(split_of_region, settings),
        "parents": parents | {"split": settings.split},
        "map_patterns": {k: list(v) for k, v in tables.preset.map_patterns.items()},
        "provenance": provenance(command, tables.sources),
    }
    content["provenance"]["columns"] = {role: table.used for role, table in tables.all.items()}
    with atomic_directory(settings.out) as partial:
        write_shards(partial, splits, tables.preset.schema, content, settings.shards)
    return Manifest.load(settings.out)


def _require_free(settings: PrepareSettings) -> None:
    """Refuse to replace anything but shards, and those only with force."""
    out = settings.out
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out.is_dir() and (out / MANIFEST_NAME).is_file()):
        raise BalrogError(f"--out must be new or hold shards; {out} holds something else")
    if not settings.force:
        raise BalrogError(f"{out} holds shards already; give --force to replace them")


def _split_rows(
    table: Injections,
    regions: np.ndarray,
    split_of_region: Mapping[int, str],
    settings: PrepareSettings,
) -> np.ndarray:
    """Split of each row as an index into SPLITS; drops rows whose parent is elsewhere."""
    unique, inverse = np.unique(regions, return_inverse=True)
    # A redraw may touch a region that the catalogue does not: such rows have no partner.
    of_unique = [SPLITS.index(split_of_region.get(int(region), "train")) for region in unique]
    splits = np.asarray(of_unique, dtype=np.int8)[inverse]
    if settings.split == "sky+parent":
        of_parent = split_of_parents(
            table.parent_id,
            settings.split_seed,
            settings.validation_fraction,
            settings.test_fraction,
        )
        table.selection.drop(of_parent != splits, "parent belongs to another split")
    return splits


def _count_parents(tables: Tables, split_of_row: Mapping[str, np.ndarray]) -> dict[str, int]:
    parents, splits = [], []
    for role, table in tables.all.items():
        if role != "oracle":
            parents.append(table.parent_id[table.selection.keep])
            splits.append(split_of_row[role][table.selection.keep])
    distinct, crossing = crossing_parents(np.concatenate(parents), np.concatenate(splits))
    return {"distinct": distinct, "crossing": crossing}


def _all_splits(
    tables: Tables,
    regions: Mapping[str, np.ndarray],
    split_of_row: Mapping[str, np.ndarray],
    settings: PrepareSettings,
) -> dict[str, SplitRows]:
    schema, result = tables.preset.schema, {}
    for role, prefix in (("matched", ""), ("detection", "detection-")):
        if role not in tables.all:
            continue
        table = tables.all[role]
        _cap_validation(table, split_of_row[role], settings)
        features = _features(table, schema, regions[role])
        for index, split in enumerate(SPLITS):
            rows = np.flatnonzero(table.selection.keep & (split_of_row[role] == index))
            if not rows.size:
                raise BalrogError(
                    f"{table.path}: no row is left for the {split} split; give another "
                    "--split-seed or larger fractions"
                )
            result[prefix + split] = _shuffled(features, rows, table, settings.split_seed)
        if role == "matched" and tables.replicate is not None:
            test = table.row_id[result["test"].rows]
            result["oracle"] = _oracle(tables.replicate, test, schema, regions["oracle"], settings)
    return result


def _oracle(
    replicate: Injections,
    test: np.ndarray,
    schema: Schema,
    regions: np.ndarray,
    settings: PrepareSettings,
) -> SplitRows:
    partner = match_rows(replicate.row_id, test, "the test split")
    replicate.selection.drop(partner < 0, "no such row in the test split")
    rows = np.flatnonzero(replicate.selection.keep)
    if not rows.size:
        raise BalrogError(
            f"{replicate.path}: a redraw must hold injections of the test split, found none; was "
            "it made with another --split-seed?"
        )
    features = _features(replicate, schema, regions)
    return _shuffled(features, rows, replicate, settings.split_seed)


def _cap_validation(table: Injections, splits: np.ndarray, settings: PrepareSettings) -> None:
    """Keep the rows with the lowest keyed number, at most a tenth of all rows."""
    kept = np.flatnonzero(table.selection.keep & (splits == SPLITS.index("validation")))
    most = min(settings.validation_rows, np.count_nonzero(table.selection.keep) // 10)
    order = np.argsort(keyed_hash(table.row_id[kept], settings.split_seed, "validation"))
    surplus = np.zeros(len(table), bool)
    surplus[kept[order[most:]]] = True
    table.selection.drop(surplus, "validation surplus")


def _shuffled(features: Any, rows: np.ndarray, table: Injections, seed: int) -> SplitRows:
    """Rows in an order that depends on their ids and the seed, not on the catalogue's order."""
    key = keyed_hash(table.row_id[rows], seed, "shuffle")
    return SplitRows(features, rows[np.argsort(key)])


def _features(table: Injections, schema: Schema, regions: np.ndarray) -> dict[str, Any]:
    features: dict[str, Any] = {
        "condition": [table.columns[name] for name in schema.condition_names],
        "row_id": table.row_id,
        "parent_id": table.parent_id,
        "region": regions,
        "position": [table.ra, table.dec],
    }
    if table.detected is None:
        features["measured"] = [table.columns[name] for name in schema.measured_names]
    else:
        features["detected"] = table.detected
    return features


def _describe_regions(split_of_region: Mapping[int, str], settings: PrepareSettings) -> Any:
    pixels = {
        name: [region for region, split in split_of_region.items() if split == name]
        for name in SPLITS
    }
    return {
        "nside": REGION_NSIDE,
        "nest": REGION_NEST,
        "seed": settings.split_seed,
        "splits": pixels,
    }


def summary(manifest: Manifest) -> str:
    """Describe shards as a small table for the screen: rows, drops, splits, parents, next step."""
    content = manifest.content
    tables = {"matched": content, **content["other_tables"]}
    lines = []
    for role, table in tables.items():
        lines.append(f"{role} catalogue: {table['rows_read']:,} rows read, dropped")
        lines += [f"  {count:>12,}  {reason}" for reason, count in table["dropped"].items()]
        if not table["dropped"]:
            lines.append(f"  {0:>12,}")
    lines += [f"cut not applied (no such column): {cut}" for cut in content["cuts_not_applied"]]
    lines.append("shards")
    for name, split in manifest.splits.items():
        lines.append(f"  {split['rows']:>12,}  {name} ({len(split['shards'])} files)")
    parents = content["parents"]
    lines.append(
        f"parents: {parents['distinct']:,} distinct, {parents['crossing']:,} crossing splits"
    )
    if parents["crossing"]:
        lines.append("  a model may remember these; --split sky+parent drops the rows that cross")
    lines.append(f"next: python train.py --data {manifest.directory} --name NAME")
    return "\n".join(lines)
