"""Emulate a catalogue file to a file, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from balrog_keras.conditions import conditions_of, open_maps, row_ids_of
from balrog_keras.emulator import CHUNK_ROWS, Emulator
from balrog_keras.table_writer import check_format, table_writer
from data_prep.catalogs import Catalog, Element, open_catalog
from data_prep.errors import BalrogError
from data_prep.preset import Preset
from data_prep.progress import Progress

__all__ = ["CatalogColumns", "emulate_catalog"]

logger = logging.getLogger(__name__)

_BATCH_ROWS = 4 * CHUNK_ROWS


@dataclass(frozen=True)
class CatalogColumns:
    """Where a catalogue has what the emulator needs.

    Attributes
    ----------
    conditions : mapping of str to sequence of str
        Condition column -> its names in the catalogue, the first present counts
        (``name`` or ``name[0]``). A condition that is not listed has its own name.
    position : (str, str)
        Right ascension and declination, degrees.
    row_id : str
        Column of whole numbers, ``""`` for the row number.
    keep : sequence of str
        Columns copied to the output.
    vector_bands : sequence of str
        Order of the bands in vector columns, for ``name[r]``.
    """

    conditions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    position: tuple[str, str] = ("ra", "dec")
    row_id: str = ""
    keep: Sequence[str] = ()
    vector_bands: Sequence[str] = ()

    @classmethod
    def of_preset(cls, preset: Preset, keep: Sequence[str] = ()) -> CatalogColumns:
        """Names as a survey's preset states them."""
        conditions = {c.name: preset.sources[c.name].columns for c in preset.schema.truth}
        return cls(conditions, preset.position, preset.id, keep, preset.vector_bands)


def emulate_catalog(
    emulator: Emulator,
    catalog: Path,
    output: Path,
    maps: Path | None = None,
    seed: int = 0,
    columns: CatalogColumns | None = None,
    batch_rows: int = _BATCH_ROWS,
) -> int:
    """Read a truth catalogue, draw its measured columns, write them.

    Parameters
    ----------
    emulator : Emulator
        Loaded.
    catalog, output : path
        Parquet or FITS, by their endings. The output has ``row_id``, the kept columns and the
        measured columns (float32; null where a condition is unusable).
    maps : path, optional
        Directory of survey property maps, for survey properties that are no columns.
    seed : int
        Another seed is another realization.
    columns : CatalogColumns, optional
        Names in the catalogue, by default the emulator's own, with ``ra`` and ``dec``.
    batch_rows : int
        Rows in memory at a time; does not change the output.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    BalrogError
        If a column is missing, a file damaged or empty, or a position out of range.
    OSError
        If the output cannot be written; an older one is untouched.
    """
    check_format(Path(output))
    columns = columns or CatalogColumns()
    table = open_catalog(catalog)
    if table.rows == 0:
        raise BalrogError(f"{catalog} must have rows to emulate; it is empty")
    opened = open_maps(maps, emulator.info)
    elements = _elements(emulator, table, columns, with_position=opened is not None)
    names = sorted({element.column for element in elements.values()})
    units = {column.name: column.unit for column in emulator.schema.measured}
    header = {"label": emulator.label, "emulator": emulator.info["name"], "seed": str(seed)}
    done = 0
    with (
        table_writer(Path(output), units, header) as writer,
        Progress("emulate", table.rows, "galaxies") as progress,
    ):
        for batch in table.batches(names, batch_rows):
            values = {key: _values(batch, element) for key, element in elements.items()}
            rows = len(next(iter(batch.values())))
            ids = row_ids_of(values.pop(columns.row_id) if columns.row_id else None, rows, done)
            kept = {name: batch[name] for name in columns.keep}
            condition = conditions_of(values, emulator.info, opened, columns.position)
            measured = emulator.draw(condition, ids, seed)
            writer.write({"row_id": ids, **kept, **dict(zip(units, measured.T, strict=True))})
            done += rows
            progress.update(rows)
    return done


def _elements(
    emulator: Emulator, table: Catalog, columns: CatalogColumns, with_position: bool
) -> dict[str, Element]:
    """Column of the catalogue for each condition present, the position, the id, what is kept."""
    elements = {}
    for column in emulator.schema.truth + emulator.schema.survey:
        alternatives = columns.conditions.get(column.name, (column.name,))
        if column.group == "truth" or not with_position:
            elements[column.name] = table.require(
                alternatives, f"{column.name} ({column.unit})", columns.vector_bands
            )
        else:
            found = table.find(alternatives, columns.vector_bands)
            if found is not None:
                elements[column.name] = found
    others = [*(columns.position if with_position else ()), *columns.keep]
    for name in [*others, *([columns.row_id] if columns.row_id else [])]:
        if name in columns.keep and name in table.widths:
            elements[name] = Element(name)
        else:
            elements[name] = table.require([name], name)
    return elements


def _values(batch: Mapping[str, np.ndarray], element: Element) -> np.ndarray:
    values = batch[element.column]
    return values if element.index is None else values[:, element.index]
