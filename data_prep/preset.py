"""A survey's preset: its schema, and how to find the columns in its files (YAML)."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.schema import Column, Schema

__all__ = ["Cut", "Preset", "Source", "load_preset"]

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SHIPPED = Path(__file__).parent / "presets"
_REQUIRED = {"name", "bands", "id", "parent", "position", "columns"}
_ALLOWED = _REQUIRED | {"vector_bands", "zero_point", "detected", "sentinels", "cuts"}
_COLUMN_REQUIRED = {"name", "group", "unit"}
_COLUMN_ALLOWED = _COLUMN_REQUIRED | {
    "source", "source_unit", "map", "reference", "minimum", "maximum",
}  # fmt: skip
_CUT_REQUIRED = {"column", "operator", "value", "table", "rows"}


@dataclass(frozen=True)
class Source:
    """Where a schema column comes from.

    Attributes
    ----------
    columns : tuple of str
        Catalogue columns, the first that is present counts; ``name[r]`` or ``name[0]`` picks
        one element of a vector column. Empty for a column looked up in a map.
    unit : str
        Unit in the catalogue; ``"flux"`` is turned into a ``"mag"`` column at the zero point.
    maps : tuple of str
        File name patterns of its survey property map.
    """

    columns: tuple[str, ...]
    unit: str
    maps: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """A selection: rows where ``column operator value`` stay.

    Attributes
    ----------
    columns : tuple of str
        Alternatives, the first that is present counts.
    operator, value : str, float
        For example ``"<"``, 2.
    table : {"detection", "matched"}
        Where the column is.
    rows : {"all", "detected"}
        ``"all"``: depends on the position alone, so it also holds for undetected injections.
    optional : bool
        Whether a missing column is only reported.
    """

    columns: tuple[str, ...]
    operator: str
    value: float
    table: str
    rows: str
    optional: bool = False

    def keeps(self, values: np.ndarray) -> np.ndarray:
        """Bool array, shape (N,): which of these values stay (NaN never does)."""
        values = np.asarray(values)
        return OPERATORS[self.operator](values, self.value) & ~np.isnan(values)

    def __str__(self) -> str:
        return f"{self.columns[0]} {self.operator} {self.value:g}"


@dataclass(frozen=True)
class Preset:
    """A schema plus how to read a survey's files; see ``presets/des-y3-sof.yaml``.

    Attributes
    ----------
    schema : Schema
        The columns to make.
    sources : dict of str to Source
        For each schema column.
    vector_bands : tuple of str
        Order of the bands in vector columns.
    zero_point : float
        AB magnitude of unit flux.
    id, parent, position, detected : str, str, (str, str), str
        Catalogue columns; `detected` may be ``""``.
    sentinels : dict of str to tuple of float
        Unit of a catalogue column -> values that mean "none".
    cuts : tuple of Cut
        Selections, in the order they are applied.
    """

    schema: Schema
    sources: Mapping[str, Source]
    vector_bands: tuple[str, ...]
    zero_point: float
    id: str
    parent: str
    position: tuple[str, str]
    detected: str
    sentinels: Mapping[str, tuple[float, ...]]
    cuts: tuple[Cut, ...]

    @property
    def map_patterns(self) -> dict[str, tuple[str, ...]]:
        """File name patterns of each survey property that is looked up in a map."""
        return {name: source.maps for name, source in self.sources.items() if source.maps}


def load_preset(name_or_path: str | os.PathLike[str]) -> Preset:
    """Load a shipped preset by name, or one of your own by the path of its YAML file.

    Parameters
    ----------
    name_or_path : str or path
        For example ``"des-y3-sof"`` or ``"my/survey.yaml"``.

    Returns
    -------
    Preset

    Raises
    ------
    BalrogError
        If there is none, or the YAML is malformed, misses a key or has an unknown one.

    Examples
    --------
    >>> load_preset("des-y3-sof").schema.bands
    ('r', 'i', 'z')
    """
    import yaml

    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = _SHIPPED / f"{name_or_path}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in _SHIPPED.glob("*.yaml")))
        raise BalrogError(
            f"--preset must be a shipped preset ({shipped}) or the path of a .yaml file; "
            f"{name_or_path} is neither"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BalrogError(f"{path} must be YAML: {' '.join(str(error).split())}") from error
    _check_keys(content, _REQUIRED, _ALLOWED, str(path))
    return _preset(content, path)


def _preset(content: Mapping[str, Any], path: Path) -> Preset:
    bands = _strings(content["bands"], f"{path}: bands")
    columns: list[Column] = []
    sources: dict[str, Source] = {}
    for number, entry in enumerate(_list(content["columns"], f"{path}: columns")):
        where = f"{path}: columns[{number}]"
        _check_keys(entry, _COLUMN_REQUIRED, _COLUMN_ALLOWED, where)
        if ("source" in entry) == ("map" in entry):
            raise BalrogError(f"{where} ({entry['name']}) needs either source or map")
        for band in bands if "{band}" in entry["name"] else ("",):
            column, source = _column(entry, band, where)
            columns.append(column)
            sources[column.name] = source
    position = _strings(content["position"], f"{path}: position")
    if len(position) != 2:
        raise BalrogError(f"{path}: position must name two columns (ra, dec), found {position}")
    sentinels = content.get("sentinels", {})
    return Preset(
        schema=Schema(str(content["name"]), bands, tuple(columns)),
        sources=sources,
        vector_bands=_strings(content.get("vector_bands", bands), f"{path}: vector_bands"),
        zero_point=_number(content.get("zero_point", 30.0), f"{path}: zero_point"),
        id=str(content["id"]),
        parent=str(content["parent"]),
        position=(position[0], position[1]),
        detected=str(content.get("detected", "")),
        sentinels={
            unit: tuple(_number(value, f"{path}: sentinels") for value in values)
            for unit, values in sentinels.items()
        },
        cuts=tuple(
            _cut(entry, f"{path}: cuts[{number}]")
            for number, entry in enumerate(content.get("cuts", ()))
        ),
    )


def _column(entry: Mapping[str, Any], band: str, where: str) -> tuple[Column, Source]:
    def filled(text: Any) -> str:
        return str(text).replace("{band}", band).replace("{BAND}", band.upper())

    def bound(key: str) -> float | None:
        return _number(entry[key], f"{where}: {key}") if key in entry else None

    column = Column(
        filled(entry["name"]),
        str(entry["unit"]),
        str(entry["group"]),
        filled(entry.get("reference", "")),
        bound("minimum"),
        bound("maximum"),
    )
    source = Source(
        tuple(filled(text) for text in _strings(entry.get("source", []), f"{where}: source")),
        str(entry.get("source_unit", entry["unit"])),
        tuple(filled(text) for text in _strings(entry.get("map", []), f"{where}: map")),
    )
    return column, source


def _cut(entry: Any, where: str) -> Cut:
    _check_keys(entry, _CUT_REQUIRED, _CUT_REQUIRED | {"optional"}, where)
    for key, allowed in (
        ("operator", tuple(OPERATORS)),
        ("table", ("detection", "matched")),
        ("rows", ("all", "detected")),
    ):
        if entry[key] not in allowed:
            raise BalrogError(
                f"{where}: {key} must be one of {', '.join(allowed)}, found {entry[key]!r}"
            )
    return Cut(
        _strings(entry["column"], f"{where}: column"),
        entry["operator"],
        _number(entry["value"], f"{where}: value"),
        entry["table"],
        entry["rows"],
        bool(entry.get("optional", False)),
    )


def _check_keys(entry: Any, required: set[str], allowed: set[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise BalrogError(f"{where} must be a mapping of keys to values, found {entry!r}")
    missing, unknown = required - set(entry), set(map(str, entry)) - allowed
    if missing or unknown:
        raise BalrogError(
            f"{where} must have the keys {', '.join(sorted(required))}; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; "
            f"unknown: {', '.join(sorted(unknown)) or 'none'} "
            f"(known: {', '.join(sorted(allowed))})"
        )


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise BalrogError(f"{where} must be a list, found {value!r}")
    return value


def _strings(value: Any, where: str) -> tuple[str, ...]:
    items = list(value) if isinstance(value, tuple) else [value]
    if not isinstance(value, str | tuple):
        items = _list(value, where)
    for item in items:
        if not isinstance(item, str):
            # YAML 1.1 reads the band y as true.
            raise BalrogError(f'{where} must hold text, found {item!r}; quote it, as in "y"')
    return tuple(items)


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BalrogError(f"{where} must be a number, found {value!r}") from None
