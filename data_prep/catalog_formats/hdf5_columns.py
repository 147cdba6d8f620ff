"""The columns of an HDF5 file: data sets in groups, compound tables, and what pandas writes."""

from __future__ import annotations

import io
import logging
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Hdf5Column", "choose_rows", "common_group", "find_columns"]

logger = logging.getLogger(__name__)

# Column descriptions of astropy, and indices of PyTables: no columns themselves.
_ASTROPY_META = "__table_column_meta__"
_PYTABLES_INDEX = "_i_"
# The objects of metacal's group `unsheared` measured again in artificially sheared images; each
# of these groups may have as many columns as the one that counts.
_SHEARED = "sheared_"


@dataclass(frozen=True)
class Hdf5Column:
    """Where a column is.

    Attributes
    ----------
    path : str
        Its full name, ``group/name``.
    dataset : str
        The data set that holds it.
    field : str
        Field of a compound data set, else ``""``.
    index : int or None
        Place in a data set that holds several columns side by side.
    rows : int
        Number of rows.
    width : int
        Elements per row; 0 if it holds no numbers.
    kind : str
        Of numpy's types, as ``f``.
    unit : str
        As the file says, else ``""``.
    chunk_rows, chunk_bytes : int
        Rows and bytes that are compressed together; 1 and 0 if none are.
    """

    path: str
    dataset: str
    field: str
    index: int | None
    rows: int
    width: int
    kind: str
    unit: str
    chunk_rows: int
    chunk_bytes: int


def find_columns(file: Any) -> list[Hdf5Column]:
    """Find every column of an open file; links are followed, each group is visited once.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    list of Hdf5Column
    """
    return list(_walk(file, "", set()))


def _walk(group: Any, prefix: str, visited: set[Any]) -> Iterator[Hdf5Column]:
    import h5py

    if group.id in visited:
        return
    visited.add(group.id)
    kind = _text(group.attrs.get("pandas_type"))
    if kind == "frame":
        yield from _fixed_frame(group, prefix)
        return
    if kind == "frame_table":
        yield from _dataset(group["table"], prefix, f"{prefix}table")
        return
    for name in group:
        node, path = group.get(name), f"{prefix}{name}"
        if node is None:
            logger.warning("%s: the link %s leads nowhere", group.file.filename, path)
        elif isinstance(node, h5py.Group) and not name.startswith(_PYTABLES_INDEX):
            yield from _walk(node, f"{path}/", visited)
        elif isinstance(node, h5py.Dataset) and node.shape and not name.endswith(_ASTROPY_META):
            units = _astropy_units(group.get(f"{name}.{_ASTROPY_META}"))
            for column in _dataset(node, f"{path}/", path):
                yield replace(column, unit=units.get(column.field, column.unit))


def _dataset(dataset: Any, prefix: str, path: str) -> Iterator[Hdf5Column]:
    """A data set is a column, or each of its fields is one or several."""
    if dataset.dtype.names is None:
        yield _column(dataset, path, path, "", None, dataset.dtype, dataset.shape[1:])
        return
    for field in dataset.dtype.names:
        kind = dataset.dtype[field]
        names = _pandas_names(dataset, field)
        if names is None:
            yield _column(dataset, f"{prefix}{field}", path, field, None, kind.base, kind.shape)
            continue
        for index, name in enumerate(names):
            place = index if kind.shape else None
            yield _column(dataset, f"{prefix}{name}", path, field, place, kind.base, ())


def _fixed_frame(group: Any, prefix: str) -> Iterator[Hdf5Column]:
    """Columns of one type stand side by side in a block."""
    blocks = [f"block{number}_" for number in range(int(group.attrs.get("nblocks", 0)))]
    values = [group[f"{block}values"] for block in blocks]
    # An array without elements is written with a placeholder, and its own shape beside it.
    rows = max((0 if "shape" in array.attrs else array.shape[0] for array in values), default=0)
    for block in blocks:
        dataset = group[f"{block}values"]
        place = f"{prefix}{block}values"
        for index, name in enumerate(group[f"{block}items"]):
            path = f"{prefix}{_text(name)}"
            column = _column(dataset, path, place, "", index, dataset.dtype, ())
            # A block of text is one pickle, whatever the number of rows.
            yield replace(column, rows=rows)


def _column(
    dataset: Any, path: str, place: str, field: str, index: int | None, dtype: Any, shape: Any
) -> Hdf5Column:
    numbers = dtype.kind in "iufb" and len(shape) < 2
    chunks = dataset.chunks or (1,)
    stored = dataset.dtype.itemsize if dataset.chunks else 0
    for length in chunks:
        stored *= length
    unit = dataset.attrs.get("unit", dataset.attrs.get("units")) if not field else None
    return Hdf5Column(
        path=path,
        dataset=place,
        field=field,
        index=index,
        rows=dataset.shape[0],
        width=(shape[0] if shape else 1) if numbers else 0,
        kind=dtype.kind,
        unit=_text(unit),
        chunk_rows=chunks[0],
        chunk_bytes=stored,
    )


def _astropy_units(description: Any) -> dict[str, str]:
    """Field -> unit, from the lines of YAML that astropy writes beside a table."""
    if description is None:
        return {}
    from astropy.table.meta import YamlParseError, get_header_from_yaml

    try:
        header = get_header_from_yaml([_text(line) for line in description])
    except YamlParseError as error:
        raise ValueError(f"{description.name} is no YAML") from error
    return {
        column["name"]: str(column["unit"]) for column in header["datatype"] if "unit" in column
    }


def _pandas_names(dataset: Any, field: str) -> list[str] | None:
    """Names of the columns in a field of a table that pandas wrote, or None."""
    content = dataset.attrs.get(f"{field}_kind")
    if not isinstance(content, bytes) or content.isalnum():
        return None
    names = _PlainUnpickler(io.BytesIO(content)).load()
    return [str(name) for name in names]


class _PlainUnpickler(pickle.Unpickler):
    """PyTables pickles lists of names: those are read, code is not run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not a list of names")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else ""


def choose_rows(columns: Sequence[Hdf5Column]) -> int:
    """Number of rows of the catalogue: that of most columns, metacal's sheared copies aside."""
    votes: Counter[int] = Counter()
    for column in columns:
        sheared = any(part.startswith(_SHEARED) for part in column.path.split("/"))
        votes[column.rows] += 0 if sheared else 1
    return max(votes, key=lambda rows: (votes[rows], rows))


def common_group(paths: Sequence[str]) -> str:
    """The deepest group that all columns are in, as ``group/``, or ``""``."""
    groups = [path.split("/")[:-1] for path in paths]
    shared: list[str] = []
    for parts in zip(*groups, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}/" for part in shared)
