"""Prepare injections that are made while they are read: no catalogue is on disk.

python benchmarks/prepare_parts/stream.py ROWS MAPS OUT
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import inputs
import numpy as np
from inputs import BLOCK_ROWS, injections

from data_prep.catalog_formats.catalog_base import Catalog, even_pieces
from data_prep.prepare import prepare
from data_prep.prepare_settings import PrepareSettings


class GeneratedCatalog(Catalog):
    """The first rows of an endless catalogue."""

    def __init__(self, rows: int) -> None:
        # The manifest names a file that rows come from: here, the code that makes them.
        self.path = Path(inputs.__file__)
        self.rows = rows
        self.label = "generated for a benchmark"
        example = injections(0, 1)
        self.widths = {name: values[0].size for name, values in example.items()}

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Rows ``start:stop``, as every catalogue gives them."""
        stop = self.rows if stop is None else stop
        for first in range(start, stop, batch_rows):
            batch = injections(first, min(first + batch_rows, stop))
            yield {name: batch[name] for name in columns}

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Ranges of whole blocks."""
        return even_pieces(self.rows, rows, BLOCK_ROWS)


def main() -> None:
    rows, maps, out = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    prepare(PrepareSettings(catalog=GeneratedCatalog(rows), maps=maps, out=out))


if __name__ == "__main__":
    main()
