"""The deep-field table: what is known of the parents, joined to injections by parent id."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.preparation.injections import TableSpec, match_rows, read_rows
from data_prep.preset import Preset
from data_prep.selection import Selection

__all__ = ["DeepTable", "join_deep"]


@dataclass(frozen=True, eq=False)
class DeepTable:
    """How a deep-field table is read; it is held whole (a few million rows of a few columns).

    Attributes
    ----------
    spec : TableSpec
        Its columns.
    preset : Preset
        Units, sentinels, ranges.
    unit : str or None
        Unit of magnitudes and fluxes, if not what the preset says.
    """

    spec: TableSpec
    preset: Preset
    unit: str | None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeepTable) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        path = self.spec.catalog.path
        stamp = path.stat().st_mtime_ns if path.exists() else id(self.spec.catalog)
        return str(path), stamp, self.spec.columns, self.unit, repr(self.preset)


@functools.lru_cache(maxsize=1)
def _rows(deep: DeepTable) -> list[tuple[np.ndarray, Selection]]:
    """Rows and their bad values, batch by batch; read once in each process."""
    parts, first = [], 0
    for batch in deep.spec.catalog.batches(deep.spec.needed, 1_000_000):
        parts.append(read_rows(batch, first, deep.spec, deep.preset, deep.unit, seed=0))
        first += len(parts[-1][0])
    return parts


def join_deep(rows: np.ndarray, bad: Selection, spec: TableSpec, deep: DeepTable) -> None:
    """Fill in the columns of injections that come from their parents.

    Parameters
    ----------
    rows : structured array, shape (N,)
        Injections; changed in place.
    bad : Selection
        Of these rows; changed in place.
    spec : TableSpec
        Of these rows; its ``deep_columns`` are filled in.
    deep : DeepTable
        The parents.

    Raises
    ------
    BalrogError
        If an id of the deep-field table repeats.
    """
    path, parts = deep.spec.catalog.path, _rows(deep)
    places = [deep.spec.columns.index(name) for name in spec.deep_columns]
    ids = np.concatenate([part["row_id"] for part, _ in parts])
    values = np.concatenate([part["values"] for part, _ in parts])[:, places]
    partner = match_rows(rows["parent_id"], ids, str(path))
    first = len(spec.columns)
    rows["values"][:, first : first + len(places)] = values[partner]
    bad.drop(partner < 0, f"no row in {path.name}")
    start = 0
    for part, reasons in parts:
        here = (partner >= start) & (partner < start + len(part))
        codes = np.where(here, reasons.reason[np.where(here, partner - start, 0)], 0)
        for code, reason in enumerate(reasons.reasons[1:], start=1):
            bad.drop(codes == code, reason, bad_value=True)
        start += len(part)
    rows["bad"] = bad.reason
