"""The README.md of an exported emulator, made from its emulator.json and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from balrog_keras.bundle import read_description, read_metrics
from balrog_keras.column_text import unit_text, value_text
from data_prep.files import atomic_path, write_json
from data_prep.locks import locked
from data_prep.schema import Schema

__all__ = ["model_card", "record_evaluation"]

_TEMPLATE = """\
# Emulator `{name}`

{label}

Draws {measured} given {conditions}: p(measured | **detected**, truth, survey properties).
{detection} It draws every object on its own.{members}{origin}

## Load it (TensorFlow and numpy only)

```python
import numpy as np
import tensorflow as tf

model = tf.saved_model.load("saved_models/{name}/1")
draw = model.signatures["serving_default"]
columns = {{
{example}
}}
row_id = np.arange(2)
measured = draw(
    **columns,
    row_id=tf.constant(row_id, tf.int64),
    seed=tf.constant(1, tf.int64),{draw_argument}{member_argument}
)
```

The same numbers give the same measured values in any batch, order or process; another `seed`, or
another `draw` of a seed, is another realization.
{domain}
## Columns

| column | group | unit | training range (min, median, max) |
|---|---|---|---|
{columns}

## Training data

{rows}. Sources:

{sources}

Made by

```sh
{commands}
```

## Scores

{scores}

Settings, versions and the SHA-256 of every file are in `emulator.json`.
"""


_DETECTION = """\
P(detected | truth, survey properties) is the endpoint `detection_probability`; `emulate_detected`
takes what `serving_default` takes and draws `detected` as well."""
_DOMAIN = """
The endpoint `in_domain` tells whether a condition is like those of the training rows. It is false
where they are rare: for {flagged:.0%} of held-out rows of the training data. `domain_score` is the
natural logarithm of their density over that at the limit. What is drawn outside is extrapolated.
"""
_NO_DETECTION = "It says nothing on whether an object is detected."
_MEMBERS = """

It is an ensemble of {members} members, which differ by the seeds of their training alone. `member`
(from 0) chooses which one draws; how much they differ is what training leaves open."""
_ORIGIN = """

Fine-tuned from `{name}` (created {created}, SHA-256 of its emulator.json
`{emulator_json_sha256}`)."""


def _column_row(column: Any, domain: dict[str, Any]) -> str:
    limits = domain.get(column.name)
    text = ""
    if limits:
        values = limits["min"], limits["quantiles"]["0.5"], limits["max"]
        text = ", ".join(value_text(value) for value in values)
    return f"| `{column.name}` | {column.group} | {unit_text(column)} | {text} |"


def _score_rows(metrics: dict[str, Any]) -> str:
    lines = ["| statistic | value |", "|---|---|"]
    for part, scores in metrics.items():
        lines += [f"| {part}: {name} | {value:,.5g} |" for name, value in scores.items()]
    return "\n".join(lines)


def _has_draw(description: dict[str, Any]) -> bool:
    return "draw" in description["endpoints"].get("serving_default", {"inputs": ()})["inputs"]


def _domain_text(description: dict[str, Any]) -> str:
    if "in_domain" not in description:
        return ""
    return _DOMAIN.format(flagged=description["in_domain"]["flagged_fraction"])


def record_evaluation(bundle: Path, document: dict[str, Any]) -> None:
    """Add an evaluation's verdict to an emulator's metrics.json and model card.

    Parameters
    ----------
    bundle : path
        ``saved_models/NAME``.
    document : dict
        Content of the evaluation's metrics.json.

    Raises
    ------
    BalrogError
        If the bundle cannot be read.
    OSError
        If it cannot be written; the old files are untouched.
    """
    description = read_description(bundle)
    metrics = read_metrics(bundle)
    test: dict[str, float] = {"rows": document["rows"]["test"]}
    for bar in document["bars"]:
        test |= {bar["name"]: bar["value"], f"{bar['name']}, null": bar["null"]}
    # What is not defined is None there.
    metrics["test"] = {name: value for name, value in test.items() if value is not None}
    scores, card = bundle / "metrics.json", bundle / "README.md"
    with locked(scores, "run it again"), locked(card, "run it again"), atomic_path(card) as partial:
        partial.write_text(model_card(description, metrics), encoding="utf-8")
        write_json(scores, metrics)


def model_card(description: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Markdown text of a model card.

    Parameters
    ----------
    description : dict
        Content of ``emulator.json``.
    metrics : dict of dict of str to float
        Scores by part, for example ``{"validation": {...}}``.

    Returns
    -------
    str
        Markdown.
    """
    schema = Schema.from_dict(description["schema"])
    domain, data = description["domain"], description["training_data"]
    members, origin = description.get("members", 1), description.get("fine_tuned_from")
    medians = {name: domain[name]["quantiles"]["0.5"] for name in schema.condition_names}
    return _TEMPLATE.format(
        name=description["name"],
        detection=_DETECTION if description.get("detection") else _NO_DETECTION,
        members=_MEMBERS.format(members=members) if members > 1 else "",
        draw_argument="\n    draw=tf.constant(0, tf.int64)," if _has_draw(description) else "",
        member_argument="\n    member=tf.constant(0, tf.int64)," if members > 1 else "",
        domain=_domain_text(description),
        origin=_ORIGIN.format(**origin) if origin else "",
        label=description["label"],
        measured=", ".join(f"`{name}`" for name in schema.measured_names),
        conditions=", ".join(f"`{name}`" for name in schema.condition_names),
        example="\n".join(
            f'    "{name}": tf.constant([{value_text(value)}, {value_text(value)}]),'
            for name, value in medians.items()
        ),
        columns="\n".join(_column_row(column, domain) for column in schema.columns),
        rows=", ".join(f"{split} {rows:,} rows" for split, rows in data["rows"].items()),
        sources="\n".join(
            f"- `{source['name']}`, {source['bytes']:,} bytes, SHA-256 `{source['sha256']}`"
            for source in data["provenance"].get("sources", [])
        ),
        commands=f"{data['provenance'].get('command', '')}\n{description['command']}".strip(),
        scores=_score_rows(metrics),
    )
