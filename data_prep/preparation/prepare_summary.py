"""What a prepare job did, as text for the screen."""

from __future__ import annotations

import shlex

from data_prep.manifest import Manifest

__all__ = ["summary"]

# A held-out mean this many spreads off says that the split is not like the training rows.
_NOTABLE_SHIFT = 0.1


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
    lines += [f"cut not applied (no such column): {cut}" for cut in content["cuts_not_applied"]]
    lines.append("shards")
    for name, split in manifest.splits.items():
        lines.append(f"  {split['rows']:>12,}  {name} ({len(split['shards'])} files)")
    lines += _stratification(manifest)
    parents = content["parents"]
    lines.append(
        f"parents: {parents['distinct']:,} distinct, {parents['crossing']:,} crossing splits"
        if parents["distinct"]
        else "parents: not known (the preset names no column); each injection counts as its own"
    )
    if parents["crossing"]:
        lines.append("  a model may remember these; --split sky+parent drops the rows that cross")
    directory = shlex.quote(str(manifest.directory))
    lines.append(f"next: python train.py --data {directory} --name NAME")
    return "\n".join(lines)


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
