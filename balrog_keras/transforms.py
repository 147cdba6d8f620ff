"""Transforms of columns (log10, log1p, asinh), and what a residual refers to.

The schema gives each column a transform. Networks, standardizer and metrics work on transformed
values; shards, emulated catalogues and everything a user sees hold physical ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.schema import Column, Schema

__all__ = ["MAGNITUDES", "reference_indices", "restored", "transformed", "transforms_of"]

MAGNITUDES = ("mag", "asinh mag")

_LN_10 = float(np.log(10.0))


def transforms_of(columns: Sequence[Column]) -> list[str]:
    """Transform of each column."""
    return [column.transform for column in columns]


def transformed(values: Any, transforms: Sequence[str], ops: Any = np) -> Any:
    """Apply each column's transform.

    Parameters
    ----------
    values : array or tensor, shape (..., K)
        Physical units.
    transforms : sequence of str
        Of the K columns: identity, log10, log1p or asinh.
    ops : module
        ``numpy``, or ``keras.ops`` for tensors.

    Returns
    -------
    array or tensor, shape (..., K)
        `values` itself if every transform is the identity. NaN where a value has none.
    """
    functions = {"log10": ops.log10, "log1p": ops.log1p, "asinh": ops.arcsinh}
    with np.errstate(invalid="ignore", divide="ignore"):
        return _by_column(values, transforms, functions, ops)


def restored(values: Any, transforms: Sequence[str], ops: Any = np) -> Any:
    """Inverse of :func:`transformed`; finite for every finite value."""
    # Beyond these bounds float32 overflows.
    functions = {
        "log10": lambda column: ops.exp(_LN_10 * ops.clip(column, -37.0, 37.0)),
        "log1p": lambda column: ops.expm1(ops.clip(column, -85.0, 85.0)),
        "asinh": lambda column: ops.sinh(ops.clip(column, -85.0, 85.0)),
    }
    return _by_column(values, transforms, functions, ops)


def _by_column(values: Any, transforms: Sequence[str], functions: dict[str, Any], ops: Any) -> Any:
    if all(transform == "identity" for transform in transforms):
        return values
    columns = [
        values[..., index] if transform == "identity" else functions[transform](values[..., index])
        for index, transform in enumerate(transforms)
    ]
    return ops.stack(columns, axis=-1)


def reference_indices(schema: Schema) -> list[int]:
    """Where each measured column's reference is among the conditions; -1 for none.

    A residual is the difference of two transformed values, so a reference with another transform
    or in another unit (a flux beside a magnitude) counts as none. An asinh magnitude and a
    magnitude are of one kind.
    """
    conditions = {column.name: column for column in schema.truth + schema.survey}
    names = list(conditions)

    def comparable(column: Column) -> bool:
        other = conditions[column.reference]
        same_unit = column.unit == other.unit or {column.unit, other.unit} == set(MAGNITUDES)
        return same_unit and column.transform == other.transform

    return [
        names.index(column.reference) if column.reference and comparable(column) else -1
        for column in schema.measured
    ]
