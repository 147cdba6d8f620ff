"""A sample of a truth catalogue, in order of brightness, from which pixels draw their galaxies."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.condition_reader import ConditionReader
from balrog_keras.transforms import MAGNITUDES
from data_prep.catalogs import Catalog, open_catalog
from data_prep.errors import BalrogError
from data_prep.progress import Progress
from data_prep.schema import Column, Schema

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["TruthSample"]

logger = logging.getLogger(__name__)

_BATCH_ROWS = 262_144


@dataclass(frozen=True)
class TruthSample:
    """Truth galaxies without a place on the sky.

    Attributes
    ----------
    names : tuple of str
        Columns of `values`: the emulator's conditions that are not looked up in maps.
    values : float32 array, shape (T, number of names)
        Physical units, brightest first: ascending mean of the truth magnitudes (of the first
        column, if no truth is a magnitude).
    unusable : int
        Rows of the catalogue that were left out because a value is null or out of range.
    """

    names: tuple[str, ...]
    values: np.ndarray
    unusable: int

    def __len__(self) -> int:
        """Number of galaxies."""
        return len(self.values)

    @classmethod
    def read(
        cls,
        emulator: Emulator,
        catalog: Path,
        columns: CatalogColumns | None = None,
        rows: int = 1_000_000,
        seed: int = 0,
        allow_pickle: bool = False,
    ) -> TruthSample:
        """Read random rows of a truth catalogue; positions are ignored.

        Parameters
        ----------
        emulator : Emulator
            Whose conditions are wanted. Survey properties that have no map come from the
            catalogue too.
        catalog : path
            Any format of :func:`data_prep.catalogs.open_catalog`.
        columns : CatalogColumns, optional
            Names in the catalogue, by default the emulator's own.
        rows : int
            Most rows to keep; of a larger catalogue a random subset.
        seed : int
            Of the subset.
        allow_pickle : bool
            Whether a pickled catalogue may be opened, which runs any code that is in it.

        Returns
        -------
        TruthSample

        Raises
        ------
        BalrogError
            If a column is missing, or no row has a usable value of every column.
        """
        table = open_catalog(catalog, allow_pickle=allow_pickle)
        chosen = _subset(table.rows, rows, seed)
        wanted = _Unplaced.of(emulator)
        reader = ConditionReader(wanted, table, columns or CatalogColumns(), None)  # type: ignore[arg-type]
        values = _read(reader, table, chosen)
        good = np.isfinite(values).all(axis=1)
        if not good.any():
            names = ", ".join(wanted.schema.condition_names)
            raise BalrogError(
                f"{catalog} must have rows with a usable {names}; found none in {len(values):,}"
            )
        if not good.all():
            reasons = [f"{text} ({count:,})" for text, count in reader.take_unusable().items()]
            logger.warning(
                "%s of %s truth rows are left out: %s", f"{(~good).sum():,}", f"{len(good):,}",
                ", ".join(reasons),
            )  # fmt: skip
        return cls.of(wanted.schema, values[good], int((~good).sum()))

    @classmethod
    def of(cls, schema: Schema, values: np.ndarray, unusable: int = 0) -> TruthSample:
        """Sort rows by brightness.

        Parameters
        ----------
        schema : Schema
            Whose ``condition_names`` the columns are.
        values : float32 array, shape (T, C)
            Without nulls.
        unusable : int
            See the class.
        """
        conditions = schema.truth + schema.survey
        magnitudes = [k for k, c in enumerate(conditions) if c.unit in MAGNITUDES] or [0]
        brightness = values[:, magnitudes].mean(axis=1, dtype=np.float64)
        order = np.argsort(brightness, kind="stable")
        return cls(schema.condition_names, values[order], unusable)


@dataclass(frozen=True)
class _Unplaced:
    """An emulator's conditions without those that are looked up in maps."""

    schema: Schema
    info: Mapping[str, Any]

    @classmethod
    def of(cls, emulator: Emulator) -> _Unplaced:
        mapped = emulator.info["map_patterns"]

        def stays(column: Column) -> bool:
            return column.group != "survey" or column.name not in mapped

        columns = tuple(column for column in emulator.schema.columns if stays(column))
        schema = replace(emulator.schema, columns=columns)
        return cls(schema, {**emulator.info, "schema": schema.to_dict(), "map_patterns": {}})


def _subset(rows: int, most: int, seed: int) -> np.ndarray:
    """Row numbers, ascending."""
    if most < 1:
        raise BalrogError(f"the truth sample must have at least 1 row, found {most}")
    if rows <= most:
        return np.arange(rows)
    random = np.random.default_rng([seed % 2**64, rows])
    return np.sort(random.choice(rows, most, replace=False, shuffle=False))


def _read(reader: ConditionReader, table: Catalog, chosen: np.ndarray) -> np.ndarray:
    """Conditions of the chosen rows, float32 (T, C); unusable rows are NaN."""
    parts, start = [], 0
    with Progress("read truth", table.rows, "galaxies") as progress:
        for batch in table.batches(reader.needed, _BATCH_ROWS):
            rows = len(next(iter(batch.values())))
            first, last = np.searchsorted(chosen, [start, start + rows])
            here = chosen[first:last] - start
            parts.append(reader.conditions({name: batch[name][here] for name in batch}))
            start += rows
            progress.update(rows)
    return np.concatenate(parts)
