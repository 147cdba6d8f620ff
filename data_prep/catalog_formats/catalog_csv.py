"""Read comma-separated text, gzipped or not, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from data_prep.catalog_formats.catalog_base import Catalog, damaged, rebatched, whole_pieces
from data_prep.catalog_formats.csv_blocks import (
    first_text,
    joint_type,
    parse_block,
    parse_header,
    types_of,
    values_of,
)
from data_prep.errors import BalrogError

__all__ = ["CsvCatalog"]

_BLOCK_BYTES = 1 << 21


class CsvCatalog(Catalog):
    """Comma-separated text whose first line names the columns; ``#`` begins a comment line.

    The file is read once to count its rows and to see which columns are whole numbers, numbers
    or text throughout. Empty fields are NaN.

    Raises
    ------
    BalrogError
        If a line has another number of fields, or there are no names.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.label = path, ""
        self._text: dict[str, str] = {}
        with self._open() as stream:
            self._names, line = self._read_names(stream)
            self._types = dict.fromkeys(self._names, "")
            self._gaps: set[str] = set()
            self._starts, self._lines, self._offsets = [0], [line], [stream.tell()]
            for content in _blocks(stream):
                self._add(content)
        self.rows = self._starts[-1]
        self.widths = {name: int(kind != "text") for name, kind in self._types.items()}

    @property
    def _gzipped(self) -> bool:
        return self.path.name.lower().endswith(".gz")

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        import pyarrow

        try:
            with gzip.open(self.path) if self._gzipped else open(self.path, "rb") as stream:
                yield cast(BinaryIO, stream)
        except BalrogError:
            raise
        except (
            EOFError, OSError, ValueError, csv.Error, pyarrow.ArrowException, zlib.error,
        ) as error:  # fmt: skip
            raise damaged(self.path, "CSV", error) from error

    def _read_names(self, stream: BinaryIO) -> tuple[list[str], int]:
        """Column names, and the number of the line after them."""
        number, line = 1, stream.readline(_BLOCK_BYTES)
        while line.startswith(b"#") or (line and not line.strip()):
            number, line = number + 1, stream.readline(_BLOCK_BYTES)
        return parse_header(line, str(self.path)), number + 1

    def _add(self, content: bytes) -> None:
        """Note the rows and types of the next block."""
        line = self._lines[-1]
        table = parse_block(content, self._names, str(self.path), line)
        for place, (name, kind) in enumerate(types_of(table).items()):
            before, self._types[name] = self._types[name], joint_type(self._types[name], kind)
            if before != "text" and self._types[name] == "text":
                self._text[name] = first_text(content, place, line)
        self._gaps |= {name for name in self._names if table.column(name).null_count}
        self._starts.append(self._starts[-1] + table.num_rows)
        self._lines.append(line + content.count(b"\n"))
        self._offsets.append(self._offsets[-1] + len(content))

    def _remark(self, name: str) -> str:
        return self._text.get(name, "")

    def _lacks(self, name: str) -> bool:
        return name in self._gaps or self._types[name] not in ("int64", "bool")

    def pieces(self, rows: int) -> list[tuple[int, int]]:
        """Ranges of whole blocks of lines; one for a gzipped file, read from its beginning."""
        if self._gzipped:
            return [(0, self.rows)]
        return whole_pieces(np.array(self._starts), rows)

    def batches(
        self, columns: Sequence[str], batch_rows: int, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns in batches of rows; see :meth:`Catalog.batches`."""
        stop = self.rows if stop is None else stop
        return rebatched(self._parts(columns, start, stop), batch_rows)

    def _parts(
        self, columns: Sequence[str], start: int, stop: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """Rows of the range, block by block."""
        types = {name: self._types[name] for name in columns}
        with self._open() as stream:
            for number, first in enumerate(self._starts[:-1]):
                if first >= stop or self._starts[number + 1] <= start:
                    continue
                offset = stream.seek(self._offsets[number])
                content = stream.read(self._offsets[number + 1] - offset)
                line = self._lines[number]
                table = parse_block(content, self._names, str(self.path), line, types)
                rows = slice(max(start - first, 0), stop - first)
                yield {name: values_of(table.column(name))[rows] for name in columns}


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of whole lines."""
    rest = b""
    while block := stream.read(_BLOCK_BYTES):
        content = rest + block
        end = content.rfind(b"\n") + 1
        if end:
            yield content[:end]
        elif len(content) > 2 * _BLOCK_BYTES:
            raise ValueError("a line has no end")
        rest = content[end:]
    if rest:
        yield rest
