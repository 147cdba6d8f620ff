"""Tables as HDF5 files with one data set for each column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balrog_keras.arrow_columns import numpy_columns, units_of
from balrog_keras.table_formats.table_base import TableWriter

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Hdf5Table"]

_CHUNK_ROWS = 131_072


class Hdf5Table(TableWriter):
    """Data sets of the file's root, as tables_io's ``numpyHdf5``: ``h5py.File(path)["row_id"]``.

    Null is NaN; units are attributes ``unit`` of the data sets, metadata those of the file.
    """

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        import h5py

        self._file = h5py.File(path, "w")

    def write(self, part: pyarrow.Table) -> None:
        """Append rows."""
        columns = numpy_columns(part)
        if not len(self._file):
            units = units_of(part.schema)
            self._file.attrs.update(
                {key.decode(): text.decode() for key, text in (part.schema.metadata or {}).items()}
            )
            for name, values in columns.items():
                rest = values.shape[1:]
                made = self._file.create_dataset(
                    name, (0, *rest), values.dtype, maxshape=(None, *rest),
                    chunks=(_CHUNK_ROWS, *rest),
                )  # fmt: skip
                made.attrs["unit"] = units.get(name, "")
        for name, values in columns.items():
            column = self._file[name]
            column.resize(len(column) + len(values), axis=0)
            column[len(column) - len(values) :] = values

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
