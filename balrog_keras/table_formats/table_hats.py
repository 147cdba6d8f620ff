"""Tables as HATS catalogues: Parquet files of HEALPix pixels, as LSDB reads them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.table_formats.table_base import TableWriter
from balrog_keras.table_formats.table_parquet import ParquetTable
from data_prep.errors import BalrogError, require

if TYPE_CHECKING:
    import pyarrow

__all__ = ["PARTITION_ROWS", "HatsTable"]

# Most rows of a partition, as hats-import has it.
PARTITION_ROWS = 1_000_000
_INDEX = "_healpix_29"
_INDEX_ORDER, _FINEST_ORDER = 29, 14
_BASE_PIXELS = 12


class HatsTable(TableWriter):
    """A HATS catalogue (IVOA note HATS 1.0) of a table with columns ``ra`` and ``dec``, degrees.

    A pixel is divided until it has at most :data:`PARTITION_ROWS` rows. Parts are sorted on disk
    along the sky first, so that one partition at a time is in memory.

    Raises
    ------
    MissingExtraError
        If hats is not installed.
    """

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        require("hats", "distributed")
        self._sorted: list[Path] = []
        self._place = path / "sorted"
        self._place.mkdir()

    def write(self, part: pyarrow.Table) -> None:
        """Append rows."""
        import pyarrow as pa
        from hats.pixel_math.spatial_index import compute_spatial_index

        ra, dec = part["ra"].to_numpy(), part["dec"].to_numpy()
        index = np.asarray(compute_spatial_index(ra, dec), np.int64)
        order = np.argsort(index, kind="stable")
        with_index = part.add_column(0, _INDEX, pa.array(index)).take(pa.array(order))
        with_index = with_index.replace_schema_metadata(part.schema.metadata)
        file = self._place / f"{len(self._sorted):05d}.arrow"
        with pa.ipc.new_file(file, with_index.schema) as writer:
            writer.write_table(with_index.combine_chunks())
        self._sorted.append(file)

    def finish(self) -> None:
        """Write the partitions and what describes them."""
        parts = [_mapped(file) for file in self._sorted]
        indices = [part[_INDEX].to_numpy() for part in parts]
        rows = {}
        for pixel in range(_BASE_PIXELS):
            for order, number, bounds in _partitions(0, pixel, indices):
                rows[order, number] = self._write_partition(order, number, bounds, parts)
        if not rows:
            raise BalrogError(f"HATS catalogue {self.name} must have rows; there are none to write")
        del parts, indices
        shutil.rmtree(self._place)
        self._describe(rows)

    def _write_partition(
        self, order: int, number: int, bounds: np.ndarray, parts: list[pyarrow.Table]
    ) -> int:
        """Rows of all parts within a pixel; gives their number."""
        import pyarrow as pa

        pieces = [part[low:high] for part, (low, high) in zip(parts, bounds, strict=True)]
        table = pa.concat_tables(pieces)
        in_order = np.argsort(table[_INDEX].to_numpy(), kind="stable")
        place = self.path / "dataset" / f"Norder={order}" / f"Dir={number // 10_000 * 10_000}"
        place.mkdir(parents=True, exist_ok=True)
        file = ParquetTable(place / f"Npix={number}.parquet", self.name)
        file.write(table.take(pa.array(in_order)))
        file.close()
        return int(table.num_rows)

    def _describe(self, rows: dict[tuple[int, int], int]) -> None:
        """Properties, list of partitions, metadata of the whole data set."""
        from hats.catalog.catalog_type import CatalogType
        from hats.catalog.dataset.table_properties import TableProperties
        from hats.catalog.partition_info import PartitionInfo
        from hats.io.parquet_metadata import write_parquet_metadata
        from hats.pixel_math.healpix_pixel import HealpixPixel

        write_parquet_metadata(self.path)
        PartitionInfo([HealpixPixel(*pixel) for pixel in rows]).write_to_file(
            self.path / "partition_info.csv"
        )
        properties: dict[str, Any] = {
            "catalog_name": self.name,
            "catalog_type": CatalogType.OBJECT,
            "total_rows": sum(rows.values()),
            "ra_column": "ra",
            "dec_column": "dec",
            "healpix_column": _INDEX,
            "healpix_order": _INDEX_ORDER,
            "hats_max_rows": max(rows.values()),
            "hats_builder": "balrog-keras",
        }
        TableProperties(**properties).to_properties_file(self.path)


def _mapped(file: Path) -> pyarrow.Table:
    """A table on disk, of which only what is used is in memory."""
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def _partitions(
    order: int, pixel: int, indices: list[np.ndarray]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Divide a pixel until none has too many rows; order, number, first and last row per part."""
    shift = 2 * (_INDEX_ORDER - order)
    edges = np.array([pixel << shift, (pixel + 1) << shift])
    bounds = np.array([np.searchsorted(index, edges) for index in indices]).reshape(-1, 2)
    rows = np.diff(bounds).sum()
    if rows > PARTITION_ROWS and order < _FINEST_ORDER:
        for child in range(4 * pixel, 4 * pixel + 4):
            yield from _partitions(order + 1, child, indices)
    elif rows:
        yield order, pixel, bounds
