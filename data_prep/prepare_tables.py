"""The catalogues of one prepare job: read, joined, cut, and looked up in the maps."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import BalrogError
from data_prep.injections import Injections, read_injections
from data_prep.prepare_settings import PrepareSettings
from data_prep.preset import Preset, load_preset
from data_prep.selection import drop_bad_values
from data_prep.survey_maps import SurveyMaps

__all__ = ["Tables", "look_up", "read_tables"]

logger = logging.getLogger(__name__)


@dataclass
class Tables:
    """The catalogues of one job, read and cut; with the maps that they need.

    Attributes
    ----------
    preset : Preset
        How they were read.
    maps : SurveyMaps
        Maps of the survey properties.
    matched : Injections
        Detected injections.
    detection, replicate : Injections or None
        Every injection; redraw of the test injections.
    sources : list of path
        Every file that went in.
    not_applied : list of str
        Optional cuts whose column is missing.
    """

    preset: Preset
    maps: SurveyMaps
    matched: Injections
    detection: Injections | None
    replicate: Injections | None
    sources: list[Path]
    not_applied: list[str]

    @property
    def all(self) -> dict[str, Injections]:
        """Role -> table, of those that there are."""
        roles = {"matched": self.matched, "detection": self.detection, "oracle": self.replicate}
        return {role: table for role, table in roles.items() if table is not None}


def read_tables(settings: PrepareSettings) -> Tables:
    """Open the maps, read the catalogues and apply the cuts; needs no TensorFlow."""
    preset = load_preset(settings.preset)
    maps = SurveyMaps.find(
        settings.maps, preset.map_patterns, settings.map_nside, settings.map_nest
    )

    def read(path: Path | None, table: str) -> Injections | None:
        return read_injections(path, preset, table, settings.batch_rows) if path else None

    matched = read_injections(settings.catalog, preset, "matched", settings.batch_rows)
    detection = read(settings.detection, "detection")
    replicate = read(settings.replicate, "matched")
    hint = "give --detection"
    not_applied = matched.apply_cuts(preset.cuts, detection, hint)
    if detection is not None:
        everywhere = [cut for cut in preset.cuts if cut.rows == "all"]
        not_applied += detection.apply_cuts(everywhere, None, hint)
    partner = read(_replicate_detection(settings), "detection") if replicate else None
    if replicate is not None:
        replicate.apply_cuts(preset.cuts, partner, "give --replicate-detection")
    catalogs = [table.path for table in (matched, detection, replicate, partner) if table]
    sources = catalogs + [survey_map.path for survey_map in maps.maps.values()]
    optional = sorted(set(not_applied))
    tables = Tables(preset, maps, matched, detection, replicate, sources, optional)
    for table in tables.all.values():
        table.clean(preset, settings.unit)
    return tables


def _replicate_detection(settings: PrepareSettings) -> Path | None:
    """Detection catalogue of the redraw: given, or named like its matched one, or None."""
    if settings.replicate_detection or settings.replicate is None:
        return settings.replicate_detection
    name = settings.replicate.name.replace("matched", "detection")
    beside = settings.replicate.with_name(name)
    if name == settings.replicate.name or not beside.is_file():
        return None
    logger.info("cuts of %s from %s", settings.replicate.name, beside.name)
    return beside


def look_up(tables: Tables, strict: bool) -> None:
    """Give every table its survey properties; drop rows that a map does not cover.

    Parameters
    ----------
    tables : Tables
        Changed in place.
    strict : bool
        Whether a dropped bad value is an error.

    Raises
    ------
    BalrogError
        If a map covers no row, no row is left, or as `strict` says.
    """
    everyone = list(tables.all.values())
    values = tables.maps.values_at(
        np.concatenate([table.ra for table in everyone]),
        np.concatenate([table.dec for table in everyone]),
    )
    tables.maps.require_coverage(values)
    columns = {column.name: column for column in tables.preset.schema.survey}
    ends = np.cumsum([len(table) for table in everyone])[:-1]
    for name, looked_up in values.items():
        for table, part in zip(everyone, np.split(looked_up, ends), strict=True):
            table.columns[name] = part
            table.selection.drop(np.isnan(part), f"{name} is off the map", bad_value=True)
            drop_bad_values(table.selection, part, part, columns[name])
    for table in everyone:
        if strict and table.selection.bad_values:
            reasons = "; ".join(f"{k}: {v:,}" for k, v in table.selection.dropped.items())
            raise BalrogError(
                f"{table.path}: --strict allows no bad value, found "
                f"{table.selection.bad_values:,} rows with one ({reasons})"
            )
        if not table.selection.keep.any():
            raise BalrogError(
                f"{table.path}: no row is left of {len(table):,}; dropped: "
                + "; ".join(f"{k}: {v:,}" for k, v in table.selection.dropped.items())
            )
