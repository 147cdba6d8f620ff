"""A catalogue that LSDB computes, for example a cross-match, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.catalog_formats.catalog_base import Catalog, rebatched
from data_prep.catalog_formats.parquet_columns import numbers_of, width_of
from data_prep.errors import BalrogError, require

__all__ = ["LsdbCatalog"]


class LsdbCatalog(Catalog):
    """An :class:`lsdb.catalog.Catalog` as an injection catalogue.

    Nothing is computed but the number of rows of each partition until rows are read; then one
    partition at a time is in memory. A HATS catalogue on disk needs no LSDB: give its path.

    Parameters
    ----------
    catalog : lsdb.catalog.Catalog
        Lazy catalogue; its columns hold numbers, or lists of numbers of constant length.
    label : str
        Provenance label.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    BalrogError
        If `catalog` is no LSDB catalogue.
    """

    def __init__(self, catalog: Any, label: str = "") -> None:
        dask = require("dask", "distributed")
        if not (hasattr(catalog, "hc_structure") and hasattr(catalog, "to_delayed")):
            raise BalrogError(
                f"an LSDB catalogue is needed, as lsdb.open_catalog gives; found {catalog!r}"
            )
        self._catalog = catalog
        self.path, self.label = Path(str(catalog.name)), label
        count = dask.delayed(len)
        self._counts = list(dask.compute(*map(count, catalog.to_delayed())))
        self.rows = int(sum(self._counts))
        self.widths = {
            name: width_of(kind.pyarrow_dtype) or 0
            if hasattr(kind, "pyarrow_dtype")
            else int(kind.kind in "iufb")
            for name, kind in catalog.dtypes.items()
        }

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Whole partitions, several small ones together."""
        pieces, start = [], 0
        for stop in np.cumsum(self._counts).tolist():
            if stop - start >= rows:
                pieces.append((start, stop))
                start = stop
        return [*pieces, (start, self.rows)] if start < self.rows else pieces

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows; see :meth:`Catalog.batches`."""
        stop = self.rows if stop is None else stop
        yield from rebatched(self._partitions(columns, start, stop), batch_rows)

    def _partitions(
        self, columns: Sequence[str], start: int, stop: int
    ) -> Iterator[dict[str, np.ndarray]]:
        import pyarrow

        first = 0
        for number, count in enumerate(self._counts):
            low, high = max(start - first, 0), min(stop - first, count)
            if low < high:
                part = self._catalog[list(columns)].partitions[number].to_delayed()[0]
                # Within a Dask worker a task must not wait for other tasks.
                frame = part.compute(scheduler="synchronous").iloc[low:high]
                table = pyarrow.Table.from_pandas(frame[list(columns)], preserve_index=False)
                yield {
                    name: numbers_of(
                        table[name].combine_chunks(), self.widths[name], f"{self.path}: {name}", low
                    )
                    for name in columns
                }
            first += count
