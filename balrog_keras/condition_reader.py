"""Rows of a catalogue made conditions of an emulator: columns found, converted, looked up."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.catalog_positions import CatalogPositions, looked_up
from balrog_keras.conditions import conditions_of, open_maps, row_ids_of
from balrog_keras.stated_units import Conversion, conversion
from data_prep.catalogs import Catalog, Element
from data_prep.errors import BalrogError, did_you_mean
from data_prep.photometry import extinction_of
from data_prep.preparation.column_values import EXTINCTION, column_values
from data_prep.preset import EBV
from data_prep.schema import Column
from data_prep.selection import Selection

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["ConditionReader"]

logger = logging.getLogger(__name__)


class ConditionReader:
    """Turns batches of a catalogue into the conditions of an emulator.

    Parameters
    ----------
    emulator : Emulator
        Names and units of the conditions, and which maps they may come from.
    catalog : Catalog
        Opened.
    columns : CatalogColumns
        Names in the catalogue.
    maps : path, optional
        Directory of survey property maps, for survey properties that are no columns.
    with_position : bool
        Whether positions are needed even if nothing is looked up.

    Attributes
    ----------
    keep : tuple of str
        Columns to copy to the output.
    keeps_all : bool
        Whether that is every column that holds numbers.

    Raises
    ------
    BalrogError
        If a column or a map is missing.
    """

    def __init__(
        self,
        emulator: Emulator,
        catalog: Catalog,
        columns: CatalogColumns,
        maps: Path | None,
        with_position: bool = False,
    ) -> None:
        self._info, self._schema = emulator.info, emulator.schema
        self._catalog, self._columns = catalog, columns
        self._check_names()
        # Sources and units are the preset's, what they become is the emulator's.
        preset = columns.preset
        self._preset = replace(preset, schema=emulator.schema) if preset else None
        # A column that was named must be there.
        in_maps = set(emulator.info["map_patterns"] if maps is not None else ())
        in_maps -= set(columns.conditions)
        self._elements = {
            column.name: self._find(column, optional=column.name in in_maps)
            for column in self._conditions
        }
        for name, found in self._elements.items():
            logger.debug("%s: %s", name, ", ".join(str(e) for e in found.values()) or "from a map")
        absent = [name for name, found in self._elements.items() if not found]
        self._maps = open_maps(maps, emulator.info, absent, self._dust_map(maps))
        self._position = None
        if with_position or self._maps is not None:
            bands = columns.vector_bands
            self._position = CatalogPositions.of(catalog, columns.position, bands)
        self._conversions = {c.name: self._conversion(c) for c in self._conditions}
        self._row_id = self._require(columns.row_id, "the row id") if columns.row_id else None
        self.keeps_all = tuple(columns.keep) == ("all",)
        self.keep = self._kept()
        self._unusable: Counter[str] = Counter()

    @property
    def needed(self) -> list[str]:
        """Columns of the catalogue to read."""
        elements = [e for found in self._elements.values() for e in found.values()]
        elements += self._position.elements if self._position else ()
        elements += [self._row_id] if self._row_id else []
        return list(dict.fromkeys([*(e.column for e in elements), *self.keep]))

    @property
    def position(self) -> list[str]:
        """Columns of right ascension and declination, if they are needed."""
        return [str(each) for each in self._position.elements] if self._position else []

    @property
    def row_id(self) -> str:
        """Column of the row ids, ``""`` if the row number counts."""
        return str(self._row_id) if self._row_id else ""

    @property
    def map_files(self) -> list[Path]:
        """Files of the maps that are looked up."""
        return self._maps.paths if self._maps is not None else []

    @property
    def _conditions(self) -> tuple[Column, ...]:
        return self._schema.truth + self._schema.survey

    def _check_names(self) -> None:
        known = self._schema.condition_names
        for name in self._columns.conditions:
            if name not in known:
                raise BalrogError(
                    f"--columns takes CONDITION=COLUMN with one of the conditions "
                    f"{', '.join(known)}; {name} is none{did_you_mean(name, known)}"
                )

    def _kept(self) -> tuple[str, ...]:
        """Columns to copy to the output, all of them numbers."""
        widths = self._catalog.widths
        if self.keeps_all:
            without = [name for name, width in widths.items() if width == 0]
            if without:
                logger.warning("not kept, because no numbers: %s", ", ".join(without))
            return tuple(name for name, width in widths.items() if width)
        kept = []
        for name in self._columns.keep:
            column = self._catalog.resolve(name)
            if column is None or not widths[column]:
                element = self._require([name], "the output")
                raise BalrogError(
                    f"{self._catalog.path}: whole columns are kept (--keep {element.column}); "
                    f"found {name}"
                )
            kept.append(column)
        return tuple(dict.fromkeys(kept))

    def describe(self) -> dict[str, Any]:
        """Where everything comes from, JSON-able; equal if rows become equal conditions."""
        conditions = {
            name: ", ".join(str(element) for element in found.values()) or "map"
            for name, found in self._elements.items()
        }
        preset = hashlib.sha256(repr(self._preset).encode()).hexdigest() if self._preset else None
        return {
            "conditions": conditions,
            "converted": {name: str(c) for name, c in self._conversions.items() if str(c)},
            "position": self.position,
            "row_id": self.row_id or "row number",
            "preset_sha256": preset,
        }

    def take_unusable(self) -> Counter[str]:
        """Reason -> unusable rows of those read since the last call; a row may have several."""
        taken, self._unusable = self._unusable, Counter()
        return taken

    def _require(self, names: Sequence[str], needed_for: str) -> Element:
        return self._catalog.require(names, needed_for, self._columns.vector_bands)

    def _find(self, column: Column, optional: bool) -> dict[str, Element]:
        """Alias -> catalogue column; empty if the column is looked up in a map."""
        source = self._columns.source_of(column)
        if source is None:
            names = {"value": self._columns.conditions.get(column.name, (column.name,))}
        else:
            names = {alias: wanted.names for alias, wanted in source.inputs.items()}
        bands = self._columns.vector_bands
        if optional and not all(self._catalog.find(n, bands) for n in names.values()):
            self._warn_of_other_case(column.name)
            return {}
        needed_for = f"{column.name} ({column.unit})"
        named = column.name in self._columns.conditions
        if column.name in self._info["map_patterns"] and not (optional or named):
            needed_for += ", unless it is looked up in --maps DIR,"
        found = {alias: self._require(n, needed_for) for alias, n in names.items()}
        if source and source.extinction and source.extinction.columns:
            extinction = self._catalog.find(source.extinction.columns, bands)
            found |= {EXTINCTION: extinction} if extinction else {}
        return found

    def _warn_of_other_case(self, name: str) -> None:
        """Say that a column is not taken for a survey property, though it is spelt alike."""
        alike = [each for each in self._catalog.widths if each.casefold() == name.casefold()]
        if alike:
            logger.warning(
                "%s is looked up in the maps; the column %s is taken with --columns %s=%s",
                name, alike[0], name, alike[0],
            )  # fmt: skip

    def _conversion(self, column: Column) -> Conversion:
        """From the unit that the file states; a preset's statement counts more."""
        element = self._elements[column.name].get("value")
        if element is None or self._columns.source_of(column) is not None:
            return Conversion()
        where = f"{self._catalog.path}: column {element} ({column.name})"
        return conversion(self._catalog.units.get(element.column, ""), column.unit, where)

    def _coefficient(self, column: Column) -> float | None:
        """R_b of a condition whose extinction comes from the E(B-V) map, else None."""
        source = self._columns.source_of(column)
        if source is None or source.extinction is None:
            return None
        return None if EXTINCTION in self._elements[column.name] else source.extinction.coefficient

    def _dust_map(self, maps: Path | None) -> dict[str, Any]:
        """The E(B-V) map as :func:`open_maps` takes it, if an extinction needs it."""
        reddened = [c.name for c in self._conditions if self._coefficient(c) is not None]
        if self._preset is None or not reddened:
            return {}
        if maps is None or EBV not in self._preset.map_sources:
            raise BalrogError(
                f"{self._catalog.path}: the extinction of {reddened[0]} must come from a column "
                "named in the preset or from an E(B-V) map (--maps DIR); there is neither"
            )
        return {EBV: self._preset.map_sources[EBV]}

    def row_ids(self, batch: Mapping[str, np.ndarray], first: int) -> np.ndarray:
        """Ids of a batch's rows, int64 (N,); row numbers from `first` without an id column."""
        rows = len(next(iter(batch.values())))
        return row_ids_of(self._row_id.values(batch) if self._row_id else None, rows, first)

    def positions(
        self, batch: Mapping[str, np.ndarray], first: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination of a batch's rows, degrees, float64 (N,).

        Both are NaN where one is missing; `first` is the number of the first row, for messages.
        """
        if self._position is None:
            raise RuntimeError("this reader was made without positions")
        return self._position.degrees(batch, first)

    def conditions(self, batch: Mapping[str, np.ndarray], first: int = 0) -> np.ndarray:
        """Conditions of a batch's rows, float32 (N, C); unusable rows are NaN.

        `first` is the number of the first row, for messages.
        """
        in_maps: dict[str, np.ndarray] = {}
        if self._maps is not None:
            ra, dec = self.positions(batch, first)
            in_maps = looked_up(self._maps, ra, dec)
            if missing := int(np.count_nonzero(np.isnan(ra))):
                self._unusable["no usable position"] += missing
        values = {
            column.name: self._converted(column, batch, in_maps)
            if self._elements[column.name]
            else in_maps[column.name]
            for column in self._conditions
        }
        return conditions_of(values, self._info, unusable=self._unusable)

    def _converted(
        self, column: Column, batch: Mapping[str, np.ndarray], in_maps: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """A condition in the emulator's unit; NaN, and counted, where there is none."""
        elements = self._elements[column.name]
        if self._preset is None or self._columns.source_of(column) is None:
            return self._conversions[column.name](elements["value"].values(batch))
        inputs = {alias: (e.values(batch), e.column) for alias, e in elements.items()}
        coefficient = self._coefficient(column)
        if coefficient is not None:
            inputs[EXTINCTION] = extinction_of(in_maps[EBV], coefficient), "E(B-V) map"
        bad = Selection(len(next(iter(inputs.values()))[0]))
        where = str(self._catalog.path)
        values = column_values(inputs, column.name, self._preset, None, bad, where)
        self._unusable.update(bad.dropped)
        return np.where(bad.keep, values, np.float32(np.nan))
