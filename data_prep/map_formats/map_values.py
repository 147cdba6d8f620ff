"""How the numbers stored in a map become values, and which of them mean that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["Encoding"]

# UNSEEN is -1.6375e30; float32 and other writers miss that value by a little.
_MISSING_BELOW = np.float32(-1.6e30)


@dataclass(frozen=True)
class Encoding:
    """Numbers in a file -> values, as the header of a FITS table declares it.

    Attributes
    ----------
    scale, zero : float
        Value = ``zero + scale * number`` (TSCAL, TZERO).
    null : int or None
        Whole number that stands for no value (TNULL).
    bad_value : float or None
        Value that stands for none (BAD_DATA), besides NaN, infinity and UNSEEN.
    """

    scale: float = 1.0
    zero: float = 0.0
    null: int | None = None
    bad_value: float | None = None

    @classmethod
    def of_column(cls, header: Mapping[str, Any], column: int) -> Encoding:
        """Encoding of a table column (counted from 0).

        Raises
        ------
        BalrogError
            If a keyword is not a number.
        """
        null = header.get(f"TNULL{column + 1}")
        bad = header.get("BAD_DATA")
        try:
            return cls(
                float(header.get(f"TSCAL{column + 1}", 1)),
                float(header.get(f"TZERO{column + 1}", 0)),
                None if null is None else int(null),
                None if bad is None else float(bad),
            )
        except (TypeError, ValueError) as error:
            raise BalrogError(
                f"TSCAL, TZERO, TNULL and BAD_DATA of a map must be numbers: {error}"
            ) from None

    def clean(self, numbers: np.ndarray) -> np.ndarray:
        """Values as a new flat float32 array, every kind of missing value as NaN."""
        scaled = (self.scale, self.zero) != (1.0, 0.0)
        values = self.zero + self.scale * numbers.astype(np.float64) if scaled else numbers
        with np.errstate(over="ignore", invalid="ignore"):
            clean = np.array(values, dtype=np.float32).ravel()
            missing = ~(clean >= _MISSING_BELOW) | (clean == np.inf)
        if self.bad_value is not None:
            missing |= clean == np.float32(self.bad_value)
        if self.null is not None and numbers.dtype.kind in "iu":
            missing |= numbers.ravel() == self.null
        clean[missing] = np.nan
        return clean
