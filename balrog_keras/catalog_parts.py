"""A catalogue emulated part by part; parts that are done are kept, so that a job can go on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.arrow_columns import arrow_table
from balrog_keras.condition_reader import ConditionReader
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.overlap import ahead
from balrog_keras.training_range import TrainingRange
from data_prep.catalogs import Catalog
from data_prep.files import atomic_path
from data_prep.map_formats.map_file import require_positions

if TYPE_CHECKING:
    import pyarrow

    from balrog_keras.emulator import Emulator

__all__ = ["PART_BATCHES", "CatalogDraws", "Part", "PartStore"]

# Batches of rows that are drawn at a time make a part, which is kept and written as a whole.
PART_BATCHES = 4


@dataclass(frozen=True)
class Part:
    """Rows of output.

    Attributes
    ----------
    table : pyarrow.Table
        With units and metadata.
    counts : Counter of str
        ``rows_read``, ``rows_written``, ``undetected``, ``outside_domain``, and ``outside:`` with
        a condition, ``unusable:`` with a reason behind.
    """

    table: pyarrow.Table
    counts: Counter[str]


@dataclass(frozen=True)
class CatalogDraws:
    """Draws of the rows of a catalogue.

    Attributes
    ----------
    emulator : Emulator
        Loaded.
    catalog : Catalog
        Opened.
    reader : ConditionReader
        For both.
    plan : DrawPlan
        What is drawn for each row.
    batch_rows : int
        Rows of the catalogue that are drawn at a time.
    keep : tuple of str
        Columns of the catalogue that are copied.
    with_position : bool
        Whether ``ra`` and ``dec`` (degrees) are added.
    header : mapping of str to str
        Metadata of the parts.
    """

    emulator: Emulator
    catalog: Catalog
    reader: ConditionReader
    plan: DrawPlan
    batch_rows: int
    keep: tuple[str, ...]
    with_position: bool
    header: Mapping[str, str]

    def parts(self, first_row: int, progress: Callable[[int], None]) -> Iterator[Part]:
        """Yield the parts from one that begins at a row of the catalogue.

        Reading and looking up the next batch overlap with drawing one.

        Parameters
        ----------
        first_row : int
            A multiple of ``PART_BATCHES * batch_rows``.
        progress : callable
            Told the number of rows of each batch that is drawn.
        """
        import pyarrow as pa

        batches = self._batches(first_row, progress)
        while several := list(islice(batches, PART_BATCHES)):
            table = pa.concat_tables([batch.table for batch in several])
            yield Part(table, sum((batch.counts for batch in several), Counter()))

    def _batches(self, first_row: int, progress: Callable[[int], None]) -> Iterator[Part]:
        units = {name: self.catalog.units.get(name, "") for name in self.keep}
        units |= {"ra": "deg", "dec": "deg"} if self.with_position else {}
        units |= self.plan.column_units(self.emulator)
        usual = TrainingRange(self.emulator.info)
        for ids, condition, kept, unusable in ahead(self._conditions(first_row)):
            drawn = self.plan.draw(self.emulator, condition, ids)
            copied = {name: values[drawn.source] for name, values in kept.items()}
            columns = {"row_id": ids[drawn.source], **copied, **drawn.columns}
            table = arrow_table(columns, units, self.header)
            counts = Counter({f"unusable: {reason}": rows for reason, rows in unusable.items()})
            counts.update({
                f"outside: {name}": rows for name, rows in usual.outside(condition).items()
            })  # fmt: skip
            counts.update(
                rows_read=len(ids), rows_written=table.num_rows, undetected=drawn.undetected,
                outside_domain=drawn.outside,
            )  # fmt: skip
            progress(len(ids))
            yield Part(table, counts)

    def _conditions(
        self, first_row: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], Counter[str]]]:
        """Row ids, conditions, columns to copy, and counts of what is unusable, by batch."""
        row, lacking = first_row, self.catalog.lacking(self.keep)
        for batch in self.catalog.batches(self.reader.needed, self.batch_rows, first_row):
            ids = self.reader.row_ids(batch, row)
            kept = {name: _one_type(batch[name], name in lacking) for name in self.keep}
            if self.with_position:
                ra, dec = require_positions(*self.reader.positions(batch, row), row)
                kept |= {"ra": ra, "dec": dec}
            condition = self.reader.conditions(batch, row)
            row += len(ids)
            yield ids, condition, kept, self.reader.take_unusable()


def _one_type(values: np.ndarray, lacking: bool) -> np.ndarray:
    """A column to copy, of one type in all batches: floats if some row of it has no value."""
    return values.astype(np.float64) if lacking and values.dtype.kind != "f" else values


class PartStore:
    """Parts on disk.

    Parameters
    ----------
    directory : path
        Exists; each part is a file in it, whole or absent.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _file(self, number: int) -> Path:
        return self._directory / f"part-{number:05d}.arrow"

    def __len__(self) -> int:
        """Parts from the first without a gap."""
        number = 0
        while self._file(number).is_file():
            number += 1
        return number

    def save(self, number: int, part: Part) -> None:
        """Keep a part."""
        import pyarrow as pa

        described = {**(part.table.schema.metadata or {}), b"counts": json.dumps(part.counts)}
        table = part.table.replace_schema_metadata(described)
        with (
            atomic_path(self._file(number)) as partial,
            pa.ipc.new_file(partial, table.schema) as f,
        ):
            f.write_table(table)

    def load(self, number: int) -> Part:
        """A part that was kept; only what is used of it is read."""
        import pyarrow as pa

        table = pa.ipc.open_file(pa.memory_map(str(self._file(number)))).read_all()
        metadata: dict[bytes, Any] = dict(table.schema.metadata)
        counts = Counter(json.loads(metadata.pop(b"counts")))
        return Part(table.replace_schema_metadata(metadata), counts)
