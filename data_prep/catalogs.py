"""Read injection catalogues, FITS or Parquet: only the columns needed, in batches of rows."""

from __future__ import annotations

import difflib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["Catalog", "Element", "open_catalog"]


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

    def __str__(self) -> str:
        return self.column if self.index is None else f"{self.column}[{self.index}]"


class Catalog(ABC):
    """A table on disk.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    rows : int
        Number of rows.
    widths : dict of str to int
        Column -> elements per row: 1, or the length of a vector; 0 if it holds no numbers.
    label : str
        Provenance label that the file carries (FITS keyword LABEL, Parquet metadata), or ``""``.
    """

    path: Path
    rows: int
    widths: Mapping[str, int]
    label: str

    @abstractmethod
    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows, in native byte order.

        Parameters
        ----------
        columns : sequence of str
            Names of columns.
        batch_rows : int
            Most rows in a batch.

        Yields
        ------
        dict of str to array, shape (rows,) or (rows, width)
        """

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
            If a column is there but holds no numbers or no such element.
        """
        for text in alternatives:
            name, index = _parse(text, vector_bands)
            if name in self.widths:
                self._check_width(name, index)
                return Element(name, index)
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
        close = [match for name in wanted for match in difflib.get_close_matches(name, names)]
        hint = f"close matches: {', '.join(dict.fromkeys(close))}; " if close else ""
        raise BalrogError(
            f"{self.path}: {needed_for} needs the column {' or '.join(wanted)}, which is missing; "
            f"{hint}the columns are {', '.join(names[:60])}{' ...' if len(names) > 60 else ''}"
        )

    def _check_width(self, name: str, index: int | None) -> None:
        width = self.widths[name]
        if width == 0:
            raise BalrogError(f"{self.path}: column {name} must hold numbers; it does not")
        if width > 1 and index is None:
            raise BalrogError(
                f"{self.path}: column {name} is a vector of {width}; pick an element in the "
                f"preset, as {name}[0]"
            )
        if index is not None and index >= width:
            raise BalrogError(
                f"{self.path}: column {name} must have an element {index}; it has {width}"
            )


class _FitsCatalog(Catalog):
    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as table:
            header, dtype = table.read_header(), table.get_rec_dtype()[0]
            self.rows = int(table.get_nrows())
        self.label = str(header.get("LABEL", "") or self._primary_label()).strip()
        self.widths = {}
        for name in dtype.names or ():
            element, shape = dtype[name].base, dtype[name].shape
            numeric = element.kind in "iufb" and len(shape) < 2
            self.widths[name] = (shape[0] if shape else 1) if numeric else 0

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import fitsio

        try:
            with fitsio.FITS(self.path) as hdus:
                tables = [hdu for hdu in hdus if hdu.get_exttype() != "IMAGE_HDU"]
                if not tables:
                    raise BalrogError(
                        f"{self.path} must hold a table; it has none; is it truncated?"
                    )
                yield tables[0]
        except OSError as error:
            raise _damaged(self.path, "FITS", error) from error

    def _primary_label(self) -> str:
        import fitsio

        return str(fitsio.read_header(self.path, 0).get("LABEL", "") or "")

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self.rows, batch_rows):
            stop = min(start + batch_rows, self.rows)
            with self._open() as table:
                block = table[list(columns)][start:stop]
            yield {name: np.asarray(block[name]) for name in columns}


class _ParquetCatalog(Catalog):
    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            schema = file.schema_arrow
            self.rows = int(file.metadata.num_rows)
        self.label = (schema.metadata or {}).get(b"label", b"").decode()
        self.widths = {field.name: self._width(field.type) for field in schema}

    @staticmethod
    def _width(kind: Any) -> int:
        import pyarrow.types as types

        def numeric(kind: Any) -> bool:
            return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)

        if types.is_fixed_size_list(kind) and numeric(kind.value_type):
            return int(kind.list_size)
        return int(numeric(kind))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                yield file
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(self.path, "Parquet", error) from error

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[dict[str, np.ndarray]]:
        with self._open() as file:
            batches = file.iter_batches(batch_size=batch_rows, columns=list(columns))
            while (batch := next(batches, None)) is not None:
                yield {name: self._array(batch.column(name), name) for name in columns}

    def _array(self, column: Any, name: str) -> np.ndarray:
        width = self.widths[name]
        if column.null_count and width > 1:
            raise BalrogError(
                f"{self.path}: every row of the vector column {name} must hold {width} numbers; "
                f"{column.null_count:,} rows are null"
            )
        flat = column.flatten() if width > 1 else column
        values = flat.to_numpy(zero_copy_only=False)
        if values.dtype == object:  # booleans with nulls
            values = values.astype(np.float64)
        return values.reshape(-1, width) if width > 1 else values


def open_catalog(path: str | os.PathLike[str]) -> Catalog:
    """Open an injection catalogue; no row is read yet.

    Parameters
    ----------
    path : path
        ``.fits``, ``.fit``, ``.fits.gz``, ``.parquet`` or ``.pq``.

    Returns
    -------
    Catalog

    Raises
    ------
    BalrogError
        If the file is missing, of another format, damaged, or has no rows.
    """
    path = Path(path)
    if not path.is_file():
        raise BalrogError(f"a catalogue is needed; {path} does not exist")
    catalog: Catalog
    if path.name.endswith((".fits", ".fit", ".fits.gz")):
        catalog = _FitsCatalog(path)
    elif path.suffix in (".parquet", ".pq"):
        catalog = _ParquetCatalog(path)
    else:
        raise BalrogError(f"a catalogue must be .fits, .fits.gz or .parquet; found {path.name}")
    if catalog.rows == 0:
        raise BalrogError(f"{path} must hold at least one row; the catalogue is empty")
    return catalog


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
    raise BalrogError(
        f"the preset asks for {text}; the bands of vector columns are {', '.join(vector_bands)}"
    )


def _damaged(path: Path, kind: str, error: Exception) -> BalrogError:
    reason = str(error).strip().splitlines()[0]
    return BalrogError(
        f"{path} must be a whole {kind} file; it is truncated or damaged ({reason}); fetch it anew"
    )
