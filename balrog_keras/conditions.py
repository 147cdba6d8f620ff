"""A user's table -> the condition array of an emulator, with every row accounted for."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.catalog_positions import looked_up
from balrog_keras.condition_values import floats
from balrog_keras.draw_keys import row_ids
from data_prep.errors import BalrogError, did_you_mean
from data_prep.schema import Schema
from data_prep.survey_maps import SurveyMaps

__all__ = ["conditions_of", "log_unusable", "open_maps", "row_ids_of"]

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


def _column(
    columns: Mapping[str, np.ndarray], name: str, purpose: str, others: Sequence[str]
) -> np.ndarray:
    """A column as floats; `others` are those that may have been meant."""
    if name not in columns:
        raise BalrogError(
            f"the table must have a column {name!r} {purpose}; it has "
            f"{', '.join(map(str, columns))}{did_you_mean(name, others)}"
        )
    values = floats(columns[name], f"column {name!r}")
    if values.ndim != 1:
        raise BalrogError(
            f"column {name!r} must have one number in each row; found shape {values.shape}"
        )
    return values


def _require_one_length(values: Mapping[str, np.ndarray]) -> None:
    """Refuse columns of unequal length, which would be broadcast; the most common one is right."""
    if len({len(each) for each in values.values()}) == 1:
        return
    rows = Counter(len(each) for each in values.values()).most_common(1)[0][0]
    wrong = [f"{name!r} has {len(each):,}" for name, each in values.items() if len(each) != rows]
    raise BalrogError(
        f"columns must have one value for each of {rows:,} rows; {', '.join(wrong)}: repeat a "
        "value that is the same everywhere, np.full(N, value)"
    )


def conditions_of(
    columns: Mapping[str, np.ndarray],
    info: Mapping[str, Any],
    maps: Any = None,
    position: tuple[str, str] = ("ra", "dec"),
    unusable: Counter[str] | None = None,
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
    unusable : Counter of str, optional
        Reason -> rows, added to; logged at once if not given.

    Returns
    -------
    float32 array, shape (N, C)
        Physical units; rows with any unusable value (not finite, outside the schema's range) are
        wholly NaN.

    Raises
    ------
    BalrogError
        If a column is missing, not numeric or of another length than the others, or a position
        is out of range.
    """
    schema = Schema.from_dict(info["schema"])
    others = [str(name) for name in columns if name not in schema.condition_names]
    values = {c.name: _column(columns, c.name, f"({c.unit})", others) for c in schema.truth}
    absent = [column.name for column in schema.survey if column.name not in columns]
    opened = open_maps(maps, info, absent) if absent else None
    if absent and opened is None:
        named = ", ".join(name + did_you_mean(name, others, most=1) for name in absent)
        raise BalrogError(
            f"the table lacks the survey properties {named}; add these columns, or "
            "give the maps to look them up in (--maps DIR, or maps=)"
        )
    if opened is not None:
        purpose = "(degrees) for the look-up in the maps"
        ra, dec = (_column(columns, name, purpose, others) for name in position)
        _require_one_length(values | dict(zip(position, (ra, dec), strict=True)))
        # Where there is no position there is no survey property either: these rows are null.
        known = np.isfinite(ra) & np.isfinite(dec)
        found = looked_up(opened, *(np.where(known, each, np.nan) for each in (ra, dec)))
        values |= {name: found[name] for name in absent}
    for column in schema.survey:
        if column.name not in values:
            values[column.name] = _column(columns, column.name, f"({column.unit})", others)
    _require_one_length(values)
    condition, counts = _usable(values, schema)
    if unusable is None:
        log_unusable(counts, len(condition))
    else:
        unusable.update(counts)
    return condition


def _usable(values: Mapping[str, np.ndarray], schema: Schema) -> tuple[np.ndarray, dict[str, int]]:
    """Stack the columns; blank rows with a value that no emulator can use, and count them."""
    ranges = {column.name: (column.minimum, column.maximum) for column in schema.columns}
    names = schema.condition_names
    # Column by column in memory, as the values come and as the graph takes them.
    by_column = np.empty((len(names), len(values[names[0]])), np.float32)
    bad_rows, counts = np.zeros(by_column.shape[1], bool), {}
    for column, name in zip(by_column, names, strict=True):
        with np.errstate(over="ignore"):
            column[:] = values[name]
        low, high = ranges[name]
        good = np.isfinite(column)
        if low is not None:
            good &= column >= low
        if high is not None:
            good &= column <= high
        bad = ~good
        if bad.any():
            counts[f"no usable {name}"] = int(np.count_nonzero(bad))
            bad_rows |= bad
    if counts:
        by_column[:, bad_rows] = np.nan
    return by_column.T, counts


def log_unusable(unusable: Mapping[str, int], rows: int) -> None:
    """Warn of the rows, of `rows` in all, that cannot be emulated (reason -> how many)."""
    for reason, count in unusable.items():
        logger.warning(
            "%s of %s rows: %s; their measured values are null", f"{count:,}", f"{rows:,}", reason
        )


def row_ids_of(row_id: Any, rows: int, first: int = 0) -> np.ndarray:
    """Ids of the rows as int64, shape (rows,); row numbers from `first` if none are given.

    Raises
    ------
    BalrogError
        If they are not whole numbers of int64, one for each row, or some are masked.
    """
    if row_id is None:
        return np.arange(first, first + rows, dtype=np.int64)
    return row_ids(row_id, rows, first)
