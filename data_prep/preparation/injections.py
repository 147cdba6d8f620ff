"""Rows of a catalogue as a preset sees them: ids, positions, columns in the schema's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data_prep.catalogs import Catalog, Element
from data_prep.errors import BalrogError
from data_prep.expressions import evaluate
from data_prep.photometry import convert
from data_prep.preparation.column_values import column_values
from data_prep.preparation.row_values import detected_flags, whole_numbers
from data_prep.preset import Preset
from data_prep.schema import NJY_ZERO_POINT
from data_prep.selection import Selection, is_sentinel
from data_prep.splits import keyed_hash, region_of

__all__ = ["MOST_CUTS", "NO_REGION", "TableSpec", "match_rows", "read_rows", "row_dtype"]

NO_REGION = -1
MOST_CUTS = 32


@dataclass(frozen=True)
class TableSpec:
    """How the rows of one table of injections are read from a catalogue.

    Attributes
    ----------
    role : {"matched", "detection", "oracle", "oracle-detection", "deep", "neighbor"}
        What the rows are.
    catalog : Catalog
        Where they are.
    elements : dict of str to Element
        Field -> catalogue column. Fields: ``row_id``, ``parent_id``, ``ra``, ``dec``, ``weight``,
        ``detected ALIAS``, ``COLUMN ALIAS`` and ``COLUMN extinction`` for schema columns,
        ``brightness COLUMN``, ``cut NUMBER ALIAS``.
    columns : tuple of str
        Schema columns that the catalogue has.
    deep_columns : tuple of str
        Schema columns that come from the deep-field table, by the parent.
    brightness : tuple of str
        Schema columns about neighbours whose brightness in mag is read too.
    borrowed : frozenset of str
        Schema columns and fields of a row that come from the detection catalogue.
    reddened : frozenset of str
        Schema columns whose extinction comes from a catalogue, not from a map.
    only_detected : bool
        Whether the catalogue has every injection and only detected ones are rows of this table.
    """

    role: str
    catalog: Catalog
    elements: Mapping[str, Element]
    columns: tuple[str, ...]
    deep_columns: tuple[str, ...] = ()
    brightness: tuple[str, ...] = ()
    borrowed: frozenset[str] = frozenset()
    reddened: frozenset[str] = frozenset()
    only_detected: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """Schema columns of a row as it is read."""
        return self.columns + self.deep_columns

    @property
    def dtype(self) -> np.dtype:
        """Of a row as it is read: its values, then brightnesses for neighbours."""
        return row_dtype(len(self.values) + len(self.brightness))

    @property
    def needed(self) -> list[str]:
        """Columns of the catalogue to read."""
        return list(dict.fromkeys(element.column for element in self.elements.values()))

    def aliases(self, field: str) -> dict[str, str]:
        """Alias -> field, of the fields that start with `field` and a space."""
        start = field + " "
        return {name.removeprefix(start): name for name in self.elements if name.startswith(start)}


def row_dtype(values: int) -> np.dtype:
    """Structured dtype of a row with this many schema columns.

    ``key``: random bits of the row id, by which rows are shuffled; ``cuts``: one bit for each cut
    of the preset, set where the row passes or the catalogue lacks the column; ``bad``: 0 or the
    number of the reason why a value is bad.
    """
    return np.dtype([
        ("key", np.uint64), ("row_id", np.int64), ("parent_id", np.int64), ("ra", np.float64),
        ("dec", np.float64), ("region", np.int32), ("cuts", np.uint32), ("weight", np.float32),
        ("bad", np.uint16), ("detected", np.uint16), ("values", np.float32, (values,)),
    ])  # fmt: skip


def read_rows(
    batch: Mapping[str, np.ndarray],
    first_row: int,
    spec: TableSpec,
    preset: Preset,
    unit: str | None,
    seed: int,
) -> tuple[np.ndarray, Selection]:
    """Turn a batch of a catalogue into rows.

    Parameters
    ----------
    batch : mapping of str to array, shape (N,) or (N, width)
        Columns of the catalogue.
    first_row : int
        Number of the batch's first row in the catalogue.
    spec : TableSpec
        What to take from where.
    preset : Preset
        Units, sentinels, cuts.
    unit : str or None
        Unit of magnitudes and fluxes, if not what the preset says.
    seed : int
        Of the shuffle.

    Returns
    -------
    rows : structured array, shape (M,)
        See :func:`row_dtype`; M < N if only detected injections are rows.
    bad : Selection
        The rows with a bad value; ``rows["bad"]`` is its ``reason``.

    Raises
    ------
    BalrogError
        If an id is no whole number, or it is not known whether a row was detected.
    """
    taken = _Batch(batch, first_row, spec)
    detected = taken.detected(preset)
    if spec.only_detected:
        taken.mask = detected
        detected = detected[detected]
    rows = np.zeros(taken.rows, spec.dtype)
    bad = Selection(len(rows))
    rows["row_id"] = taken.integers("row_id") if "row_id" in spec.elements else taken.numbers
    # Without parents each injection is one of its own: of one shared by all, no count could err.
    has_parent = "parent_id" in spec.elements
    rows["parent_id"] = taken.integers("parent_id") if has_parent else rows["row_id"]
    rows["key"] = keyed_hash(rows["row_id"], seed, "shuffle")
    rows["detected"] = detected
    rows["weight"] = _weights(taken, bad)
    _set_position(rows, taken, bad)
    for index, name in enumerate(spec.columns):
        inputs = {
            alias: (taken.array(field), str(spec.elements[field]))
            for alias, field in spec.aliases(name).items()
        }
        rows["values"][:, index] = column_values(
            inputs, name, preset, unit, bad, str(spec.catalog.path)
        )
    for index, name in enumerate(spec.brightness, start=len(spec.values)):
        rows["values"][:, index] = _brightness(taken, name, preset)
    rows["cuts"] = _cut_bits(taken, preset)
    rows["bad"] = bad.reason
    return rows, bad


class _Batch:
    """Arrays of a batch by field, with the row numbers for messages."""

    def __init__(self, batch: Mapping[str, np.ndarray], first_row: int, spec: TableSpec) -> None:
        self.batch, self.spec = batch, spec
        count = len(next(iter(batch.values())))
        self._numbers = np.arange(first_row, first_row + count)
        self.mask: np.ndarray | None = None

    @property
    def numbers(self) -> np.ndarray:
        return self._numbers if self.mask is None else self._numbers[self.mask]

    @property
    def rows(self) -> int:
        return len(self.numbers)

    def array(self, field: str) -> np.ndarray:
        element = self.spec.elements[field]
        values = self.batch[element.column]
        if element.index is not None and values.ndim == 2:
            values = values[:, element.index]
        return values if self.mask is None else values[self.mask]

    def integers(self, field: str) -> np.ndarray:
        where = f"{self.spec.catalog.path}: column {self.spec.elements[field]}"
        return whole_numbers(self.array(field), self.numbers, where)

    def detected(self, preset: Preset) -> np.ndarray:
        """Bool array, shape (N,); True in a catalogue of detected injections alone."""
        aliases = self.spec.aliases("detected")
        if not aliases or preset.detected is None:
            return np.ones(self.rows, bool)
        elements = {alias: self.spec.elements[field] for alias, field in aliases.items()}
        path = str(self.spec.catalog.path)
        return detected_flags(self.batch, elements, preset.detected, self.numbers, path)


def _weights(taken: _Batch, bad: Selection) -> np.ndarray:
    if "weight" not in taken.spec.elements:
        return np.ones(taken.rows, np.float32)
    weight = taken.array("weight").astype(np.float32)
    bad.drop(~(weight >= 0) | ~np.isfinite(weight), "weight is not a number from 0", True)
    return weight


def _set_position(rows: np.ndarray, taken: _Batch, bad: Selection) -> None:
    rows["region"] = NO_REGION
    if "ra" not in taken.spec.elements:
        return
    ra, dec = (taken.array(name).astype(np.float64) for name in ("ra", "dec"))
    good = np.isfinite(ra) & np.isfinite(dec)
    bad.drop(~good, "position is not finite", True)
    inside = good & (ra >= -360) & (ra <= 360) & (np.abs(dec) <= 90)
    bad.drop(good & ~inside, "position is out of range", True)
    wrapped = np.where(inside, ra, 0.0) % 360
    # The remainder of -1e-17 is rounded to 360.
    wrapped[wrapped == 360] = 0.0
    rows["ra"], rows["dec"] = wrapped, np.where(inside, dec, 0.0)
    rows["region"][inside] = region_of(rows["ra"][inside], rows["dec"][inside])


def _brightness(taken: _Batch, name: str, preset: Preset) -> np.ndarray:
    """Magnitudes, NaN where there is none: such an object is nobody's bright neighbour."""
    neighbor = preset.sources[name].neighbor
    unit = neighbor.unit if neighbor else "mag"
    values = taken.array(f"brightness {name}")
    missing = is_sentinel(values, preset.sentinels.get(unit, ()))
    zero_point = NJY_ZERO_POINT if unit == "nJy" else preset.zero_point
    mag = convert(values, unit, "mag", zero_point=zero_point, to_zero_point=preset.zero_point)
    return np.where(missing, np.nan, mag)


def _cut_bits(taken: _Batch, preset: Preset) -> np.ndarray:
    bits = np.full(taken.rows, 0xFFFFFFFF, np.uint32)
    for number, cut in enumerate(preset.cuts):
        inputs = {
            alias: taken.array(field)
            for alias, field in taken.spec.aliases(f"cut {number}").items()
        }
        if not inputs:
            continue
        where = f"{taken.spec.catalog.path}: cut {cut}"
        values = (
            evaluate(cut.expression, inputs, where)
            if cut.expression
            else next(iter(inputs.values()))
        )
        bits[~cut.keeps(values)] &= np.uint32(0xFFFFFFFF ^ (1 << number))
    return bits


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
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    repeats = np.flatnonzero(ascending[1:] == ascending[:-1])
    if repeats.size:
        raise BalrogError(
            f"{where}: ids must be unique; {ascending[repeats[0]]} is there more than once "
            f"({repeats.size:,} repeats); drop the repeated rows"
        )
    if not ids.size:
        return np.full(wanted.shape, -1)
    place = np.minimum(np.searchsorted(ascending, wanted), ids.size - 1)
    return np.where(ascending[place] == wanted, order[place], -1)
