"""What a prepare job reads from where: every needed column found in a catalogue, or an error."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.catalogs import Catalog, open_catalog
from data_prep.errors import BalrogError
from data_prep.preparation.column_values import require_plausible_column
from data_prep.preparation.cut_columns import require_cuts, without_cuts
from data_prep.preparation.deep_table import DeepTable
from data_prep.preparation.injections import TableSpec
from data_prep.preparation.row_order import RowOrderCatalog
from data_prep.preparation.softening import with_softening
from data_prep.preparation.table_specs import (
    deep_spec,
    neighbor_spec,
    require_weight,
    table_spec,
    with_brightness,
)
from data_prep.prepare_settings import PrepareSettings
from data_prep.preset import Preset, load_preset
from data_prep.sources import Neighbor

__all__ = ["Plan", "plan_job"]

logger = logging.getLogger(__name__)

# Rows that units are judged on and softenings are estimated from.
_SAMPLE_ROWS = 100_000


@dataclass(frozen=True)
class Plan:
    """What a job reads from where.

    Attributes
    ----------
    preset : Preset
        With every softening filled in.
    tables : dict of str to TableSpec
        By role: ``matched`` and, if they are there, ``detection``, ``oracle`` and
        ``oracle-detection``.
    deep : DeepTable or None
        The deep-field table, if columns come from it.
    not_applied : list of str
        Optional cuts whose column is missing.
    neighbor_table : TableSpec or None
        Catalogue whose objects are the neighbours, if they are not the injections themselves.
    """

    preset: Preset
    tables: Mapping[str, TableSpec]
    deep: DeepTable | None
    not_applied: list[str]
    neighbor_table: TableSpec | None = None

    @property
    def neighbors(self) -> dict[str, Neighbor]:
        """Schema column -> what it says of the neighbours, in the schema's order."""
        sources = self.preset.sources
        found = {
            column.name: sources[column.name].neighbor for column in self.preset.schema.columns
        }
        return {name: neighbor for name, neighbor in found.items() if neighbor is not None}

    @property
    def neighbor_role(self) -> str:
        """Table whose rows get the neighbour columns, by which the others are joined."""
        return "detection" if "detection" in self.tables else "matched"

    @property
    def weighted(self) -> bool:
        """Whether injections have weights."""
        return any("weight" in spec.elements for spec in self.tables.values())

    @property
    def needs_reddening(self) -> bool:
        """Whether some extinction has to be looked up in a map."""
        wanted = {name for name, source in self.preset.sources.items() if source.extinction}
        return any(
            wanted & (set(spec.values) | spec.borrowed) - spec.reddened
            for role, spec in self.tables.items()
            if role != "oracle-detection"
        )

    def partner(self, role: str) -> str | None:
        """Role of the table whose rows are joined to those of `role` by id, or None."""
        name = {"matched": "detection", "oracle": "oracle-detection"}.get(role, "")
        if name not in self.tables or self.tables[role].only_detected:
            return None
        return name

    @property
    def catalogs(self) -> list[Catalog]:
        """Every catalogue that is read, each once."""
        specs = [*self.tables.values(), *([self.deep.spec] if self.deep else [])]
        specs += [self.neighbor_table] if self.neighbor_table else []
        opened = list({id(spec.catalog): spec.catalog for spec in specs}.values())
        return [
            part
            for catalog in opened
            for part in (
                (catalog.injected, catalog.matched)
                if isinstance(catalog, RowOrderCatalog)
                else (catalog,)
            )
        ]


def plan_job(settings: PrepareSettings) -> Plan:
    """Open the catalogues and find every column that the preset needs.

    Raises
    ------
    BalrogError
        If a file is missing or damaged, a column is in no catalogue, or values are plainly in
        another unit than said.
    """
    preset = load_preset(settings.preset)
    deep = deep_spec(_open(settings.deep, settings), preset) if settings.deep else None
    if preset.join == "key":
        tables = _separate_tables(settings, preset, deep)
    else:
        tables = _single_tables(settings, preset, deep)
    tables, not_applied = _with_cuts(preset, tables)
    for role in ("matched", "oracle", *(() if settings.without_detection else ("detection",))):
        if role in tables:
            require_weight(tables[role], preset)
    if settings.split != "sky" and not preset.parent:
        raise BalrogError(
            f"--split {settings.split} needs the parents; name their column (`parent:`) in the "
            f"preset {settings.preset}"
        )
    sample = _sample(tables["matched"])
    for name in tables["matched"].columns:
        inputs = _inputs(tables["matched"], name, sample)
        where = str(tables["matched"].catalog.path)
        require_plausible_column(inputs, name, preset, settings.unit, where)
    preset = with_softening(preset, tables["matched"].catalog, settings.unit)
    used = {name for spec in tables.values() for name in spec.deep_columns}
    table = None
    if deep is not None and used:
        deep = replace(deep, columns=tuple(name for name in deep.columns if name in used))
        table = DeepTable(deep, preset, settings.unit)
    plan = Plan(preset, tables, table, not_applied)
    return _with_neighbors(plan, settings)


def _with_cuts(
    preset: Preset, tables: dict[str, TableSpec]
) -> tuple[dict[str, TableSpec], list[str]]:
    """The tables without those optional cuts that cannot be applied, and which these are."""
    tables, not_applied = dict(tables), set()
    for role, partner in (("matched", "detection"), ("oracle", "oracle-detection")):
        if role in tables:
            missing = require_cuts(preset, tables, role)
            not_applied |= {str(preset.cuts[number]) for number in missing}
            for name in {role, partner} & set(tables):
                tables[name] = without_cuts(tables[name], missing)
    return tables, sorted(not_applied)


def _with_neighbors(plan: Plan, settings: PrepareSettings) -> Plan:
    """Read what neighbour columns need too."""
    if not plan.neighbors:
        if settings.neighbors:
            raise BalrogError(
                f"preset {plan.preset.schema.name} has no column about neighbours; leave out "
                "--neighbors, or add such a column to a preset of your own"
            )
        return plan
    role = plan.neighbor_role
    tables = dict(plan.tables) | {role: with_brightness(plan.tables[role], plan.preset)}
    others = None
    if settings.neighbors:
        others = neighbor_spec(_open(settings.neighbors, settings), plan.preset)
    return replace(plan, tables=tables, neighbor_table=others)


def _separate_tables(
    settings: PrepareSettings, preset: Preset, deep: TableSpec | None
) -> dict[str, TableSpec]:
    """A matched catalogue, and perhaps one of every injection joined to it by id."""
    if not preset.id:
        raise BalrogError("a preset with `join: key` must name the id column (`id:`)")
    tables: dict[str, TableSpec] = {}
    for role, matched, detection in (
        ("matched", settings.catalog, settings.detection),
        ("oracle", settings.replicate, _replicate_detection(settings)),
    ):
        if matched is None:
            continue
        partner = None
        if detection is not None:
            name = "detection" if role == "matched" else "oracle-detection"
            partner = tables[name] = table_spec(
                name, _open(detection, settings), preset, deep, None
            )
        tables[role] = table_spec(role, _open(matched, settings), preset, deep, partner)
    return tables


def _single_tables(
    settings: PrepareSettings, preset: Preset, deep: TableSpec | None
) -> dict[str, TableSpec]:
    """Every injection in one catalogue, or in one whose detected rows are another, in order."""
    if preset.detected is None:
        raise BalrogError(f"a preset with `join: {preset.join}` must say what is `detected:`")
    tables: dict[str, TableSpec] = {}
    for role, matched, injected in (
        ("matched", settings.catalog, settings.detection),
        ("oracle", settings.replicate, settings.replicate_detection),
    ):
        if matched is None:
            continue
        catalog = _open(matched, settings)
        if preset.join == "row_order":
            if injected is None:
                raise BalrogError(
                    f"{catalog.path}: its rows are those of the catalogue of every injection, in "
                    "order; give that as --detection"
                )
            catalog = RowOrderCatalog.join(_open(injected, settings), catalog, preset)
        elif injected is not None:
            raise BalrogError(
                f"preset {preset.schema.name} has every injection in one catalogue; leave out "
                f"--{'detection' if role == 'matched' else 'replicate-detection'}"
            )
        spec = table_spec(role, catalog, preset, deep, None)
        tables[role] = replace(spec, only_detected=True)
        if role == "matched" and not settings.without_detection:
            tables["detection"] = table_spec("detection", catalog, preset, deep, None)
    return tables


def _open(path: Path | Catalog, settings: PrepareSettings) -> Catalog:
    return path if isinstance(path, Catalog) else open_catalog(path, settings.allow_pickle)


def _replicate_detection(settings: PrepareSettings) -> Path | Catalog | None:
    """Detection catalogue of the redraw: given, or named like its matched one, or None."""
    replicate = settings.replicate
    if settings.replicate_detection or not isinstance(replicate, Path):
        return settings.replicate_detection
    name = replicate.name.replace("matched", "detection")
    beside = replicate.with_name(name)
    if name == replicate.name or not beside.exists():
        return None
    logger.info("cuts of %s from %s", replicate.name, beside.name)
    return beside


def _sample(spec: TableSpec) -> Mapping[str, np.ndarray]:
    if not spec.catalog.rows:
        raise BalrogError(f"{spec.catalog.path} must hold injections; it has no rows")
    return next(spec.catalog.batches(spec.needed, _SAMPLE_ROWS))


def _inputs(
    spec: TableSpec, name: str, batch: Mapping[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, str]]:
    inputs = {}
    for alias, field in spec.aliases(name).items():
        element = spec.elements[field]
        values = batch[element.column]
        picked = values if element.index is None or values.ndim == 1 else values[:, element.index]
        inputs[alias] = (picked, str(element))
    return inputs
