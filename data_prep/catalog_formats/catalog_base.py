"""What every catalogue format offers: named columns of numbers, read in batches of rows."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from data_prep.errors import BalrogError, did_you_mean

__all__ = ["Catalog", "Element", "damaged", "even_pieces", "rebatched", "whole_pieces"]

_SCANNED_ROWS = 262_144


@dataclass(frozen=True)
class Element:
    """A catalogue column, or one element of a vector column.

    Attributes
    ----------
    column : str
        Name in the catalogue.
    index : int or None
        Element of a vector column.
    """

    column: str
    index: int | None = None

    def values(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Its values in a batch of rows, shape (N,)."""
        column = batch[self.column]
        return column if self.index is None else column[:, self.index]

    def __str__(self) -> str:
        return self.column if self.index is None else f"{self.column}[{self.index}]"


class Catalog(ABC):
    """A table on disk. It holds no open file and no rows, so that it can go to other processes.

    Attributes
    ----------
    path : pathlib.Path
        The file or directory.
    rows : int
        Number of rows.
    widths : mapping of str to int
        Column -> elements per row: 1, or the length of a vector; 0 if it holds no numbers.
    label : str
        Provenance label that the file carries (FITS keyword LABEL, Parquet metadata, HDF5
        attribute), or ``""``.
    units : mapping of str to str
        Column -> unit, where the file says so.
    """

    path: Path
    rows: int
    widths: Mapping[str, int]
    label: str
    units: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows, in native byte order.

        Rows, their order and their values depend neither on `batch_rows` nor on the range. A
        batch in which whole numbers or booleans are missing holds floats, NaN where they are;
        :meth:`lacking` tells in which columns that can be.

        Parameters
        ----------
        columns : sequence of str
            Names of columns that hold numbers.
        batch_rows : int
            Most rows in a batch.
        start, stop : int, optional
            Range of rows, by default all.

        Yields
        ------
        dict of str to array, shape (rows,) or (rows, width)

        Raises
        ------
        BalrogError
            If the file is damaged.
        """

    @abstractmethod
    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Cut the catalogue into ranges of about `rows` rows that are cheap to read on their own.

        Returns
        -------
        list of (int, int)
            Start and stop of each, in order, covering every row once.
        """

    def lacking(self, columns: Sequence[str]) -> set[str]:
        """Columns that are floats in some batch: those of floats, or in which a value is missing.

        Whoever writes batches one after the other needs one type for all of them. The columns are
        read where the file does not say whether a value is missing.

        Parameters
        ----------
        columns : sequence of str
            Names of columns that hold numbers.

        Raises
        ------
        BalrogError
            If the file is damaged.
        """
        said = {name: self._lacks(name) for name in columns}
        found = {name for name, lacks in said.items() if lacks}
        unsure = [name for name, lacks in said.items() if lacks is None]
        for batch in self.batches(unsure, _SCANNED_ROWS) if unsure else ():
            found |= {name for name, values in batch.items() if values.dtype.kind == "f"}
        return found

    def _lacks(self, name: str) -> bool | None:
        """Whether a column is floats in some batch, None if the file must be read to know."""
        return None

    def resolve(self, name: str) -> str | None:
        """Name under which the catalogue has a column, or None."""
        return name if name in self.widths else None

    def find(self, alternatives: Sequence[str], vector_bands: Sequence[str] = ()) -> Element | None:
        """Find the first alternative that the catalogue has.

        Parameters
        ----------
        alternatives : sequence of str
            ``name``, or ``name[band]`` or ``name[0]`` for one element of a vector column.
        vector_bands : sequence of str
            Order of the bands in vector columns.

        Returns
        -------
        Element or None

        Raises
        ------
        BalrogError
            If a column is there but holds no numbers or no such element, or if an element is named
            by its band and there are not as many bands as elements.
        """
        for text in alternatives:
            name, index = _parse(text, vector_bands)
            column = self.resolve(name)
            if column is not None:
                by_band = text.removeprefix(f"{name}[").removesuffix("]") in vector_bands
                self._check_width(column, index, vector_bands if by_band else ())
                # The only element of a row is the row's number.
                return Element(column, index if self.widths[column] > 1 else None)
        return None

    def require(
        self, alternatives: Sequence[str], needed_for: str, vector_bands: Sequence[str] = ()
    ) -> Element:
        """Find the first alternative; BalrogError with the closest names if there is none."""
        element = self.find(alternatives, vector_bands)
        if element is not None:
            return element
        names = list(self.widths)
        wanted = [_parse(text, vector_bands)[0] for text in alternatives]
        hint = "".join(f"{each}{hint}; " for each in wanted if (hint := did_you_mean(each, names)))
        remarks = "".join(f"{remark}; " for name in wanted if (remark := self._remark(name)))
        raise BalrogError(
            f"{self.path}: {needed_for} needs the column {' or '.join(wanted)}, which is missing; "
            f"{remarks}{hint}the columns are {', '.join(names[:60])}"
            f"{' ...' if len(names) > 60 else ''}"
        )

    def _remark(self, name: str) -> str:
        """What this format knows of a column that is missing or holds no numbers."""
        return ""

    def _check_width(self, name: str, index: int | None, bands: Sequence[str]) -> None:
        """Check a column of which element `index` is asked for, by number or as one of `bands`."""
        width = self.widths[name]
        if width == 0:
            remark = self._remark(name) or "it holds text, or lists of several lengths"
            raise BalrogError(
                f"{self.path}: column {name} must hold numbers; {remark}; name another column in "
                "the preset, or write this one as numbers"
            )
        if bands and width != len(bands):
            # Which element is which band would be a guess.
            raise BalrogError(
                f"{self.path}: column {name} must have one element for each of the bands "
                f"{', '.join(bands)}; it has {width}: name the bands of its elements in their "
                f"order in the preset, as `vector_bands: [g, r, i, z]`, or pick elements by "
                f"number, as {name}[0]"
            )
        if width > 1 and index is None:
            raise BalrogError(
                f"{self.path}: column {name} is a vector of {width}; pick an element, as {name}[0]"
            )
        if index is not None and index >= width:
            raise BalrogError(
                f"{self.path}: column {name} must have an element {index}; it has {width}"
            )


def _parse(text: str, vector_bands: Sequence[str]) -> tuple[str, int | None]:
    """``"name[r]"`` -> ("name", index of band r); ``"name"`` -> ("name", None)."""
    found = re.fullmatch(r"(.+)\[(\w+)\]", text)
    if not found:
        return text, None
    name, key = found.groups()
    if key in vector_bands:
        return name, list(vector_bands).index(key)
    if key.isdigit():
        return name, int(key)
    or_band = f", or by a band of the preset: {', '.join(vector_bands)}" if vector_bands else ""
    raise BalrogError(
        f"an element of a vector column is asked for by its number, as {name}[0]{or_band}; found "
        f"{text}"
    )


def damaged(path: Path, kind: str, error: Exception) -> BalrogError:
    """The error of a file that cannot be read as what its name says."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return BalrogError(
        f"{path} must be a whole {kind} file; it is truncated or damaged ({reason}); fetch it anew"
    )


def even_pieces(total: int, rows: int, multiple: int = 1) -> list[tuple[int, int]]:
    """Ranges of about `rows` of `total` rows that begin at multiples of `multiple`."""
    step = max(rows // multiple, 1) * multiple
    return [(start, min(start + step, total)) for start in range(0, total, step)]


def whole_pieces(starts: np.ndarray, rows: int) -> list[tuple[int, int]]:
    """Ranges of at least `rows` rows, but for the last, that begin at one of `starts`.

    Parameters
    ----------
    starts : int64 array, shape (K + 1,)
        First row of each of K parts that are read whole, and the number of rows.
    rows : int
        Rows wanted in a range.
    """
    bounds = [0]
    for stop in starts[1:].tolist():
        if stop - bounds[-1] >= rows:
            bounds.append(stop)
    if bounds[-1] != starts[-1]:
        bounds.append(int(starts[-1]))
    return list(zip(bounds[:-1], bounds[1:], strict=True))


def rebatched(
    parts: Iterable[Mapping[str, np.ndarray]], batch_rows: int
) -> Iterator[dict[str, np.ndarray]]:
    """Join and cut parts of a table to batches of `batch_rows` rows; the last may have fewer."""
    held: list[dict[str, np.ndarray]] = []
    count = 0
    for part in parts:
        rows, taken = len(next(iter(part.values()))), 0
        while taken < rows:
            more = min(batch_rows - count, rows - taken)
            held.append({name: values[taken : taken + more] for name, values in part.items()})
            count, taken = count + more, taken + more
            if count == batch_rows:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
