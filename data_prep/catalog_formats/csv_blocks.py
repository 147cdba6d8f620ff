"""Blocks of whole lines of comma-separated text: types of their columns, errors with the line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_prep.errors import BalrogError

__all__ = ["first_text", "joint_type", "parse_block", "parse_header", "types_of", "values_of"]

# Types of a column of a block: those of numpy, "" if all is empty, "text".
_NUMBERS = {"int64": "int64", "double": "float64", "bool": "bool", "null": ""}


def parse_header(line: bytes, where: str) -> list[str]:
    """Column names of the first line that is no comment.

    Raises
    ------
    BalrogError
        If there are none, one repeats, or they are numbers.
    """
    names = next(csv.reader([line.decode("utf-8-sig")]), [])
    names = [name.strip() for name in names]
    if not any(names) or all(_is_number(name) for name in names):
        raise BalrogError(
            f"{where} must begin with a line of column names; found {', '.join(names) or 'none'}; "
            "add one, without # before it"
        )
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise BalrogError(f"{where} must have columns of different names; {min(repeated)} repeats")
    return names


def parse_block(
    content: bytes,
    names: Sequence[str],
    where: str,
    first_line: int,
    types: Mapping[str, str] | None = None,
) -> Any:
    """Parse whole lines.

    Parameters
    ----------
    content : bytes
        The lines; comments (``#``) and empty ones do not count.
    names : sequence of str
        Of all columns.
    where : str
        The file, for messages.
    first_line : int
        Line number of the first, for messages.
    types : mapping of str to str, optional
        The columns wanted and their types; by default all, typed by what is in the block.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    BalrogError
        If a line has another number of fields.
    """
    import pyarrow
    from pyarrow import csv as arrow_csv

    if content.startswith(b"#") or b"\n#" in content:
        kept = re.sub(rb"(?m)^#[^\n]*\n?", b"", content)
    else:
        kept = content
    read = arrow_csv.ReadOptions(column_names=list(names), block_size=max(len(kept), 1))
    convert = arrow_csv.ConvertOptions(
        column_types={name: kind or "float64" for name, kind in (types or {}).items()},
        include_columns=list(types or ()),
    )
    try:
        return arrow_csv.read_csv(io.BytesIO(kept), read_options=read, convert_options=convert)
    except pyarrow.ArrowInvalid as error:
        for number, fields in _lines(content):
            if len(fields) != len(names):
                raise BalrogError(
                    f"{where}: line {first_line + number} must have {len(names)} fields, as the "
                    f"first line; it has {len(fields)}"
                ) from error
        raise


def joint_type(one: str, other: str) -> str:
    """Type that holds the values of both."""
    if one == other or not other:
        return one
    if not one:
        return other
    return "float64" if {one, other} == {"int64", "float64"} else "text"


def types_of(table: Any) -> dict[str, str]:
    """Type of each column of a block."""
    return {field.name: _NUMBERS.get(str(field.type), "text") for field in table.schema}


def first_text(content: bytes, place: int, first_line: int) -> str:
    """Say which line of a block holds the first value of a column that is no number."""
    for number, fields in _lines(content):
        text = fields[place].strip()
        if text and not _is_number(text):
            return f"line {first_line + number} has {text!r}"
    return ""


def values_of(column: Any) -> np.ndarray:
    """Numbers of a column, NaN where empty."""
    import pyarrow

    if column.null_count and pyarrow.types.is_boolean(column.type):
        column = column.cast(pyarrow.float64())
    return np.asarray(column.to_numpy())


def _lines(content: bytes) -> Any:
    """(number, fields) of each line that is neither empty nor a comment."""
    for number, line in enumerate(content.decode("utf-8", errors="replace").split("\n")):
        if line.strip() and not line.startswith("#"):
            yield number, next(csv.reader([line.rstrip("\r")]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
