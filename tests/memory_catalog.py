"""Catalogues in memory, for tests of what happens after reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from data_prep.catalogs import Catalog


class MemoryCatalog(Catalog):
    """Columns of equal length, given in batches as a file would be."""

    def __init__(self, columns: dict[str, np.ndarray], name: str = "memory.fits") -> None:
        self.columns, self.path, self.label = columns, Path(name), "in memory"
        self.rows = len(next(iter(columns.values())))
        self.widths = {k: v.shape[1] if v.ndim == 2 else 1 for k, v in columns.items()}
        self.read: list[tuple[str, ...]] = []

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        return [(start, min(start + rows, self.rows)) for start in range(0, self.rows, rows)]

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        self.read.append(tuple(columns))
        end = self.rows if stop is None else stop
        for first in range(start, end, batch_rows):
            rows = slice(first, min(first + batch_rows, end))
            yield {name: self.columns[name][rows] for name in columns}
