"""How far out a measured column can be drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from balrog_keras.residuals import residuals
from balrog_keras.transforms import MAGNITUDES, transformed, transforms_of
from data_prep.schema import Column, Schema

__all__ = ["DrawBounds"]


class DrawBounds(NamedTuple):
    """What draws of the M measured columns are kept within.

    Tails are long, and a map of latents to measured columns that nothing bounds would give one
    galaxy in millions a size of 10^19 arcsec2. A residual (transformed measured less the reference)
    can lie beyond those of the training rows, on either side, by as much as they span; a measured
    value not beyond the schema's own limits, which no training row lies beyond. Those of magnitudes
    are no limits of nature and are left out.

    Attributes
    ----------
    residual : float32 array, shape (2, M)
        Least and largest residual.
    value : float32 array, shape (2, M)
        Least and largest transformed value; infinite where there is no limit.
    """

    residual: np.ndarray
    value: np.ndarray

    @classmethod
    def of_rows(cls, schema: Schema, condition: np.ndarray, measured: np.ndarray) -> DrawBounds:
        """Bounds from training rows, ``(N, C)`` and ``(N, M)``, physical units."""
        found = residuals(schema, condition, measured)
        least, most = found.min(axis=0), found.max(axis=0)
        return cls._of(schema, np.stack([2.0 * least - most, 2.0 * most - least], axis=1))

    @classmethod
    def of_description(
        cls, schema: Schema, described: Mapping[str, Sequence[float]] | None
    ) -> DrawBounds | None:
        """Bounds as :meth:`describe` gave them; None for emulators of versions that had none."""
        if described is None:
            return None
        return cls._of(schema, np.array([described[name] for name in schema.measured_names]))

    @classmethod
    def _of(cls, schema: Schema, residual: np.ndarray) -> DrawBounds:
        limits = np.array([_limits(column) for column in schema.measured], np.float32).T
        value = transformed(limits, transforms_of(schema.measured))
        return cls(residual.T.astype(np.float32), value.astype(np.float32))

    def describe(self, schema: Schema) -> dict[str, list[float]]:
        """Least and largest residual by measured column, for emulator.json."""
        pairs = self.residual.T.tolist()
        return dict(zip(schema.measured_names, pairs, strict=True))


def _limits(column: Column) -> tuple[float, float]:
    """Least and largest value, physical units."""
    least, most = column.minimum, column.maximum
    if column.unit in MAGNITUDES:
        least = most = None
    return -math.inf if least is None else least, math.inf if most is None else most
