"""Write a table part by part to a file or directory of any format, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from balrog_keras.table_formats.table_base import TableWriter
from balrog_keras.table_formats.table_fits import FitsTable
from balrog_keras.table_formats.table_hats import HatsTable
from balrog_keras.table_formats.table_hdf5 import Hdf5Table
from balrog_keras.table_formats.table_parquet import ParquetDirectory, ParquetTable
from data_prep.errors import BalrogError
from data_prep.files import atomic_directory, atomic_path

__all__ = ["TableWriter", "check_format", "is_hats", "table_writer"]

_FILES: dict[str, Callable[[Path, str], TableWriter]] = {
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
    ".fits": FitsTable,
    ".fit": FitsTable,
    ".hdf5": Hdf5Table,
    ".h5": Hdf5Table,
}
_DIRECTORIES: dict[str, Callable[[Path, str], TableWriter]] = {
    "": ParquetDirectory,
    ".hats": HatsTable,
}


def is_hats(path: Path) -> bool:
    """Whether the name is one of a HATS catalogue."""
    return path.suffix.lower() == ".hats"


def check_format(path: Path) -> None:
    """Raise BalrogError unless a table can be written under that name.

    Parameters
    ----------
    path : path
        Ends in a format's suffix, or has none.
    """
    suffix = path.suffix.lower()
    if suffix not in {**_FILES, **_DIRECTORIES}:
        raise BalrogError(
            f"output {path} must end in {', '.join(_FILES)}, in .hats for a HATS catalogue, or in "
            f"nothing for a directory of Parquet files; found {suffix}"
        )
    if path.exists() and path.is_dir() != (suffix in _DIRECTORIES):
        there = "a directory" if path.is_dir() else "a file"
        raise BalrogError(f"output {path} is {there} that is there already: give another name")


@contextmanager
def table_writer(path: Path) -> Iterator[TableWriter]:
    """Open `path` for writing; the finished table appears only if the block succeeds.

    Parameters
    ----------
    path : path
        ``.parquet``, ``.pq``, ``.fits``, ``.fit``, ``.hdf5``, ``.h5``; ``.hats`` or, for a
        directory of Parquet files, no suffix. What the format can hold of the units and the
        metadata of the parts is written too.

    Yields
    ------
    TableWriter

    Raises
    ------
    BalrogError
        If the ending is another one.
    OSError
        As raised by the write; an older table is untouched.
    """
    check_format(path)
    suffix = path.suffix.lower()
    kind = _FILES.get(suffix) or _DIRECTORIES[suffix]
    with atomic_path(path) if suffix in _FILES else atomic_directory(path) as partial:
        writer = kind(partial, path.stem)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()
