"""How far out a measured column can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from balrog_keras.residuals import residuals
from data_prep.schema import Schema

__all__ = ["DrawBounds", "within"]


class DrawBounds(NamedTuple):
    """What draws of the M measured columns are kept within.

    Tails are long, and a map of latents to measured columns that nothing bounds would give one
    galaxy in millions a size of 10^19 arcsec2. A residual (transformed measured less the reference)
    can lie beyond those of the training rows, on either side, by as much as they span; a measured
    value not beyond the schema's own limits, which no training row lies beyond.

    Attributes
    ----------
    residual : float32 array, shape (2, M)
        Least and largest residual.
    value : float32 array, shape (2, M)
        Least and largest measured value, physical units; infinite where the schema has no limit.
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
        limits = [
            (
                -np.inf if column.minimum is None else column.minimum,
                np.inf if column.maximum is None else column.maximum,
            )
            for column in schema.measured
        ]
        return cls(residual.T.astype(np.float32), np.array(limits, np.float32).T)

    def describe(self, schema: Schema) -> dict[str, list[float]]:
        """Least and largest residual by measured column, for emulator.json."""
        pairs = self.residual.T.tolist()
        return dict(zip(schema.measured_names, pairs, strict=True))


def within(values: Any, least: np.ndarray, most: np.ndarray, ops: Any = np) -> Any:
    """Values kept from `least` to `most`; NaN stays NaN, which a minimum and a maximum may lose.

    Parameters
    ----------
    values : array or tensor
        Any.
    least, most : float32 array
        Of a shape that broadcasts.
    ops : module
        ``numpy`` or ``tensorflow``.

    Returns
    -------
    array or tensor, of the shape of `values`
    """
    return ops.where(values < least, least, ops.where(values > most, most, values))
