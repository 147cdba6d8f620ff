"""Reads the entries of a preset's YAML: one column for one band, one cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from data_prep.errors import BalrogError
from data_prep.expressions import names_in
from data_prep.preset_values import check_keys, choice, flag, number, strings
from data_prep.schema import NJY_ZERO_POINT, PHOTOMETRIC_UNITS, Column
from data_prep.sources import OPERATORS, Cut, Extinction, Input, Neighbor, Softening, Source

__all__ = ["read_column", "read_cut", "read_detected"]

# Exactly one of these says where a column comes from.
_ORIGINS = ("source", "inputs", "map", "maps", "neighbor")
_COLUMN_REQUIRED = {"name", "group", "unit"}
_COLUMN_ALLOWED = {
    *_COLUMN_REQUIRED, *_ORIGINS, "source_unit", "expression", "zero_is_missing", "reference",
    "minimum", "maximum", "transform", "extinction", "softening",
}  # fmt: skip
_CUT_REQUIRED = {"table", "rows"}
_CUT_ALLOWED = {*_CUT_REQUIRED, "column", "inputs", "expression", "operator", "value", "optional"}


@dataclass(frozen=True)
class _Entry:
    """A mapping of the YAML, read for one band (``""`` for a column of no band)."""

    content: Mapping[str, Any]
    band: str
    where: str

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def text(self, key: str, default: str = "") -> str:
        return self._filled(str(self.content.get(key, default)))

    def names(self, key: str) -> tuple[str, ...]:
        return self._names(self.content.get(key, []), key)

    def aliases(self, key: str) -> dict[str, tuple[str, ...]]:
        """Alias -> names; the aliases are those of the entry's expression."""
        where = f"{self.where}: {key}"
        content = self.content[key]
        if not isinstance(content, dict) or not content:
            raise BalrogError(f"{where} must map an alias to names, found {content!r}")
        for alias in content:
            # Expressions know "extinction" as the A_b of the column.
            if not str(alias).isidentifier() or alias == "extinction":
                raise BalrogError(f"{where}: an alias must be a name such as flux, found {alias!r}")
        return {alias: self._names(names, key) for alias, names in content.items()}

    def expression(self, aliases: Collection[str]) -> str:
        """Return the entry's expression, checked against its aliases."""
        if "expression" not in self and len(aliases) == 1:
            return ""
        expression, where = self.text("expression"), f"{self.where}: expression"
        names = names_in(expression, where)
        if set(names) != set(aliases):
            raise BalrogError(
                f"{where} must use each of {', '.join(aliases)} and nothing else, found "
                f"{expression!r}, which uses {', '.join(names) or 'no name'}"
            )
        return expression

    def number(self, key: str, default: float | None = None) -> float | None:
        """Return a number, or the band's from a mapping of band to number."""
        if key not in self:
            return default
        value = self.content[key]
        if isinstance(value, dict):
            if self.band not in value:
                raise BalrogError(
                    f"{self.where}: {key} must be a number or give one for band "
                    f"{self.band or '(none: the name has no {band})'}, found {value}"
                )
            value = value[self.band]
        return number(value, f"{self.where}: {key}")

    def entry(self, key: str, required: set[str], allowed: set[str]) -> _Entry:
        where = f"{self.where}: {key}"
        check_keys(self.content[key], required, required | allowed, where)
        return _Entry(self.content[key], self.band, where)

    def _names(self, value: Any, key: str) -> tuple[str, ...]:
        return tuple(self._filled(name) for name in strings(value, f"{self.where}: {key}"))

    def _filled(self, text: str) -> str:
        return text.replace("{band}", self.band).replace("{BAND}", self.band.upper())


def read_column(
    content: Any, bands: tuple[str, ...], zero_point: float, where: str
) -> list[tuple[Column, Source]]:
    """Read an entry of ``columns``: one column, or one for each band.

    Parameters
    ----------
    content : mapping
        From the YAML.
    bands : tuple of str
        Of the preset.
    zero_point : float
        Of the preset.
    where : str
        File and entry, for messages.

    Returns
    -------
    list of (Column, Source)

    Raises
    ------
    BalrogError
        If the entry is malformed.
    """
    check_keys(content, _COLUMN_REQUIRED, _COLUMN_ALLOWED, where)
    where = f"{where} ({content['name']})"
    origins = [key for key in _ORIGINS if key in content]
    if len(origins) != 1:
        raise BalrogError(
            f"{where} needs exactly one of {', '.join(_ORIGINS)}; found "
            f"{', '.join(origins) or 'none'} (a column has either source or map)"
        )
    used = bands if "{band}" in str(content["name"]) else ("",)
    return [_one_column(_Entry(content, band, where), zero_point) for band in used]


def _one_column(entry: _Entry, zero_point: float) -> tuple[Column, Source]:
    unit, softening = entry.text("unit"), _softening(entry)
    column = Column(
        entry.text("name"),
        unit,
        entry.text("group"),
        entry.text("reference"),
        entry.number("minimum"),
        entry.number("maximum"),
        entry.text("transform", "identity"),
        # AB magnitudes are the same at every zero point.
        {"flux": zero_point, "asinh mag": zero_point, "nJy": NJY_ZERO_POINT}.get(unit),
        softening.value if softening and unit == "asinh mag" else None,
    )
    inputs, maps = _inputs(entry), _maps(entry)
    plain = "source" in entry or "map" in entry or "neighbor" in entry
    if plain and "expression" in entry:
        raise BalrogError(f"{entry.where}: an expression goes with inputs or maps, found neither")
    source = Source(
        inputs,
        maps,
        "" if plain else entry.expression(inputs or maps),
        flag(entry.content.get("zero_is_missing", False), f"{entry.where}: zero_is_missing"),
        _extinction(entry),
        _neighbor(entry),
        softening,
    )
    return column, source


def _inputs(entry: _Entry) -> dict[str, Input]:
    unit = entry.text("source_unit", entry.text("unit"))
    if "source" in entry:
        return {"value": Input(entry.names("source"), unit)}
    if "inputs" not in entry:
        return {}
    return {alias: Input(names, unit) for alias, names in entry.aliases("inputs").items()}


def _maps(entry: _Entry) -> dict[str, tuple[str, ...]]:
    if "map" in entry:
        return {"value": entry.names("map")}
    return entry.aliases("maps") if "maps" in entry else {}


def _extinction(entry: _Entry) -> Extinction | None:
    if "extinction" not in entry:
        return None
    if entry.text("unit") != "mag":
        raise BalrogError(
            f"{entry.where}: extinction is added to a column in mag, found {entry.text('unit')}"
        )
    content = entry.entry("extinction", set(), {"coefficient", "column", "map"})
    columns, maps = content.names("column"), content.names("map")
    coefficient = content.number("coefficient")
    if not (columns or maps) or (maps and coefficient is None):
        raise BalrogError(
            f"{content.where} must have a column (A_b in mag), or a map (E(B-V)) and its "
            f"coefficient R_b, or both; found {content.content}"
        )
    return Extinction(coefficient or 0.0, columns, maps)


def _neighbor(entry: _Entry) -> Neighbor | None:
    if "neighbor" not in entry:
        return None
    content = entry.entry("neighbor", {"statistic", "radius_arcsec"}, {"source", "source_unit"})
    statistic = choice(content.content, "statistic", ("density", "flux_ratio"), content.where)
    unit = content.text("source_unit", "mag")
    if statistic == "flux_ratio" and not (content.names("source") and unit in PHOTOMETRIC_UNITS):
        raise BalrogError(
            f"{content.where}: flux_ratio needs source, a brightness column, and its source_unit "
            f"({', '.join(PHOTOMETRIC_UNITS)}); found {content.content}"
        )
    radius = content.number("radius_arcsec") or 0.0
    if not 0 < radius <= 600:
        raise BalrogError(f"{content.where}: radius_arcsec must lie in (0, 600], found {radius:g}")
    return Neighbor(statistic, radius, content.names("source"), unit)


def _softening(entry: _Entry) -> Softening | None:
    unit, given = entry.text("unit"), entry.content.get("softening")
    source_unit = entry.text("source_unit", unit)
    if ("asinh mag" in (unit, source_unit)) != (given is not None):
        raise BalrogError(
            f"{entry.where}: asinh mag needs a softening, and nothing else has one; found the "
            f"units {unit} and {source_unit} and softening {given}"
        )
    if given is None:
        return None
    if not (isinstance(given, dict) and "error" in given):
        return Softening(entry.number("softening"), {}, "")
    if source_unit == "asinh mag":
        raise BalrogError(
            f"{entry.where}: the softening of asinh magnitudes in a catalogue is that which they "
            f"were made with, a number; found {given}"
        )
    content = entry.entry("softening", {"error"}, {"expression"})
    inputs = {"error": Input(content.names("error"), source_unit)}
    return Softening(None, inputs, content.expression(inputs))


def read_detected(content: Any, where: str) -> Source | None:
    """Read ``detected``: a column, alternatives, or inputs and an expression; None if absent."""
    if content is None:
        return None
    if not isinstance(content, dict):
        return Source({"value": Input(strings(content, where), "")}, {})
    check_keys(content, {"inputs"}, {"inputs", "expression"}, where)
    entry = _Entry(content, "", where)
    inputs = {alias: Input(names, "") for alias, names in entry.aliases("inputs").items()}
    return Source(inputs, {}, entry.expression(inputs))


def read_cut(content: Any, where: str) -> Cut:
    """Read an entry of ``cuts``.

    Parameters
    ----------
    content : mapping
        From the YAML.
    where : str
        File and entry, for messages.

    Returns
    -------
    Cut

    Raises
    ------
    BalrogError
        If the entry is malformed.
    """
    by_expression = isinstance(content, dict) and "column" not in content and "inputs" in content
    # A true expression is a whole cut; a column or a number needs something to compare with.
    required = {"inputs", "expression"} if by_expression else {"column", "operator", "value"}
    check_keys(content, _CUT_REQUIRED | required, _CUT_ALLOWED, where)
    entry = _Entry({"operator": "!=", "value": 0} | content, "", where)
    if not by_expression and ("inputs" in entry or "expression" in entry):
        raise BalrogError(f"{where} needs either column, or inputs and expression; found both")
    inputs = entry.aliases("inputs") if by_expression else {}
    return Cut(
        entry.names("column"),
        choice(entry.content, "operator", tuple(OPERATORS), where),
        number(entry.content["value"], f"{where}: value"),
        choice(entry.content, "table", ("detection", "matched"), where),
        choice(entry.content, "rows", ("all", "detected"), where),
        flag(entry.content.get("optional", False), f"{where}: optional"),
        inputs,
        entry.expression(inputs) if by_expression else "",
    )
