"""Emulate a catalogue of any size to a file or directory, in bounded memory, resumably."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.catalog_parts import PART_BATCHES, CatalogDraws, Part, PartStore
from balrog_keras.catalog_record import identity_of, record_of, record_path, recorded_files
from balrog_keras.condition_reader import ConditionReader
from balrog_keras.conditions import log_unusable
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.emulator import Emulator
from balrog_keras.endpoints import CHUNK_ROWS
from balrog_keras.output_place import files_in, require_apart, require_only
from balrog_keras.overlap import ahead
from balrog_keras.table_writer import check_format, is_hats, table_writer
from balrog_keras.training_range import TrainingRange
from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError
from data_prep.files import linked_place, replace_directory, write_json
from data_prep.preparation.prepare_work import open_work, work_path
from data_prep.progress import Progress

__all__ = ["CatalogColumns", "Emulated", "emulate_catalog"]

logger = logging.getLogger(__name__)

_UNUSABLE, _OUTSIDE = "unusable: ", "outside: "
# Record of a finished output, in its work directory until the output has its name.
_RECORD = "record.json"


@dataclass(frozen=True)
class Emulated:
    """What became of the rows of a catalogue.

    Attributes
    ----------
    rows_read, rows_written : int
        Rows of the catalogue and of the output.
    undetected : int
        Rows of output that were left out because they are not detected; unusable ones are not.
    outside_domain : int
        Rows that are usable but not like those the emulator was trained on; 0 if not asked for.
    unusable : dict of str to int
        Reason -> rows of the catalogue that have no measured values for it.
    outside_range : dict of str to int
        Condition -> rows that have it outside the range of the training rows.
    """

    rows_read: int
    rows_written: int
    undetected: int
    outside_domain: int
    unusable: dict[str, int]
    outside_range: dict[str, int]

    @classmethod
    def of_counts(cls, counts: Counter[str]) -> Emulated:
        """From the sum of the counts of all parts."""
        named = [
            {
                name.removeprefix(kind): rows
                for name, rows in counts.items()
                if name.startswith(kind)
            }
            for kind in (_UNUSABLE, _OUTSIDE)
        ]
        return cls(
            counts["rows_read"],
            counts["rows_written"],
            counts["undetected"],
            counts["outside_domain"],
            *named,
        )


def emulate_catalog(
    emulator: Emulator,
    catalog: Path,
    output: Path,
    maps: Path | None = None,
    plan: DrawPlan | None = None,
    columns: CatalogColumns | None = None,
    *,
    resume: bool = False,
    command: str = "",
    batch_rows: int | None = None,
    allow_pickle: bool = False,
) -> Emulated:
    """Read a truth catalogue, draw its measured columns, write them.

    Parameters
    ----------
    emulator : Emulator
        Loaded.
    catalog : path
        Any format of :func:`data_prep.catalogs.open_catalog`.
    output : path
        As :func:`balrog_keras.table_writer.table_writer` takes it: ``row_id``, the kept columns
        and the drawn ones (null where a condition is unusable, which is counted in the log). A
        HATS catalogue has ``ra`` and ``dec`` too. ``OUTPUT.provenance.json`` says where it is
        from.
    maps : path, optional
        Directory of survey property maps, for survey properties that are no columns.
    plan : DrawPlan, optional
        What is drawn for each row; one realization with seed 0 by default.
    columns : CatalogColumns, optional
        Names in the catalogue, by default the emulator's own, with ``ra`` and ``dec``.
    resume : bool
        Go on with an interrupted job; the output has the bytes of one that was not interrupted.
        While a job of more than one part runs, its rows are on disk twice.
    command : str
        Command line, for the provenance.
    batch_rows : int, optional
        Rows of the catalogue in memory at a time; does not change the rows of the output.
    allow_pickle : bool
        Whether a pickled catalogue may be opened, which runs any code that is in it.

    Returns
    -------
    Emulated

    Raises
    ------
    BalrogError
        If a column is missing, a file damaged or empty, a position out of range, the emulator
        cannot draw what is asked for, another process writes the output, the output would replace
        what is read or what emulate has not made, or the job to resume was another one.
    OSError
        If the output cannot be written; an older one is untouched, and what is done is kept for
        `resume`.
    """
    catalog, output, plan = Path(catalog), linked_place(output), plan or DrawPlan()
    require_apart(output, [catalog, maps])
    if catalog.resolve() in output.resolve().parents:
        raise BalrogError(f"--out must lie elsewhere than in the catalogue {catalog}")
    check_format(output)
    _require_free(output)
    draws = _open(emulator, catalog, maps, plan, columns or CatalogColumns(), output,
                  batch_rows, allow_pickle)  # fmt: skip
    identity = identity_of(draws, output)
    with open_work(output, identity, resume, "emulate") as work:
        counts = _write(draws, work, work / output.name)
        emulated, made = Emulated.of_counts(counts), work / output.name
        files = files_in(made) if made.is_dir() else [made.name]
        # Whoever is killed from here on finds in the work directory that the output is ours.
        write_json(work / _RECORD, record_of(command, identity, emulated) | {"files": files})
        record_path(output).unlink(missing_ok=True)
        replace_directory(made, output) if made.is_dir() else os.replace(made, output)
        os.replace(work / _RECORD, record_path(output))
    log_unusable(emulated.unusable, emulated.rows_read)
    TrainingRange(emulator.info).log(emulated.outside_range, emulated.rows_read)
    return emulated


def _require_free(output: Path) -> None:
    """Refuse to replace what no emulate has written."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    record = record_path(output)
    if record.is_file():
        if output.is_dir():
            require_only(output, recorded_files(record), record)
    elif not (work_path(output, "emulate") / _RECORD).is_file():
        raise BalrogError(
            f"{output} must be new or an earlier output of emulate, with {record.name} beside it; "
            f"it {'holds' if output.is_dir() else 'is'} something else, which is not replaced: "
            "give another --out"
        )


def _open(
    emulator: Emulator,
    catalog: Path,
    maps: Path | None,
    plan: DrawPlan,
    columns: CatalogColumns,
    output: Path,
    batch_rows: int | None,
    allow_pickle: bool,
) -> CatalogDraws:
    """Find everything that is needed, before a row is drawn or a file written."""
    table = open_catalog(catalog, allow_pickle=allow_pickle)
    reader = ConditionReader(emulator, table, columns, maps, with_position=is_hats(output))
    no_rows = np.empty((0, len(emulator.schema.condition_names)), np.float32)
    drawn = {"row_id", *plan.draw(emulator, no_rows, np.empty(0, np.int64)).columns}
    drawn |= {"ra", "dec"} if is_hats(output) else set()
    clash = [name for name in reader.keep if name in drawn]
    if clash and reader.keeps_all:
        # What the output has from this very column is not lost.
        same = {reader.row_id} & {"row_id"} | set(reader.position) & {"ra", "dec"}
        lost = [name for name in clash if name not in same]
        if lost:
            logger.warning(
                "not kept, because the output has columns of that name: %s", ", ".join(lost)
            )
    elif clash:
        raise BalrogError(
            f"{catalog}: kept columns must have other names than those of the output; found "
            f"{', '.join(clash)}"
        )
    header = {"label": emulator.label, "emulator": emulator.info["name"], "seed": str(plan.seed)}
    if emulator.members > 1:
        header["member"] = "all" if plan.member is None else str(plan.member)
    return CatalogDraws(
        emulator, table, reader, plan,
        batch_rows or max(CHUNK_ROWS // len(plan.draws(emulator.members)), 1),
        tuple(name for name in reader.keep if name not in drawn), is_hats(output), header,
    )  # fmt: skip


def _write(draws: CatalogDraws, work: Path, made: Path) -> Counter[str]:
    """Write the output to a name in the work directory; gives the sum of the counts."""
    part_rows = PART_BATCHES * draws.batch_rows
    store, rows = PartStore(work), draws.catalog.rows
    kept = len(store)
    done = min(kept * part_rows, rows)
    counts: Counter[str] = Counter()
    with (
        table_writer(made) as writer,
        Progress("emulate", rows, "galaxies", initial=done) as progress,
    ):
        for number, part in enumerate(_all_parts(draws, store, kept, done, progress)):
            if number >= kept and rows > part_rows:
                store.save(number, part)
            writer.write(part.table)
            counts.update(part.counts)
    return counts


def _all_parts(
    draws: CatalogDraws, store: PartStore, kept: int, done: int, progress: Progress
) -> Iterator[Part]:
    """Parts that were kept, then new ones, drawn while the last is written."""
    for number in range(kept):
        yield store.load(number)
    yield from ahead(draws.parts(done, progress.update))
