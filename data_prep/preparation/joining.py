"""Second pass of prepare: the rows of one bucket, joined, cut, and looked up in the maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.photometry import extinction_of, redden
from data_prep.preparation.injections import TableSpec, match_rows
from data_prep.preparation.prepare_job import Job
from data_prep.preparation.spill import read_bucket
from data_prep.preset import Preset
from data_prep.selection import Selection, drop_bad_values

__all__ = [
    "NOT_DETECTED_IN",
    "Table",
    "join_neighbors",
    "join_tables",
    "look_up",
    "partner_rows",
    "read_tables",
]

# Reason of a row that has a measurement, but whose partner says that there is none.
NOT_DETECTED_IN = "not detected in"


@dataclass
class Table:
    """Rows of one bucket.

    Attributes
    ----------
    spec : TableSpec
        How they were read.
    rows : structured array, shape (N,)
        See :func:`data_prep.preparation.injections.row_dtype`; ascending in ``key``.
    columns : dict of str to float32 array, shape (N,)
        Schema columns; those that are borrowed or looked up are filled in on the way.
    reasons : list of str
        What ``rows["bad"]`` counts.
    bad_reasons : set of str
        Those that are a bad value and not a row missing elsewhere.
    selection : Selection
        Which rows stay.
    """

    spec: TableSpec
    rows: np.ndarray
    columns: dict[str, np.ndarray]
    reasons: list[str]
    bad_reasons: set[str]
    selection: Selection

    def __len__(self) -> int:
        return len(self.rows)


def read_tables(job: Job, chunks: Sequence[Mapping[str, Any]], bucket: int) -> dict[str, Table]:
    """Read one bucket of every table.

    Parameters
    ----------
    job : Job
        The job.
    chunks : sequence of mapping
        What the first pass wrote.
    bucket : int
        Which bucket.

    Returns
    -------
    dict of str to Table
        By role.

    Raises
    ------
    BalrogError
        If an intermediate file is lost, or an id repeats within a table.
    """
    tables = {}
    for role, spec in job.plan.tables.items():
        mine = [chunk for chunk in chunks if chunk["role"] == role]
        rows, parts = read_bucket(job.rows_directory, mine, bucket, spec.dtype)
        reasons = [""]
        for part, chunk in zip(parts, mine, strict=True):
            reasons += [reason for reason in chunk["reasons"] if reason not in reasons]
            renumber = np.array([reasons.index(reason) for reason in chunk["reasons"]], np.uint16)
            rows["bad"][part] = renumber[rows["bad"][part]]
        rows = _by_key(rows, spec)
        columns = {name: rows["values"][:, k] for k, name in enumerate(spec.values)}
        bad_reasons = {reason for chunk in mine for reason in chunk["bad_reasons"]}
        tables[role] = Table(spec, rows, columns, reasons, bad_reasons, Selection(len(rows)))
    return tables


def _by_key(rows: np.ndarray, spec: TableSpec) -> np.ndarray:
    """Rows in the order of their keys, which are distinct as the ids are."""
    rows = rows[np.argsort(rows["key"])]
    repeats = np.flatnonzero(rows["key"][1:] == rows["key"][:-1])
    if repeats.size:
        raise BalrogError(
            f"{spec.catalog.path}: ids must be unique; {rows['row_id'][repeats[0]]} is there more "
            "than once; drop the repeated rows"
        )
    return rows


def partner_rows(table: Table, partner: Table) -> np.ndarray:
    """Row of `partner` with the id of each row of `table`, int64, shape (N,); -1: none."""
    keys, wanted = (np.ascontiguousarray(each.rows["key"]) for each in (partner, table))
    if not keys.size:
        return np.full(wanted.shape, -1)
    place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[place] == wanted, place, -1)


def join_tables(tables: Mapping[str, Table], job: Job) -> None:
    """Join matched to detection rows by id, and apply cuts and bad values, in place."""
    for role, table in tables.items():
        partner = tables.get(job.plan.partner(role) or "")
        cuts = [cut.rows for cut in job.plan.preset.cuts]
        if role == "detection":
            _apply(
                table, None, [k for k, rows in enumerate(cuts) if rows == "all"], job.plan.preset
            )
        elif role in ("matched", "oracle"):
            _apply(table, partner, list(range(len(cuts))), job.plan.preset)


def _apply(table: Table, partner: Table | None, cuts: Sequence[int], preset: Preset) -> None:
    selection, rows = table.selection, table.rows
    joined = None
    if partner is not None:
        path = partner.spec.catalog.path
        joined = partner_rows(table, partner)
        selection.drop(joined < 0, f"no row in {path.name}")
        if len(partner):
            denied = partner.rows["detected"][joined] == 0
            selection.drop(denied, f"{NOT_DETECTED_IN} {path.name}", bad_value=True)
    for number in cuts:
        field, cut, bits = f"cut {number}", preset.cuts[number], rows["cuts"]
        # Where both catalogues have such a column, the one that the preset names counts.
        own = cut.table == "matched" and table.spec.aliases(field)
        if partner is not None and joined is not None and partner.spec.aliases(field) and not own:
            bits = partner.rows["cuts"][joined] if len(partner) else bits
        passes = (bits >> np.uint32(number)) & np.uint32(1)
        selection.drop(passes == 0, f"cut {cut}")
    _drop_bad(selection, rows["bad"], table)
    if partner is not None and joined is not None and table.spec.borrowed:
        _borrow(table, partner, joined)


def _drop_bad(selection: Selection, codes: np.ndarray, table: Table) -> None:
    for code, reason in enumerate(table.reasons[1:], start=1):
        selection.drop(codes == code, reason, bad_value=reason in table.bad_reasons)


def _borrow(table: Table, partner: Table, joined: np.ndarray) -> None:
    """Take what only the partner has; a bad value there is one here."""
    if not len(partner):
        partner, joined = _blank(partner), np.zeros(len(table), np.int64)
    _drop_bad(table.selection, partner.rows["bad"][joined], partner)
    own = set(table.rows.dtype.names or ())
    for name in table.spec.borrowed:
        if name in own:
            table.rows[name] = partner.rows[name][joined]
        else:
            table.columns[name] = partner.columns[name][joined]


def _blank(table: Table) -> Table:
    """One empty row, for a bucket where every row has lost its partner."""
    columns = {name: np.zeros(1, np.float32) for name in table.spec.values}
    rows = np.zeros(1, table.rows.dtype)
    return Table(table.spec, rows, columns, [""], set(), Selection(1))


def join_neighbors(
    tables: Mapping[str, Table], names: Sequence[str], found: np.ndarray, preset: Preset
) -> None:
    """Give every table its neighbour columns, by id.

    Parameters
    ----------
    tables : mapping of str to Table
        Changed in place.
    names : sequence of str
        Schema columns.
    found : structured array
        ``row_id`` and ``values``, shape (N, names).
    preset : Preset
        Ranges of the columns.
    """
    schema = {column.name: column for column in preset.schema.columns}
    values = np.concatenate([found["values"], np.full((1, len(names)), np.nan, np.float32)])
    for table in tables.values():
        partner = match_rows(table.rows["row_id"], found["row_id"], "the neighbour columns")
        for index, name in enumerate(names):
            # Rows without a partner take the last row, which has no value.
            column = table.columns[name] = values[partner, index]
            table.selection.drop(np.isnan(column), f"{name} has no value", bad_value=True)
            drop_bad_values(table.selection, column, column, schema[name])


def look_up(
    tables: Mapping[str, Table], maps: Any, preset: Preset, interpolate: bool = False
) -> dict[str, int]:
    """Give the rows that stay their survey properties; drop those that a map does not cover.

    Parameters
    ----------
    tables : mapping of str to Table
        Changed in place.
    maps : StoredMaps
        With ``values_at``.
    preset : Preset
        Survey properties and extinctions.
    interpolate : bool
        Whether values are interpolated between pixels.

    Returns
    -------
    dict of str to int
        Map column -> rows at which the map has a value; empty if no row was looked up.
    """
    wanted = {role: np.flatnonzero(table.selection.keep) for role, table in tables.items()}
    ra, dec = (
        np.concatenate([tables[role].rows[axis][rows] for role, rows in wanted.items()])
        for axis in ("ra", "dec")
    )
    values = maps.values_at(ra, dec, interpolate=interpolate)
    ends = np.cumsum([len(rows) for rows in wanted.values()])[:-1]
    for name, looked_up in values.items():
        for role, part in zip(wanted, np.split(looked_up, ends), strict=True):
            column = np.full(len(tables[role]), np.nan, np.float32)
            column[wanted[role]] = part
            tables[role].columns[name] = column
    for table in tables.values():
        _drop_uncovered(table, list(values), preset)
    if not ra.size:
        return {}
    return {name: int(np.isfinite(looked_up).sum()) for name, looked_up in values.items()}


def _drop_uncovered(table: Table, looked_up: Sequence[str], preset: Preset) -> None:
    schema = {column.name: column for column in preset.schema.columns}
    for name in looked_up:
        if name in schema:
            values = table.columns[name]
            table.selection.drop(np.isnan(values), f"{name} is off the map", bad_value=True)
            drop_bad_values(table.selection, values, values, schema[name])
    if "ebv" not in looked_up:
        return
    ebv = table.columns["ebv"]
    for name, source in preset.sources.items():
        if source.extinction and name in table.columns and name not in table.spec.reddened:
            table.selection.drop(np.isnan(ebv), "E(B-V) is off the map", bad_value=True)
            extinction = extinction_of(ebv, source.extinction.coefficient)
            reddened = redden(table.columns[name], extinction, schema[name].unit)
            table.columns[name] = reddened.astype(np.float32)
            drop_bad_values(table.selection, reddened, table.columns[name], schema[name])
