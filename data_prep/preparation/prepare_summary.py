"""What a prepare job did, as text for the screen."""

from __future__ import annotations

import shlex

from data_prep.manifest import Manifest
from data_prep.splits import SPLITS

__all__ = ["summary"]

# A held-out mean this many spreads off says that the split is not like the training rows.
_NOTABLE_SHIFT = 0.1
# With fewer regions the splits can be far from their fractions of the rows.
_FEW_REGIONS = 30


def summary(manifest: Manifest) -> str:
    """Describe shards as a small table: rows, drops, splits, parents, next step."""
    content = manifest.content
    tables = {"matched": content, **content["other_tables"]}
    lines = []
    for role, table in tables.items():
        lines.append(f"{role} catalogue: {table['rows_read']:,} rows read, dropped")
        lines += [f"  {count:>12,}  {reason}" for reason, count in table["dropped"].items()]
        if not table["dropped"]:
            lines.append(f"  {0:>12,}")
        if "validation surplus" in table["dropped"]:
            lines.append("  (surplus: validation rows beyond --validation-rows or a tenth of all)")
    lines += [f"cut not applied (no such column): {cut}" for cut in content["cuts_not_applied"]]
    lines.append("shards")
    for name, split in manifest.splits.items():
        lines.append(f"  {split['rows']:>12,}  {name} ({len(split['shards'])} files)")
    lines += _few_training_rows(manifest) + _stratification(manifest)
    parents = content["parents"]
    lines.append(
        f"parents: {parents['distinct']:,} distinct, {parents['crossing']:,} crossing splits"
        if parents["distinct"]
        else "parents: not known (the preset names no column); each injection counts as its own"
    )
    if parents["crossing"]:
        lines.append("  a model may remember these; --split sky+parent drops what could cross")
    directory = shlex.quote(str(manifest.directory))
    lines.append(f"next: python train.py --data {directory} --name NAME")
    return "\n".join(lines)


def _few_training_rows(manifest: Manifest) -> list[str]:
    """Say so if the regions of the sky left fewer rows for training than for the other splits."""
    rows = {name: manifest.splits[name]["rows"] for name in SPLITS}
    regions = sum(map(len, manifest.content["regions"]["splits"].values()))
    parents = manifest.content["parents"]
    by_region = parents["split"] != "parent" and regions < _FEW_REGIONS
    if not by_region or 2 * rows["train"] >= sum(rows.values()):
        return []
    if parents["distinct"]:
        remedy = "--split parent divides by galaxy instead, another --split-seed differently"
    else:
        remedy = "another --split-seed divides them differently"
    return [f"  only {rows['train']:,} rows to train on: there are but {regions} regions; {remedy}"]


def _stratification(manifest: Manifest) -> list[str]:
    """Columns whose mean differs most between the training and the held-out rows."""
    lines = []
    for split, shifts in manifest.content["stratification"].items():
        name = max(shifts, key=lambda column: abs(shifts[column]))
        notable = sum(abs(shift) > _NOTABLE_SHIFT for shift in shifts.values())
        lines.append(
            f"{split} against train: largest shift of a mean {shifts[name]:+.3f} spreads ({name}); "
            f"{notable} of {len(shifts)} columns beyond {_NOTABLE_SHIFT}"
        )
    return lines
