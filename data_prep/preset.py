"""A survey's preset: its schema, and how to find the columns in its files (YAML)."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError, did_you_mean
from data_prep.preset_file import read_yaml
from data_prep.preset_values import check_keys, choice, list_of, number, strings
from data_prep.preset_yaml import read_column, read_cut, read_detected
from data_prep.schema import Column, Schema
from data_prep.sources import Cut, Extinction, Input, Neighbor, Softening, Source

__all__ = [
    "EBV",
    "Cut",
    "Extinction",
    "Input",
    "Neighbor",
    "Preset",
    "Softening",
    "Source",
    "load_preset",
    "shipped_presets",
]

logger = logging.getLogger(__name__)

# The map that extinctions use, among the survey properties.
EBV = "ebv"

_SHIPPED = Path(__file__).parent / "presets"
_REQUIRED = {"name", "bands", "position", "columns"}
_ALLOWED = _REQUIRED | {
    "vector_bands", "zero_point", "join", "id", "parent", "detected", "deep", "weight",
    "position_check", "sentinels", "cuts", "more_cuts", "extends",
}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A schema plus how to read a survey's files; see ``docs/presets.md``.

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
    join : {"key", "row_order", "none"}
        How the matched and the detection catalogue belong together: by id; the matched one is
        the detected rows of the other in the same order; one catalogue is both.
    id, parent, weight : tuple of str
        Alternatives of a catalogue column, the first that is present counts. () as id: the row
        number; as parent: not known; as weight: 1.
    position : (tuple of str, tuple of str)
        Alternatives for ra and for dec, in degrees.
    detected : Source or None
        1 (or true): detected, 0: not.
    deep_id : tuple of str
        Id column of a table of the parents (the deep field), () if there is none.
    position_check : (str, str, float) or None
        Columns ra and dec of the matched catalogue, and by how many arcsec they may differ from
        the position, to check a join by row order.
    sentinels : dict of str to tuple of float
        Unit of a catalogue column -> values that mean "none".
    cuts : tuple of Cut
        Selections, in the order they are applied.
    """

    schema: Schema
    sources: Mapping[str, Source]
    vector_bands: tuple[str, ...]
    zero_point: float
    join: str
    id: tuple[str, ...]
    parent: tuple[str, ...]
    position: tuple[tuple[str, ...], tuple[str, ...]]
    detected: Source | None
    deep_id: tuple[str, ...]
    weight: tuple[str, ...]
    position_check: tuple[str, str, float] | None
    sentinels: Mapping[str, tuple[float, ...]]
    cuts: tuple[Cut, ...]

    @property
    def map_sources(self) -> dict[str, dict[str, Any]]:
        """Survey column -> where it is in maps, JSON-able; ``"ebv"`` also if extinction needs it.

        Each value has ``maps`` (alias -> list of file name patterns), ``expression`` and
        ``zero_is_missing``.
        """
        found = {
            name: _map_source(source.maps, source.expression, source.zero_is_missing)
            for name, source in self.sources.items()
            if source.maps
        }
        for source in self.sources.values():
            if source.extinction and source.extinction.maps:
                found.setdefault(EBV, _map_source({"value": source.extinction.maps}, "", False))
        return found

    @property
    def map_patterns(self) -> dict[str, tuple[str, ...]]:
        """File name patterns of each survey property that is looked up in a map."""
        return {
            name: tuple(source["maps"]["value"])
            for name, source in self.map_sources.items()
            if "value" in source["maps"]
        }


def _map_source(
    maps: Mapping[str, tuple[str, ...]], expression: str, zero_is_missing: bool
) -> dict[str, Any]:
    return {
        "maps": {alias: list(patterns) for alias, patterns in maps.items()},
        "expression": expression,
        "zero_is_missing": zero_is_missing,
    }


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
        If there is no such preset, or the file is malformed.

    Examples
    --------
    >>> load_preset("des-y3-sof").schema.bands
    ('r', 'i', 'z')
    """
    path = _preset_path(name_or_path, Path())
    logger.debug("preset %s: %s", name_or_path, path)
    return _preset(_extended(path, ()), str(path))


def shipped_presets() -> tuple[str, ...]:
    """Names of the presets that come with this package, in alphabetical order.

    Examples
    --------
    >>> "des-y3-sof" in shipped_presets()
    True
    """
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.yaml")))


def _extended(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """Content of a preset; what it lacks is that of the preset that it extends."""
    if path in extending:
        raise BalrogError(f"{path}: a preset must not extend itself")
    content = read_yaml(path)
    if "extends" not in content:
        return content
    base = _preset_path(str(content.pop("extends")), path.parent)
    return _extended(base, (*extending, path)) | content


def _preset_path(name_or_path: str | os.PathLike[str], beside: Path) -> Path:
    path = beside / name_or_path
    if path.suffix not in (".yaml", ".yml"):
        path = _SHIPPED / f"{name_or_path}.yaml"
    if not path.is_file():
        shipped = shipped_presets()
        raise BalrogError(
            f"--preset must be a shipped preset ({', '.join(shipped)}) or the path of a .yaml "
            f"file; {name_or_path} is neither{did_you_mean(str(name_or_path), shipped)}"
        )
    return path


def _preset(content: dict[str, Any], where: str) -> Preset:
    check_keys(content, _REQUIRED, _ALLOWED, where)
    bands = strings(content["bands"], f"{where}: bands")
    zero_point = number(content.get("zero_point", 30.0), f"{where}: zero_point")
    columns: list[Column] = []
    sources: dict[str, Source] = {}
    for place, entry in enumerate(list_of(content["columns"], f"{where}: columns")):
        for column, source in read_column(entry, bands, zero_point, f"{where}: columns[{place}]"):
            columns.append(column)
            sources[column.name] = source
    _check_extinction_maps(sources, where)

    def names(key: str) -> tuple[str, ...]:
        return strings(content.get(key, []), f"{where}: {key}")

    return Preset(
        schema=Schema(str(content["name"]), bands, tuple(columns)),
        sources=sources,
        vector_bands=strings(content.get("vector_bands", list(bands)), f"{where}: vector_bands"),
        zero_point=zero_point,
        join=choice({"join": "key"} | content, "join", ("key", "row_order", "none"), where),
        id=names("id"),
        parent=names("parent"),
        position=_position(content["position"], f"{where}: position"),
        detected=read_detected(content.get("detected"), f"{where}: detected"),
        deep_id=_deep_id(content.get("deep"), f"{where}: deep"),
        weight=names("weight"),
        position_check=_position_check(content.get("position_check"), f"{where}: position_check"),
        sentinels=_sentinels(content.get("sentinels", {}), f"{where}: sentinels"),
        # A preset that extends another replaces its `cuts`, and adds to them by `more_cuts`.
        cuts=tuple(
            read_cut(entry, f"{where}: {key}[{place}]")
            for key in ("cuts", "more_cuts")
            for place, entry in enumerate(list_of(content.get(key, []), f"{where}: {key}"))
        ),
    )


def _check_extinction_maps(sources: Mapping[str, Source], where: str) -> None:
    used = {source.extinction.maps for source in sources.values() if source.extinction} - {()}
    if EBV in sources and used:
        used.add(sources[EBV].maps.get("value", ()))
    if len(used) > 1:
        raise BalrogError(
            f"{where}: there is one E(B-V) map for every extinction and the column {EBV}, found "
            f"the patterns {' and '.join(map(str, sorted(used)))}"
        )


def _position(value: Any, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    entries = [strings(entry, where) for entry in list_of(value, where)]
    if len(entries) != 2 or not all(entries):
        raise BalrogError(f"{where} must name two columns (ra, dec), found {value}")
    return entries[0], entries[1]


def _deep_id(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    check_keys(value, {"id"}, {"id"}, where)
    return strings(value["id"], f"{where}: id")


def _position_check(value: Any, where: str) -> tuple[str, str, float] | None:
    if value is None:
        return None
    check_keys(value, {"columns", "arcsec"}, {"columns", "arcsec"}, where)
    columns = strings(value["columns"], f"{where}: columns")
    if len(columns) != 2:
        raise BalrogError(f"{where}: columns must name two (ra, dec), found {columns}")
    return columns[0], columns[1], number(value["arcsec"], f"{where}: arcsec")


def _sentinels(value: Any, where: str) -> dict[str, tuple[float, ...]]:
    if not isinstance(value, dict):
        raise BalrogError(f"{where} must map a unit to a list of numbers, found {value!r}")
    return {
        unit: tuple(number(item, f"{where}: {unit}") for item in list_of(values, where))
        for unit, values in value.items()
    }
