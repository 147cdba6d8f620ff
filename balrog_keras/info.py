"""Text of `python -m balrog_keras info`: what an exported emulator is."""

from __future__ import annotations

from typing import Any

from balrog_keras.column_text import unit_text, value_text
from data_prep.schema import Schema

__all__ = ["describe"]


def describe(description: dict[str, Any]) -> str:
    """Summary of an emulator for a terminal.

    Parameters
    ----------
    description : dict
        Content of ``emulator.json``.

    Returns
    -------
    str
        Several lines: columns with units and training range, data, versions.
    """
    schema = Schema.from_dict(description["schema"])
    domain, data = description["domain"], description["training_data"]
    rows = ", ".join(f"{split} {count:,}" for split, count in data["rows"].items())
    units = {column.name: unit_text(column) for column in schema.columns}
    name_width = max(18, 2 + max(map(len, units)))
    unit_width = max(10, 2 + max(map(len, units.values())))
    lines = [
        f"{description['name']}: {description['label']}",
        f"created {description['created']}, schema {schema.name}, rows {rows}",
        "p(measured | detected, truth, survey properties)",
        *_parts(description),
        "",
        f"{'column':<{name_width}}{'group':<10}{'unit':<{unit_width}}training range",
    ]
    for column in schema.columns:
        limits = domain.get(column.name)
        span = f"{value_text(limits['min'])} to {value_text(limits['max'])}" if limits else ""
        unit = units[column.name]
        lines.append(f"{column.name:<{name_width}}{column.group:<10}{unit:<{unit_width}}{span}")
    versions = ", ".join(f"{name} {text}" for name, text in description["versions"].items())
    return "\n".join([*lines, "", versions])


def _parts(description: dict[str, Any]) -> list[str]:
    """What the emulator has besides: detection model, members, where it comes from."""
    lines = []
    if description.get("detection"):
        lines.append("P(detected | truth, survey properties)")
    if description.get("members", 1) > 1:
        lines.append(f"{description['members']} members, seeds {description['seeds']}")
    origin = description.get("fine_tuned_from")
    while origin:
        lines.append(f"fine-tuned from {origin['name']} of {origin['created']}")
        origin = origin.get("fine_tuned_from")
    return lines
