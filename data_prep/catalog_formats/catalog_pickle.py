"""Read catalogues that pandas pickled, as DES keeps its deep-field tables."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.catalog_formats.catalog_base import Catalog, damaged
from data_prep.errors import BalrogError

__all__ = ["PickleCatalog"]

# What unpickling damaged or foreign content ends in.
_ERRORS = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, NotImplementedError, OSError, TypeError, ValueError,
)  # fmt: skip


class PickleCatalog(Catalog):
    """A pickled :class:`pandas.DataFrame`; the whole of it is in memory.

    Opening it runs any code that is in the file.

    Raises
    ------
    BalrogError
        If it is no table, or needs another version of pandas.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.label = path, ""
        self._frame = self._load()
        self.rows = len(self._frame)
        self.widths = {name: int(kind.kind in "iufb") for name, kind in self._frame.dtypes.items()}

    def _load(self) -> Any:
        import pandas

        try:
            frame = pandas.read_pickle(self.path)
        except _ERRORS as error:
            raise BalrogError(
                f"{damaged(self.path, 'pickle', error)}, or, if another version of pandas wrote "
                "it, write it there as Parquet"
            ) from error
        if not isinstance(frame, pandas.DataFrame):
            raise BalrogError(
                f"{self.path} must be a pickled pandas table; found {type(frame).__name__}"
            )
        return frame.rename(columns=str)

    @property
    def _table(self) -> Any:
        """The table, read anew in another process."""
        if self._frame is None:
            self._frame = self._load()
        return self._frame

    def __getstate__(self) -> dict[str, Any]:
        """Without the table: another process reads it anew."""
        return self.__dict__ | {"_frame": None}

    def _lacks(self, name: str) -> bool:
        column = self._table[name]
        return bool(column.dtype.kind == "f" or column.hasnans)

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """One: every process would have to read all of it."""
        return [(0, self.rows)]

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows; see :meth:`Catalog.batches`."""
        stop = self.rows if stop is None else stop
        for first in range(start, stop, batch_rows):
            part = self._table.iloc[first : min(first + batch_rows, stop)]
            yield {name: _numbers(part[name]) for name in columns}


def _numbers(column: Any) -> np.ndarray:
    """Values of a column, NaN where null."""
    values: np.ndarray = column.to_numpy()
    if values.dtype == object:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
