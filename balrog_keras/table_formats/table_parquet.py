"""Tables as one Parquet file, or as a directory of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from balrog_keras.table_formats.table_base import TableWriter

if TYPE_CHECKING:
    import pyarrow

__all__ = ["ParquetDirectory", "ParquetTable", "parquet_options"]


def parquet_options(schema: pyarrow.Schema) -> dict[str, Any]:
    """How columns are written, for ``pyarrow.parquet.ParquetWriter``.

    Draws hardly repeat, so dictionaries cost time and room; the bytes of a float compress better
    when those of equal weight lie together, and whole numbers as differences.
    """
    import pyarrow.types as types

    encodings = {}
    for field in schema:
        if types.is_integer(field.type):
            encodings[field.name] = "DELTA_BINARY_PACKED"
        elif types.is_floating(field.type):
            encodings[field.name] = "BYTE_STREAM_SPLIT"
    return {"use_dictionary": False, "compression": "snappy", "column_encoding": encodings,
            "write_page_checksum": True}  # fmt: skip


class ParquetTable(TableWriter):
    """One file; each part is a row group."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self._writer: Any = None

    def write(self, part: pyarrow.Table) -> None:
        """Append rows."""
        import pyarrow.parquet as pq

        if self._writer is None:
            options = parquet_options(part.schema)
            self._writer = pq.ParquetWriter(self.path, part.schema, **options)
        if part.num_rows:
            self._writer.write_table(part, row_group_size=part.num_rows)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


class ParquetDirectory(TableWriter):
    """A directory of files ``part-00000.parquet`` and so on, one for each part that has rows."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self._parts = 0

    def write(self, part: pyarrow.Table) -> None:
        """Append rows; of parts without any, only a first one is written."""
        if part.num_rows or not self._parts:
            file = ParquetTable(self.path / f"part-{self._parts:05d}.parquet", self.name)
            file.write(part)
            file.close()
            self._parts += 1
