"""Conditions beyond those of the training rows: what wrong units or another survey look like."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_prep.schema import Schema

__all__ = ["TrainingRange"]

logger = logging.getLogger(__name__)

# Fewer are the rare galaxies that every larger catalogue has.
_WORTH_A_WARNING = 0.01


class TrainingRange:
    """Smallest and largest value that each condition had in the training rows.

    Parameters
    ----------
    info : mapping
        Content of ``emulator.json``.
    """

    def __init__(self, info: Mapping[str, Any]) -> None:
        schema = Schema.from_dict(info["schema"])
        self._columns = schema.truth + schema.survey
        found = [info.get("domain", {}).get(column.name, {}) for column in self._columns]
        self._low = np.array([each.get("min", -np.inf) for each in found], np.float32)
        self._high = np.array([each.get("max", np.inf) for each in found], np.float32)

    def outside(self, condition: np.ndarray) -> dict[str, int]:
        """Count the rows outside, for each condition that has some.

        Parameters
        ----------
        condition : float array, shape (N, C)
            Physical units; NaN is neither in nor out.
        """
        beyond = (condition < self._low) | (condition > self._high)
        counts = np.count_nonzero(beyond, axis=0)
        names = (column.name for column in self._columns)
        return {name: int(rows) for name, rows in zip(names, counts, strict=True) if rows}

    def log(self, outside: Mapping[str, int], rows: int) -> None:
        """Warn of conditions that many of the rows have outside."""
        for column, low, high in zip(self._columns, self._low, self._high, strict=True):
            count = outside.get(column.name, 0)
            if count and count >= _WORTH_A_WARNING * rows:
                logger.warning(
                    "%s of %s rows have a %s outside the training range, %.4g to %.4g %s: what is "
                    "drawn for them is extrapolated; check units and zero points (--in-domain "
                    "marks such rows)",
                    f"{count:,}", f"{rows:,}", column.name, low, high, column.unit,
                )  # fmt: skip
