"""A user's table -> the condition array of an emulator, with every row accounted for."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.schema import Schema
from data_prep.survey_maps import SurveyMaps

__all__ = ["conditions_of", "open_maps", "row_ids_of"]

logger = logging.getLogger(__name__)


def open_maps(
    maps: Any,
    info: Mapping[str, Any],
    names: Sequence[str] | None = None,
    others: Mapping[str, Any] | None = None,
) -> SurveyMaps | None:
    """Survey property maps of an emulator, found in a directory by their file names.

    Parameters
    ----------
    maps : path, SurveyMaps or None
        A directory; what is open already, or None, is given back.
    info : mapping
        The emulator's ``emulator.json``. Its ``map_patterns`` give each survey property's file
        name patterns, or where it is as :attr:`data_prep.preset.Preset.map_sources` says it.
    names : sequence of str, optional
        Survey properties to open the maps of; all of the emulator's that have one by default.
    others : mapping, optional
        More maps to open, in the form of ``map_patterns``.

    Returns
    -------
    SurveyMaps or None
        None also if there is nothing to open.

    Raises
    ------
    BalrogError
        If the directory or a map is missing, or a survey property has no map.
    """
    if maps is None or isinstance(maps, SurveyMaps):
        return maps
    if not Path(maps).is_dir():
        raise BalrogError(f"the maps must lie in a directory; {maps} is none")
    patterns = info["map_patterns"]
    if names is None:
        names = [column.name for column in Schema.from_dict(info["schema"]).survey]
        names = [name for name in names if name in patterns]
        absent = [] if names else ["its survey properties"]
    else:
        absent = [name for name in names if name not in patterns]
    if absent:
        raise BalrogError(
            f"emulator {info['name']} was trained on survey properties that came as columns; "
            f"give {', '.join(absent)} as columns instead of maps"
        )
    sources = {name: patterns[name] for name in names} | dict(others or {})
    return SurveyMaps.find(Path(maps), sources) if sources else None


def _column(columns: Mapping[str, np.ndarray], name: str, purpose: str) -> np.ndarray:
    if name not in columns:
        close = difflib.get_close_matches(name, list(columns), n=3)
        hint = f" (did you mean {', '.join(close)}?)" if close else ""
        raise BalrogError(
            f"the table must have a column {name!r} {purpose}; it has "
            f"{', '.join(map(str, columns))}{hint}"
        )
    try:
        return np.asarray(columns[name], dtype=np.float64)
    except (TypeError, ValueError):
        raise BalrogError(
            f"column {name!r} must be numbers, found {np.asarray(columns[name]).dtype}"
        ) from None


def conditions_of(
    columns: Mapping[str, np.ndarray],
    info: Mapping[str, Any],
    maps: Any = None,
    position: tuple[str, str] = ("ra", "dec"),
) -> np.ndarray:
    """Collect the condition of each row.

    Parameters
    ----------
    columns : mapping of str to array, shape (N,)
        The user's table.
    info : mapping
        The emulator's ``emulator.json``.
    maps : path, SurveyMaps or None
        Where survey properties that are no columns are looked up.
    position : (str, str)
        Columns of right ascension and declination, degrees.

    Returns
    -------
    float32 array, shape (N, C)
        Physical units; rows with any unusable value (not finite, outside the schema's range) are
        wholly NaN.

    Raises
    ------
    BalrogError
        If a column is missing or not numeric, or a position is out of range.
    """
    schema = Schema.from_dict(info["schema"])
    values = {c.name: _column(columns, c.name, f"({c.unit})") for c in schema.truth}
    absent = [column.name for column in schema.survey if column.name not in columns]
    opened = open_maps(maps, info, absent) if absent else None
    if absent and opened is None:
        raise BalrogError(
            f"the table lacks the survey properties {', '.join(absent)}; add these columns, or "
            "give the maps to look them up in (--maps DIR, or maps=)"
        )
    if opened is not None:
        purpose = "(degrees) for the look-up in the maps"
        ra, dec = (_column(columns, name, purpose) for name in position)
        looked_up = opened.values_at(ra, dec)
        values |= {name: looked_up[name] for name in absent}
    for column in schema.survey:
        if column.name not in values:
            values[column.name] = _column(columns, column.name, f"({column.unit})")
    return _usable(values, schema)


def _usable(values: dict[str, np.ndarray], schema: Schema) -> np.ndarray:
    """Stack the columns; blank rows with a value that no emulator can use, and count them."""
    ranges = {column.name: (column.minimum, column.maximum) for column in schema.columns}
    with np.errstate(over="ignore"):
        stacked = [np.asarray(values[name], np.float32) for name in schema.condition_names]
    condition = np.stack(stacked, axis=1)
    bad_rows = np.zeros(len(condition), bool)
    for index, name in enumerate(schema.condition_names):
        low, high = ranges[name]
        column = condition[:, index]
        bad = ~np.isfinite(column)
        bad |= column < (-np.inf if low is None else low)
        bad |= column > (np.inf if high is None else high)
        if bad.any():
            logger.warning(
                "%s of %s rows have no usable %s; their measured values are null",
                f"{bad.sum():,}", f"{len(bad):,}", name,
            )  # fmt: skip
        bad_rows |= bad
    condition[bad_rows] = np.nan
    return condition


def row_ids_of(row_id: Any, rows: int, first: int = 0) -> np.ndarray:
    """Ids of the rows as int64, shape (rows,); row numbers from `first` if none are given.

    Raises
    ------
    BalrogError
        If they are not whole numbers, or not one for each row.
    """
    if row_id is None:
        return np.arange(first, first + rows, dtype=np.int64)
    ids = np.asarray(row_id)
    if ids.shape != (rows,) or ids.dtype.kind not in "iu":
        raise BalrogError(
            f"row ids must be {rows:,} whole numbers (int64), found shape {ids.shape}, "
            f"dtype {ids.dtype}"
        )
    return ids.astype(np.int64)
