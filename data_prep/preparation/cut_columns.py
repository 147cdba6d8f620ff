"""Whether the catalogues have the columns of the cuts, where the preset says that they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from data_prep.errors import BalrogError, did_you_mean
from data_prep.preparation.injections import MOST_CUTS, TableSpec
from data_prep.preparation.row_order import RowOrderCatalog
from data_prep.preset import Preset
from data_prep.sources import Cut

__all__ = ["require_cuts", "without_cuts"]


def require_cuts(preset: Preset, tables: Mapping[str, TableSpec], role: str) -> list[int]:
    """Cuts that cannot be applied as the preset says: an error, or if they are optional a list.

    Parameters
    ----------
    preset : Preset
        Its cuts.
    tables : mapping of str to TableSpec
        By role.
    role : {"matched", "oracle"}
        Whose cuts.

    Returns
    -------
    list of int
        Places of optional cuts that are not to be applied.

    Raises
    ------
    BalrogError
        If the column of a cut that is not optional is missing in the catalogue that the cut names
        or, for a cut that undetected injections must pass too, in that of every injection, or
        there are too many cuts.
    """
    if len(preset.cuts) > MOST_CUTS:
        raise BalrogError(
            f"preset {preset.schema.name} may have {MOST_CUTS} cuts, found {len(preset.cuts)}; put "
            "several into one expression"
        )
    missing = []
    for number, cut in enumerate(preset.cuts):
        lacking = _lacking(tables, role, number, cut)
        if lacking is None:
            continue
        if not cut.optional:
            raise _missing_column(*lacking, role, cut)
        missing.append(number)
    return missing


def without_cuts(spec: TableSpec, numbers: list[int]) -> TableSpec:
    """The same table, with these cuts not applied."""
    fields = {field for number in numbers for field in spec.aliases(f"cut {number}").values()}
    elements = {field: each for field, each in spec.elements.items() if field not in fields}
    return replace(spec, elements=elements)


def _lacking(
    tables: Mapping[str, TableSpec], role: str, number: int, cut: Cut
) -> tuple[TableSpec, str] | None:
    """The first table that must have a cut and does not, and which catalogue that is."""
    own = tables[role]
    every = tables.get("detection" if role == "matched" else "oracle-detection", own)
    needed = [(every if cut.table == "detection" else own, cut.table)]
    if cut.rows == "all" and role == "matched":
        needed.append((every, "detection"))
    return next((each for each in needed if not _has(*each, number)), None)


def _has(spec: TableSpec, table: str, number: int) -> bool:
    """Whether a table has a cut, and not only of detected injections if it is of all."""
    fields, catalog = spec.aliases(f"cut {number}").values(), spec.catalog
    if table == "detection" and isinstance(catalog, RowOrderCatalog):
        columns = {spec.elements[field].column for field in fields}
        return bool(fields) and columns <= set(catalog.injected.widths)
    return bool(fields)


def _missing_column(spec: TableSpec, table: str, role: str, cut: Cut) -> BalrogError:
    wanted = list((cut.inputs or {"": cut.columns}).values())
    catalog = spec.catalog
    if table == "detection" and isinstance(catalog, RowOrderCatalog):
        catalog = catalog.injected
    known = list(catalog.widths)
    absent = [name for names in wanted for name in names if catalog.resolve(name) is None]
    hint = "".join(did_you_mean(name.split("[")[0], known) for name in absent)
    remedy = "correct its column or its `table`"
    if table == "detection" and spec.role in ("matched", "oracle") and catalog is spec.catalog:
        option = "--detection" if role == "matched" else "--replicate-detection"
        remedy = f"give {option}"
    elif cut.rows == "all" and table == "detection":
        remedy += ", say `rows: detected` if undetected injections need not pass it"
    return BalrogError(
        f"{catalog.path}: the cut {cut} needs the column "
        f"{' and '.join(' or '.join(names) for names in wanted)} of the {table} catalogue, which "
        f"is missing{hint}; {remedy}, or mark the cut optional in a preset of your own"
    )
