"""Text of `python -m balrog_keras info`: what an exported emulator is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from balrog_keras.bundle import lacks
from balrog_keras.column_text import unit_text, value_text
from data_prep.schema import Schema

__all__ = ["describe"]


def describe(description: dict[str, Any], metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Summary of an emulator for a terminal.

    Parameters
    ----------
    description : dict
        Content of ``emulator.json``.
    metrics : mapping
        Content of ``metrics.json``: scores by part; empty if there is none.

    Returns
    -------
    str
        Several lines: what it draws, columns with units and training range, endpoints, scores,
        where it comes from.
    """
    schema, data = Schema.from_dict(description["schema"]), description["training_data"]
    rows = ", ".join(f"{split} {count:,}" for split, count in data["rows"].items())
    lines = [
        f"{description['name']}: {description['label']}",
        f"created {description['created']}, format {description['format_version']}, schema "
        f"{schema.name}, rows {rows}",
        "p(measured | detected, truth, survey properties)",
        *_parts(description),
        "",
        *_columns(schema, description["domain"]),
        *_endpoints(description["endpoints"]),
        *_scores(metrics),
        *_provenance(description),
    ]
    return "\n".join(lines)


def _parts(description: dict[str, Any]) -> Iterator[str]:
    """What the emulator has besides: detection model, members, domain, where it comes from."""
    if description["detection"]:
        yield "P(detected | truth, survey properties)"
    if description["members"] > 1:
        yield f"{description['members']} members, seeds {description['seeds']}"
    if "in_domain" in description:
        flagged = description["in_domain"]["flagged_fraction"]
        yield f"in_domain: {flagged:.0%} of held-out training rows are outside"
    if lacks(description):
        yield lacks(description)
    origin = description.get("fine_tuned_from")
    while origin:
        yield f"fine-tuned from {origin['name']} of {origin['created']}"
        origin = origin.get("fine_tuned_from")


def _columns(schema: Schema, domain: Mapping[str, Any]) -> Iterator[str]:
    units = {column.name: unit_text(column) for column in schema.columns}
    name_width = max(18, 2 + max(map(len, units)))
    unit_width = max(10, 2 + max(map(len, units.values())))
    head = f"{'column':<{name_width}}{'group':<10}{'unit':<{unit_width}}"
    yield f"{head}training range (1 - 99 %)"
    for column in schema.columns:
        line = f"{column.name:<{name_width}}{column.group:<10}{units[column.name]:<{unit_width}}"
        limits = domain.get(column.name)
        yield f"{line}{_range(limits)}" if limits else line.rstrip()


def _range(limits: Mapping[str, Any]) -> str:
    low, high = (limits["quantiles"][level] for level in ("0.01", "0.99"))
    whole = f"{value_text(limits['min'])} to {value_text(limits['max'])}"
    return f"{whole} ({value_text(low)} - {value_text(high)})"


def _endpoints(endpoints: Mapping[str, Any]) -> Iterator[str]:
    """A line for each endpoint; inputs that all have, the conditions, are named once."""
    if not endpoints:
        return
    inputs = [list(each["inputs"]) for each in endpoints.values()]
    conditions = [name for name in inputs[0] if all(name in names for names in inputs)]
    yield ""
    yield f"endpoints, all with the {len(conditions)} conditions by name, float32 (rows)"
    for name, each in endpoints.items():
        others = {k: spec for k, spec in each["inputs"].items() if k not in conditions}
        taken = f"{', '.join(_spec(*item) for item in others.items())} -> " if others else "-> "
        yield f"  {name}: {taken}{', '.join(_spec(*item) for item in each['outputs'].items())}"


def _spec(name: str, spec: Mapping[str, Any]) -> str:
    """Name, and dtype and shape where they are not float32 and one number for each row."""
    if spec == {"dtype": "float32", "shape": [None]}:
        return name
    shape = ", ".join("rows" if size is None else str(size) for size in spec["shape"])
    return f"{name} {spec['dtype']} ({shape})"


def _scores(metrics: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for part, scores in metrics.items():
        yield ""
        yield f"scores, {part}"
        width = max(map(len, scores), default=0) + 2
        yield from (f"  {name:<{width}}{value:,.5g}" for name, value in scores.items())


def _provenance(description: dict[str, Any]) -> Iterator[str]:
    provenance = description["training_data"].get("provenance", {})
    yield ""
    yield "made by"
    yield from (f"  {text}" for text in (provenance.get("command"), description["command"]) if text)
    yield "from"
    for source in provenance.get("sources", []):
        yield f"  {source['name']}, SHA-256 {source['sha256']}"
    versions = ", ".join(f"{name} {text}" for name, text in description["versions"].items())
    yield f"with {versions}"
