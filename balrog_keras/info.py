"""Text of `python -m balrog_keras info`: what an exported emulator is."""

from __future__ import annotations

from typing import Any

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
    lines = [
        f"{description['name']}: {description['label']}",
        f"created {description['created']}, schema {schema.name}, rows {rows}",
        "p(measured | detected, truth, survey properties)",
        "",
        f"{'column':<18}{'group':<10}{'unit':<10}training range",
    ]
    for column in schema.columns:
        limits = domain.get(column.name)
        span = f"{limits['min']:.3f} to {limits['max']:.3f}" if limits else ""
        lines.append(f"{column.name:<18}{column.group:<10}{column.unit:<10}{span}")
    versions = ", ".join(f"{name} {text}" for name, text in description["versions"].items())
    return "\n".join([*lines, "", versions])
