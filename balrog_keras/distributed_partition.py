"""One partition of a distributed catalogue emulated, by an emulator loaded once in its process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.condition_reader import ConditionReader
from balrog_keras.distributed_cache import loaded_emulator
from balrog_keras.draw_plan import DrawPlan
from data_prep.catalog_formats.catalog_base import Catalog
from data_prep.catalog_formats.parquet_columns import numbers_of, width_of

if TYPE_CHECKING:
    import pandas

__all__ = ["FrameCatalog", "PartitionDraws"]

logger = logging.getLogger(__name__)

# A reader counts what it cannot use, and its maps keep what they have read: one thread at a time.
_READING = threading.Lock()
_KEPT = 4


class FrameCatalog(Catalog):
    """A data frame as a catalogue.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns of numbers, of Arrow lists of one length, or of anything else, which are no numbers.
    """

    def __init__(self, frame: pandas.DataFrame) -> None:
        self.path, self.label, self.rows, self._frame = Path("catalogue"), "", len(frame), frame
        self.widths = {name: _width(kind) for name, kind in frame.dtypes.items()}

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """All of it as one; see :meth:`Catalog.pieces`."""
        return [(0, self.rows)]

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows; see :meth:`Catalog.batches`."""
        end = self.rows if stop is None else stop
        for first in range(start, end, batch_rows):
            yield self.batch(columns, first, min(first + batch_rows, end))

    def batch(
        self, columns: Sequence[str], start: int = 0, stop: int | None = None
    ) -> dict[str, np.ndarray]:
        """The columns in a range of rows, which may have none."""
        rows = self._frame.iloc[start:stop]
        return {name: self._numbers(rows[name], start) for name in columns}

    def _remark(self, name: str) -> str:
        """How vectors are read so that their length is known."""
        if name not in self.widths:
            return ""
        return (
            f"it holds {self._frame.dtypes[name]}; vectors must be Arrow lists of one length, as "
            'dask.dataframe.read_parquet(..., dtype_backend="pyarrow") and LSDB give them'
        )

    def _numbers(self, values: pandas.Series, first_row: int) -> np.ndarray:
        import pyarrow as pa

        array = pa.Array.from_pandas(values)
        whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        name = str(values.name)
        return numbers_of(whole, self.widths[name], f"{self.path}: {name}", first_row)


def _width(kind: Any) -> int:
    if hasattr(kind, "pyarrow_dtype"):
        return width_of(kind.pyarrow_dtype) or 0
    return int(kind.kind in "iufb")


@dataclass(frozen=True, kw_only=True)
class PartitionDraws:
    """What is drawn for the rows of every partition; small enough to be sent with each.

    Attributes
    ----------
    emulator : str
        Directory of the emulator, which every worker sees.
    sha256 : str
        Of its ``emulator.json``, which holds the checksums of its other files.
    plan : DrawPlan
        What is drawn for each row.
    columns : CatalogColumns
        Where the catalogue has what the emulator needs.
    keep : tuple of str
        Columns that are copied.
    maps : str or None
        Directory of survey property maps, which every worker sees.
    """

    emulator: str
    sha256: str
    plan: DrawPlan
    columns: CatalogColumns = field(default_factory=CatalogColumns)
    keep: tuple[str, ...] = ()
    maps: str | None = None

    def reader(self, frame: pandas.DataFrame) -> ConditionReader:
        """What turns frames with these columns into conditions.

        Raises
        ------
        BalrogError
            If a column or a map is missing.
        """
        maps = Path(self.maps) if self.maps is not None else None
        emulator = loaded_emulator(self.emulator, self.sha256)
        return ConditionReader(emulator, FrameCatalog(frame.iloc[:0]), self.columns, maps)

    def draw(self, frame: pandas.DataFrame, first_row: int = 0) -> pandas.DataFrame:
        """Draw rows.

        Parameters
        ----------
        frame : pandas.DataFrame
            The partition, of N rows; also one of a kind of its own, as LSDB's.
        first_row : int
            Number of its first row, where row numbers count.

        Returns
        -------
        pandas.DataFrame
            Of the same kind and index: ``row_id`` (int64), the kept columns, the drawn ones.

        Raises
        ------
        BalrogError
            If a column is missing or holds no numbers, a position is out of range, or the files
            are not those that the emulator had when this was made.
        """
        row_id, condition = self._read(frame, first_row)
        emulator = loaded_emulator(self.emulator, self.sha256)
        drawn = self.plan.draw(emulator, condition, row_id)
        output = frame[list(self.keep)].iloc[drawn.source].copy()
        output.insert(0, "row_id", row_id[drawn.source])
        return output.assign(**drawn.columns)

    def _read(self, frame: pandas.DataFrame, first_row: int) -> tuple[np.ndarray, np.ndarray]:
        """Row ids and conditions; one line of the log counts the rows that are unusable."""
        catalog = FrameCatalog(frame)
        with _READING:
            reader = _reader_of(_Described(self, frame.iloc[:0]))
            # Of no rows too: the columns, empty.
            batch = catalog.batch(reader.needed)
            condition = reader.conditions(batch, first_row)
            unusable = reader.take_unusable()
        if unusable:
            logger.warning(
                "%s of the %s rows of a partition have no measured values (%s)",
                f"{np.count_nonzero(np.isnan(condition[:, 0])):,}", f"{catalog.rows:,}",
                ", ".join(f"{reason}: {rows:,}" for reason, rows in unusable.items()),
            )  # fmt: skip
        return reader.row_ids(batch, first_row), condition


class _Described:
    """Draws and an empty frame, equal where a reader of one reads the other's partitions."""

    def __init__(self, draws: PartitionDraws, frame: pandas.DataFrame) -> None:
        self.draws, self.frame = draws, frame
        self._key = repr((draws, list(frame.dtypes.items())))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and other._key == self._key


@lru_cache(maxsize=_KEPT)
def _reader_of(described: _Described) -> ConditionReader:
    """A reader, whose maps are opened once in this process."""
    return described.draws.reader(described.frame)
