"""Where a table of injections finds its columns: its catalogue, its partner, its parents."""

from __future__ import annotations

from dataclasses import replace

from data_prep.catalogs import Catalog, Element
from data_prep.errors import BalrogError
from data_prep.preparation.column_values import EXTINCTION
from data_prep.preparation.injections import TableSpec
from data_prep.preparation.row_order import RowOrderCatalog
from data_prep.preset import Preset
from data_prep.schema import Column

__all__ = ["deep_spec", "neighbor_spec", "require_weight", "table_spec", "with_brightness"]


def deep_spec(catalog: Catalog, preset: Preset) -> TableSpec:
    """How a deep-field table is read: the parents' id and what truth columns it has.

    Raises
    ------
    BalrogError
        If the preset knows no such table, or its id is missing.
    """
    if not preset.deep_id:
        raise BalrogError(
            f"preset {preset.schema.name} says nothing of a deep-field table (`deep: {{id: ...}}`"
            "); leave out --deep, or add it to a preset of your own"
        )
    elements = {"row_id": catalog.require(preset.deep_id, "the id of a deep-field galaxy")}
    columns = []
    for column in preset.schema.truth:
        found = _find_column(catalog, preset, column)
        if found:
            elements |= found
            columns.append(column.name)
    reddened = frozenset(name for name in columns if f"{name} {EXTINCTION}" in elements)
    return TableSpec("deep", catalog, elements, tuple(columns), reddened=reddened)


def table_spec(
    role: str,
    catalog: Catalog,
    preset: Preset,
    deep: TableSpec | None,
    partner: TableSpec | None,
) -> TableSpec:
    """Find what a table needs in its catalogue, else with its partner, else in the deep table.

    Parameters
    ----------
    role : str
        What the rows are; see :class:`TableSpec`.
    catalog : Catalog
        Where they are.
    preset : Preset
        Names of the columns.
    deep : TableSpec or None
        The deep-field table.
    partner : TableSpec or None
        The detection catalogue whose rows are joined by id.

    Returns
    -------
    TableSpec

    Raises
    ------
    BalrogError
        If a column is nowhere.
    """
    elements, borrowed = _parent_and_position(role, catalog, preset, partner)
    if preset.id:
        elements["row_id"] = catalog.require(preset.id, "the id of an injection")
    weight = catalog.find(preset.weight) if preset.weight else None
    if weight is not None:
        elements["weight"] = weight
    elif partner is not None and "weight" in partner.elements:
        borrowed.add("weight")
    columns, deep_columns = [], []
    for column in _catalog_columns(preset, role):
        found_column = _find_column(catalog, preset, column, role)
        if found_column:
            elements |= found_column
            columns.append(column.name)
        elif partner is not None and column.name in partner.values:
            borrowed.add(column.name)
        elif deep is not None and column.name in deep.columns:
            deep_columns.append(column.name)
        elif role != "oracle-detection":
            _require_column(catalog, preset, column)
    elements |= _detected_elements(catalog, preset, role)
    elements |= _cut_elements(catalog, preset)
    reddened = {name for name in columns if f"{name} {EXTINCTION}" in elements}
    if partner is not None:
        reddened |= partner.reddened & borrowed
    if deep is not None:
        reddened |= deep.reddened & set(deep_columns)
    return TableSpec(
        role,
        catalog,
        elements,
        tuple(columns),
        tuple(deep_columns),
        borrowed=frozenset(borrowed),
        reddened=frozenset(reddened),
    )


def require_weight(spec: TableSpec, preset: Preset) -> None:
    """Raise BalrogError if the preset names weights that neither a table nor its partner has."""
    if preset.weight and "weight" not in spec.elements and "weight" not in spec.borrowed:
        spec.catalog.require(preset.weight, "`weight`, which the preset names,")


def with_brightness(spec: TableSpec, preset: Preset) -> TableSpec:
    """The same table, with the brightnesses that neighbour columns need.

    Raises
    ------
    BalrogError
        If one is missing in the catalogue.
    """
    elements, names = dict(spec.elements), []
    for name, source in preset.sources.items():
        if source.neighbor is not None and source.neighbor.statistic == "flux_ratio":
            elements[f"brightness {name}"] = spec.catalog.require(
                source.neighbor.names, name, preset.vector_bands
            )
            names.append(name)
    return replace(spec, elements=elements, brightness=tuple(names))


def neighbor_spec(catalog: Catalog, preset: Preset) -> TableSpec:
    """How a catalogue of neighbours is read: positions and brightnesses."""
    elements = {
        field: catalog.require(names, "the position of a neighbour")
        for field, names in zip(("ra", "dec"), preset.position, strict=True)
    }
    return with_brightness(TableSpec("neighbor", catalog, elements, ()), preset)


def _parent_and_position(
    role: str, catalog: Catalog, preset: Preset, partner: TableSpec | None
) -> tuple[dict[str, Element], set[str]]:
    """Elements of the parent and the position, and the fields that come from the partner."""
    elements: dict[str, Element] = {}
    borrowed: set[str] = set()
    position = dict(zip(("ra", "dec"), preset.position, strict=True))
    for text, names in (("the parent", {"parent_id": preset.parent}), ("the position", position)):
        found = {field: catalog.find(alternatives) for field, alternatives in names.items()}
        if partner is not None and None in found.values() and set(names) <= set(partner.elements):
            borrowed |= set(names)
        elif None not in found.values() or role != "oracle-detection":
            elements |= {
                field: catalog.require(alternatives, text)
                for field, alternatives in names.items()
                if alternatives
            }
    return elements, borrowed | ({"region"} if "ra" in borrowed else set())


def _catalog_columns(preset: Preset, role: str) -> list[Column]:
    """Schema columns that come from catalogues, for a table of this role."""
    groups = ("truth", "survey") if "detection" in role else ("truth", "survey", "measured")
    return [
        column
        for column in preset.schema.columns
        if column.group in groups and preset.sources[column.name].inputs
    ]


def _find_column(
    catalog: Catalog, preset: Preset, column: Column, role: str = ""
) -> dict[str, Element]:
    """Elements of a column, none if one is missing."""
    source, elements = preset.sources[column.name], {}
    for alias, entry in source.inputs.items():
        found = catalog.find(entry.names, preset.vector_bands)
        if found is None:
            return {}
        elements[f"{column.name} {alias}"] = found
    if source.extinction and source.extinction.columns:
        found = catalog.find(source.extinction.columns, preset.vector_bands)
        if found is not None and not (role == "detection" and _of_detected(catalog, found)):
            elements[f"{column.name} {EXTINCTION}"] = found
    return elements


def _of_detected(catalog: Catalog, element: Element) -> bool:
    """Whether a column says nothing of undetected injections."""
    return isinstance(catalog, RowOrderCatalog) and element.column in catalog.matched.widths


def _require_column(catalog: Catalog, preset: Preset, column: Column) -> None:
    for entry in preset.sources[column.name].inputs.values():
        catalog.require(entry.names, f"{column.name} ({column.unit})", preset.vector_bands)


def _detected_elements(catalog: Catalog, preset: Preset, role: str) -> dict[str, Element]:
    wanted = role == "detection" or (preset.join != "key" and role in ("matched", "oracle"))
    if not wanted:
        return {}
    if preset.detected is None:
        raise BalrogError("a detection catalogue needs `detected` in the preset")
    return {
        f"detected {alias}": catalog.require(
            entry.names, "whether an injection was detected", preset.vector_bands
        )
        for alias, entry in preset.detected.inputs.items()
    }


def _cut_elements(catalog: Catalog, preset: Preset) -> dict[str, Element]:
    elements = {}
    for number, cut in enumerate(preset.cuts):
        inputs = cut.inputs or {"value": cut.columns}
        found = {a: catalog.find(names, preset.vector_bands) for a, names in inputs.items()}
        for alias, element in found.items():
            if element is not None and None not in found.values():
                elements[f"cut {number} {alias}"] = element
    return elements
