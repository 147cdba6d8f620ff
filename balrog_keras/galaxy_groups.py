"""Which galaxies of a truth catalogue are independent of each other, for a bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.condition_reader import ConditionReader
from data_prep.catalogs import Catalog, Element
from data_prep.splits import region_of

__all__ = ["GalaxyGroups"]

# Parents and rows are dealt into so many groups by the high bits of a Fibonacci hash.
_GROUP_BITS = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class GalaxyGroups:
    """The unit of a bootstrap.

    Attributes
    ----------
    kind : {"parent", "region", "row"}
        Injections of one parent have the same truth wherever they are, so parents are the unit
        if the preset names them and the catalogue has them; else regions of the sky, if there
        are positions; else rows.
    parent : Element or None
        Column of the parent's id.
    """

    kind: str
    parent: Element | None = None

    @classmethod
    def of(cls, catalog: Catalog, columns: CatalogColumns) -> GalaxyGroups:
        """What a catalogue allows.

        Raises
        ------
        BalrogError
            If a column of them holds no numbers.
        """
        names = columns.preset.parent if columns.preset else ()
        parent = catalog.find(names) if names else None
        if parent is not None:
            return cls("parent", parent)
        placed = [catalog.find(names, columns.vector_bands) for names in columns.position]
        return cls("region" if all(placed) else "row")

    def needed(self, reader: ConditionReader) -> list[str]:
        """Columns of the catalogue to read, with those of the conditions."""
        more = [self.parent.column] if self.parent else []
        return list(dict.fromkeys([*reader.needed, *more]))

    def numbers(
        self,
        batch: Mapping[str, np.ndarray],
        reader: ConditionReader,
        ids: np.ndarray,
        first: int = 0,
    ) -> np.ndarray:
        """Group of each row of a batch, int64, shape (N,); rows without a position are one.

        `first` is the number of the first row, for messages.
        """
        if self.kind == "region":
            ra, dec = reader.positions(batch, first)
            known, regions = np.isfinite(ra), np.full(len(ra), -1, np.int64)
            regions[known] = region_of(ra[known], dec[known])
            return regions
        keys = ids if self.parent is None else batch[self.parent.column]
        shift = np.uint64(64 - _GROUP_BITS)
        return ((keys.astype(np.int64).astype(np.uint64) * _GOLDEN) >> shift).astype(np.int64)

    def describe(self) -> str:
        """In words."""
        if self.kind == "region":
            return "regions of the sky (0.9 deg)"
        return f"{1 << _GROUP_BITS} groups of {'parents' if self.parent else 'rows'}"
