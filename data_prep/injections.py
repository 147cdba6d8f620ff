"""One injection catalogue as a preset sees it: ids, positions, columns, cuts, survey properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.catalogs import Catalog, Element, open_catalog
from data_prep.errors import BalrogError
from data_prep.preset import Cut, Preset
from data_prep.progress import Progress
from data_prep.schema import Column
from data_prep.selection import (
    Selection,
    drop_bad_values,
    require_plausible_unit,
    to_schema_unit,
)

__all__ = ["Injections", "match_rows", "read_injections"]


@dataclass
class Injections:
    """Rows of one catalogue.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    label : str
        Provenance label it carries.
    row_id, parent_id : int64 array, shape (N,)
        Injection and parent.
    ra, dec : float64 array, shape (N,)
        Injected position in degrees.
    columns : dict of str to float32 array, shape (N,)
        Schema column -> values, as in the catalogue until :meth:`clean`.
    detected : int64 array, shape (N,), or None
        1 if detected, where the catalogue says so.
    cut_values : dict of Cut to float32 array, shape (N,)
        The values of the cuts whose column this catalogue has.
    selection : Selection
        Which rows stay.
    used : dict of str to str
        What was read -> catalogue column it was read from.
    """

    path: Path
    label: str
    row_id: np.ndarray
    parent_id: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    columns: dict[str, np.ndarray]
    detected: np.ndarray | None
    cut_values: dict[Cut, np.ndarray]
    selection: Selection
    used: dict[str, str]

    def __len__(self) -> int:
        return len(self.row_id)

    def apply_cuts(self, cuts: Sequence[Cut], detection: Injections | None, hint: str) -> list[str]:
        """Apply cuts, each from this catalogue or, joined by id, from the detection catalogue.

        Parameters
        ----------
        cuts : sequence of Cut
            Applied in order.
        detection : Injections or None
            Where columns of table ``detection`` are.
        hint : str
            How to give a detection catalogue, for the message.

        Returns
        -------
        list of str
            Optional cuts that were not applied.

        Raises
        ------
        BalrogError
            If the column of a cut that is not optional is missing.
        """
        partner = None
        if detection is not None:
            partner = match_rows(self.row_id, detection.row_id, str(detection.path))
            self.selection.drop(partner < 0, f"no row in {detection.path.name}")
        missing = []
        for cut in cuts:
            if detection is not None and partner is not None and cut in detection.cut_values:
                keeps = cut.keeps(detection.cut_values[cut])[partner]
            elif cut in self.cut_values:
                keeps = cut.keeps(self.cut_values[cut])
            elif cut.optional:
                missing.append(str(cut))
                continue
            else:
                raise BalrogError(
                    f"{self.path}: the cut {cut} needs the column {' or '.join(cut.columns)} of "
                    f"the {cut.table} catalogue, which is missing; {hint}, or mark the cut "
                    "optional in a preset of your own"
                )
            self.selection.drop(~keeps, f"cut {cut}")
        return missing

    def clean(self, preset: Preset, unit: str | None = None) -> None:
        """Convert the columns to the schema's units and drop rows with bad values.

        Parameters
        ----------
        preset : Preset
            Units, sentinels and ranges.
        unit : {"mag", "flux"}, optional
            Unit of the truth and measured magnitudes or fluxes, if not what the preset says.

        Raises
        ------
        BalrogError
            If values are plainly in another unit, or cannot be converted.
        """
        for column in preset.schema.columns:
            if column.name not in self.columns:
                continue
            source_unit = preset.sources[column.name].unit
            if unit and column.unit in ("mag", "flux"):
                source_unit = unit
            where = f"{self.path}: column {self.used[column.name]}"
            sentinels = preset.sentinels.get(source_unit, ())
            values = self.columns[column.name]
            require_plausible_unit(values, source_unit, sentinels, where)
            converted = to_schema_unit(values, column, source_unit, preset.zero_point, where)
            drop_bad_values(self.selection, values, converted, column, sentinels)
            self.columns[column.name] = converted


def read_injections(
    path: str | Path,
    preset: Preset,
    table: str,
    batch_rows: int = 250_000,
) -> Injections:
    """Read what a preset needs of one catalogue.

    Parameters
    ----------
    path : path
        FITS or Parquet catalogue.
    preset : Preset
        What to read.
    table : {"matched", "detection"}
        A matched catalogue has measured columns, a detection catalogue the detected flag.
    batch_rows : int
        Rows read at a time.

    Returns
    -------
    Injections

    Raises
    ------
    BalrogError
        If the file is damaged or empty, a column is missing or of a wrong type, or ids
        repeat.
    """
    catalog = open_catalog(path)
    columns = preset.schema.truth + (preset.schema.measured if table == "matched" else ())
    columns += tuple(c for c in preset.schema.survey if preset.sources[c.name].columns)
    wanted = _wanted_elements(catalog, preset, columns, table)
    cuts = {cut: catalog.find(cut.columns) for cut in preset.cuts}
    found_cuts = {cut: element for cut, element in cuts.items() if element is not None}
    wanted |= {f"cut {cut}": (element, np.float32) for cut, element in found_cuts.items()}
    data = _read_elements(catalog, wanted, batch_rows)
    match_rows(data["row_id"][:0], data["row_id"], str(catalog.path))
    return Injections(
        path=catalog.path,
        label=catalog.label,
        row_id=data["row_id"],
        parent_id=data["parent_id"],
        ra=data["ra"],
        dec=data["dec"],
        columns={column.name: data[column.name] for column in columns},
        detected=(data["detected"] != 0).astype(np.int64) if "detected" in data else None,
        cut_values={cut: data[f"cut {cut}"] for cut in found_cuts},
        selection=Selection(catalog.rows),
        used={name: str(element) for name, (element, _) in wanted.items()},
    )


def match_rows(wanted: np.ndarray, ids: np.ndarray, where: str) -> np.ndarray:
    """Row of each wanted id in a catalogue.

    Parameters
    ----------
    wanted : int64 array, shape (N,)
        Ids to find.
    ids : int64 array, shape (M,)
        The catalogue's ids.
    where : str
        The catalogue, for the message.

    Returns
    -------
    int64 array, shape (N,)
        -1 where there is none.

    Raises
    ------
    BalrogError
        If an id of the catalogue repeats.
    """
    order = np.argsort(ids)
    ascending = ids[order]
    repeats = np.flatnonzero(ascending[1:] == ascending[:-1])
    if repeats.size:
        rows = sorted(np.flatnonzero(ids == ascending[repeats[0]]).tolist())
        raise BalrogError(
            f"{where}: ids must be unique; {ascending[repeats[0]]} is in rows {rows[0]} and "
            f"{rows[1]} ({repeats.size:,} repeats); drop the repeated rows"
        )
    if not ids.size:
        return np.full(wanted.shape, -1)
    place = np.minimum(np.searchsorted(ascending, wanted), ids.size - 1)
    return np.where(ascending[place] == wanted, order[place], -1)


def _wanted_elements(
    catalog: Catalog, preset: Preset, columns: Sequence[Column], table: str
) -> dict[str, tuple[Element, Any]]:
    wanted: dict[str, tuple[Element, Any]] = {
        "row_id": (catalog.require([preset.id], "the id of an injection"), np.int64),
        "parent_id": (catalog.require([preset.parent], "the parent"), np.int64),
        "ra": (catalog.require(preset.position[:1], "the position"), np.float64),
        "dec": (catalog.require(preset.position[1:], "the position"), np.float64),
    }
    for column in columns:
        alternatives = preset.sources[column.name].columns
        element = catalog.require(alternatives, column.name, preset.vector_bands)
        wanted[column.name] = (element, np.float32)
    if table == "detection":
        if not preset.detected:
            raise BalrogError("a detection catalogue needs `detected` in the preset")
        detected = catalog.require([preset.detected], "whether an injection was detected")
        wanted["detected"] = (detected, np.int64)
    return wanted


def _read_elements(
    catalog: Catalog, elements: Mapping[str, tuple[Element, Any]], batch_rows: int
) -> dict[str, np.ndarray]:
    """Read elements whole, batch by batch; integers must be whole numbers."""
    columns = list(dict.fromkeys(element.column for element, _ in elements.values()))
    result = {name: np.empty(catalog.rows, dtype) for name, (_, dtype) in elements.items()}
    start = 0
    with Progress(f"read {catalog.path.name}", catalog.rows, "rows") as progress:
        for batch in catalog.batches(columns, batch_rows):
            count = len(batch[columns[0]])
            for name, (element, _) in elements.items():
                values = batch[element.column]
                if element.index is not None and values.ndim == 2:
                    values = values[:, element.index]
                _store(result[name][start : start + count], values, catalog.path, element, start)
            start += count
            progress.update(count)
    return result


def _store(target: np.ndarray, values: np.ndarray, path: Path, element: Element, row: int) -> None:
    if target.dtype.kind == "i" and values.dtype.kind == "f":
        # Beyond 2**53 a float no longer tells neighbouring ids apart.
        whole = (values == np.floor(values)) & (np.abs(values) <= 2.0**53)
        if not whole.all():
            bad = int(np.argmin(whole))
            raise BalrogError(
                f"{path}: column {element} must hold whole numbers; row {row + bad} has "
                f"{values[bad]}"
            )
    with np.errstate(over="ignore"):
        target[:] = values
