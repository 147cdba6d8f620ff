"""Emulate a catalogue file to a file, in bounded memory."""

from __future__ import annotations

import logging
from pathlib import Path

from balrog_keras.catalog_columns import CatalogColumns, ConditionReader
from balrog_keras.emulator import Emulator
from balrog_keras.endpoints import CHUNK_ROWS
from balrog_keras.table_writer import check_format, table_writer
from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError
from data_prep.progress import Progress

__all__ = ["CatalogColumns", "emulate_catalog"]

logger = logging.getLogger(__name__)

_BATCH_ROWS = 4 * CHUNK_ROWS


def emulate_catalog(
    emulator: Emulator,
    catalog: Path,
    output: Path,
    maps: Path | None = None,
    seed: int = 0,
    columns: CatalogColumns | None = None,
    batch_rows: int = _BATCH_ROWS,
    allow_pickle: bool = False,
    member: int = 0,
    detected: bool = False,
) -> int:
    """Read a truth catalogue, draw its measured columns, write them.

    Parameters
    ----------
    emulator : Emulator
        Loaded.
    catalog : path
        Any format of :func:`data_prep.catalogs.open_catalog`.
    output : path
        Parquet or FITS, by its ending, with ``row_id``, the kept columns and the measured columns
        (float32; null where a condition is unusable, which is counted in the log).
    maps : path, optional
        Directory of survey property maps, for survey properties that are no columns.
    seed : int
        Another seed is another realization.
    columns : CatalogColumns, optional
        Names in the catalogue, by default the emulator's own, with ``ra`` and ``dec``.
    batch_rows : int
        Rows in memory at a time; does not change the output.
    allow_pickle : bool
        Whether a pickled catalogue may be opened, which runs any code that is in it.
    member : int
        Which member of an ensemble draws.
    detected : bool
        Draw whether each row is detected: adds ``p_detect`` and ``detected`` (False where a
        condition is unusable), and the measured columns are null where it is not.

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
    table = open_catalog(catalog, allow_pickle=allow_pickle)
    if table.rows == 0:
        raise BalrogError(f"{catalog} must have rows to emulate; it is empty")
    reader = ConditionReader(emulator, table, columns, maps)
    units = {column.name: column.unit for column in emulator.schema.measured}
    header = {"label": emulator.label, "emulator": emulator.info["name"], "seed": str(seed)}
    if emulator.members > 1:
        header["member"] = str(member)
    done = 0
    with (
        table_writer(Path(output), units, header) as writer,
        Progress("emulate", table.rows, "galaxies") as progress,
    ):
        for batch in table.batches(reader.needed, batch_rows):
            ids = reader.row_ids(batch, done)
            kept = {name: batch[name] for name in columns.keep}
            condition = reader.conditions(batch)
            drawn = emulator.drawn_columns(condition, ids, seed, member, detected)
            writer.write({"row_id": ids, **kept, **drawn})
            done += len(ids)
            progress.update(len(ids))
    for reason, count in reader.unusable.items():
        logger.warning("%s of %s rows: %s", f"{count:,}", f"{done:,}", reason)
    return done
