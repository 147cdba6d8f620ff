"""Tables as HDF5 files with one data set for each column."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

        self._raw = _RememberingFile(path, "w+")
        self._file = h5py.File(self._raw, "w")

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
        self._raw.demand_whole()

    def finish(self) -> None:
        """Finish the file; OSError if the disk did not take it."""
        self._file.close()
        self._raw.demand_whole()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._raw.close()


class _RememberingFile(io.FileIO):
    """A file whose first failed write is remembered rather than told to the HDF5 library.

    The library ends the process (segmentation fault) when a file is closed whose last writes
    failed, as on a full disk. Here it believes that all went well, and we raise the error.
    """

    _failure: OSError | None = None

    def demand_whole(self) -> None:
        """Raise the first error of a write."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: Any) -> int:
        view, done = memoryview(data).cast("B"), 0
        try:
            while done < len(view) and self._failure is None:
                done += super().write(view[done:])
        except OSError as error:
            self._failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._failure = self._failure or error
        return size or 0

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        found = super().readinto(view)
        if self._failure is not None and found < len(view):
            view[found:] = bytes(len(view) - found)
            return len(view)
        return found
