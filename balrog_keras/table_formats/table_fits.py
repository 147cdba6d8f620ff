"""Tables as the first table of a FITS file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balrog_keras.arrow_columns import numpy_columns, units_of
from balrog_keras.table_formats.table_base import TableWriter

if TYPE_CHECKING:
    import pyarrow

__all__ = ["FitsTable"]

_KEYWORD_LENGTH = 8


class FitsTable(TableWriter):
    """One binary table; null is NaN, and metadata become keywords (first eight characters)."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        import fitsio

        self._file = fitsio.FITS(path, "rw", clobber=True)
        self._started = False

    def write(self, part: pyarrow.Table) -> None:
        """Append rows."""
        columns = numpy_columns(part)
        names, arrays = list(columns), list(columns.values())
        if self._started:
            self._file[-1].append(arrays, names=names)
            return
        units = units_of(part.schema)
        header = [
            {"name": key.decode()[:_KEYWORD_LENGTH].upper(), "value": text.decode()}
            for key, text in (part.schema.metadata or {}).items()
        ]
        in_order = [units.get(name, "") for name in names]
        self._file.write(arrays, names=names, units=in_order, header=header)
        self._started = True

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
