"""The JSON Schema of metrics.json."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from data_prep.errors import require

__all__ = ["check_metrics", "metrics_schema"]


def metrics_schema() -> dict[str, Any]:
    """The schema, ``balrog_keras/schemas/metrics.schema.json``."""
    path = files("balrog_keras").joinpath("schemas/metrics.schema.json")
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema


def check_metrics(document: dict[str, Any]) -> None:
    """Check the content of metrics.json before it is written.

    Parameters
    ----------
    document : dict
        From :func:`balrog_keras.report.metrics_document`.

    Raises
    ------
    MissingExtraError
        If jsonschema is not installed.
    RuntimeError
        If the document does not follow the schema: a fault of this package.
    """
    jsonschema = require("jsonschema", "report")
    validator = jsonschema.Draft202012Validator(metrics_schema())
    error = next(validator.iter_errors(document), None)
    if error is not None:
        raise RuntimeError(f"metrics.json, {error.json_path}: {error.message}")
