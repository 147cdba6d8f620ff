"""Emulate a Dask data frame or an LSDB catalogue, partition by partition, on any cluster."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.distributed_cache import description_sha256, loaded_emulator
from balrog_keras.distributed_partition import PartitionDraws
from balrog_keras.draw_plan import DrawPlan
from data_prep.errors import BalrogError, require

if TYPE_CHECKING:
    import pandas

__all__ = ["emulate_partitions"]

logger = logging.getLogger(__name__)


def emulate_partitions(
    catalog: Any,
    emulator: str | Path,
    *,
    seed: int = 0,
    row_id: str | None = None,
    keep: Sequence[str] = (),
    maps: str | Path | None = None,
    position: tuple[str, str] | None = None,
    columns: CatalogColumns | None = None,
    member: int | None = 0,
    detected: bool = False,
    **more: Any,
) -> Any:
    """Draw measured columns for a catalogue in partitions.

    Parameters
    ----------
    catalog : dask.dataframe.DataFrame or lsdb.catalog.Catalog
        Truth columns, and either the survey properties or positions (degrees) with `maps`.
    emulator : path
        ``saved_models/NAME``, which every worker sees. A worker process loads and checks it once.
    seed : int
        Another seed is another realization.
    row_id : str, optional
        Column of whole numbers that keys the draws: with it a galaxy gets the same draw in any
        order, partition or subset. By default the row number in the order of the partitions,
        for which the rows of each are counted first, at once; then the draws are those of
        :meth:`balrog_keras.emulator.Emulator.emulate` for the same rows in that order.
    keep : sequence of str
        Columns to copy to the output, or ``["all"]``.
    maps : path, optional
        Directory of survey property maps, which every worker sees.
    position : (str, str), optional
        Columns of the positions; by default ``ra`` and ``dec``, or the LSDB catalogue's own.
    columns : CatalogColumns, optional
        Names, or a survey's preset with units and conversions, as the command takes them with
        ``--columns`` and ``--preset``; instead of `row_id` and `position`.
    member, detected, **more
        As ``realizations``, ``layout`` and others: of :class:`balrog_keras.draw_plan.DrawPlan`.

    Returns
    -------
    of the same kind
        Lazy: ``row_id`` (int64), the kept columns, and the drawn ones as
        :meth:`balrog_keras.emulator.Emulator.emulate` gives them, NaN where a condition is null.
        It has as many partitions, or fewer where Dask merges those of Parquet files of which few
        columns are read. An LSDB catalogue keeps its positions too, and its margin if it has one.

    Raises
    ------
    BalrogError
        If it is neither kind, a column is missing, the emulator is damaged or cannot draw what is
        asked for, or a margin has no `row_id`. While it is computed: also if a worker's emulator
        is another one.
    MissingExtraError
        If Dask or TensorFlow is not installed.

    Examples
    --------
    >>> import dask.dataframe as dd  # doctest: +SKIP
    >>> truth = dd.read_parquet("truth.parquet")  # doctest: +SKIP
    >>> measured = emulate_partitions(
    ...     truth, "saved_models/mini-balrog", seed=1, row_id="object_id", maps="maps"
    ... )  # doctest: +SKIP
    >>> measured.to_parquet("measured")  # doctest: +SKIP
    """
    is_lsdb = _is_lsdb(catalog)
    place = str(Path(emulator).resolve())
    draws = PartitionDraws(
        emulator=place,
        sha256=description_sha256(place),
        plan=DrawPlan(seed=seed, member=member, detected=detected, **more),
        columns=_columns(columns, row_id, position, _position(catalog, is_lsdb)),
        keep=tuple(keep),
        maps=str(Path(maps).resolve()) if maps is not None else None,
    )
    draws = replace(draws, keep=_kept(draws, catalog, is_lsdb))
    no_rows = _no_rows(catalog, is_lsdb)
    needed = dict.fromkeys((*draws.reader(no_rows).needed, *draws.keep))
    meta = _meta(draws, no_rows)
    narrow = catalog[[name for name in catalog.columns if name in needed]]
    return _of_lsdb(draws, narrow, meta) if is_lsdb else _of_dask(draws, narrow, meta)


def _is_lsdb(catalog: Any) -> bool:
    """True for an LSDB catalogue, False for a Dask data frame, BalrogError for anything else."""
    if hasattr(catalog, "hc_structure") and hasattr(catalog, "map_partitions"):
        return True
    frames = require("dask.dataframe", "distributed")
    if not isinstance(catalog, frames.DataFrame):
        raise BalrogError(
            "the catalogue must be a Dask data frame or an LSDB catalogue, as dask.dataframe."
            f"read_parquet or lsdb.open_catalog gives; found {type(catalog).__name__}"
        )
    return False


def _position(catalog: Any, is_lsdb: bool) -> tuple[str, str]:
    if not is_lsdb:
        return "ra", "dec"
    described = catalog.hc_structure.catalog_info
    return described.ra_column, described.dec_column


def _columns(
    columns: CatalogColumns | None,
    row_id: str | None,
    position: tuple[str, str] | None,
    own_position: tuple[str, str],
) -> CatalogColumns:
    """Where everything is; BalrogError if the row id or the position is named twice."""
    if columns is None:
        ra, dec = position or own_position
        return CatalogColumns(
            position=((ra,), (dec,)), row_id=(row_id,) if row_id is not None else ()
        )
    both = {"row_id": row_id, "position": position}
    twice = [f"{name}={value!r}" for name, value in both.items() if value is not None]
    if twice:
        raise BalrogError(
            f"columns names the row id and the position itself; found {' and '.join(twice)} "
            "besides: leave out one of the two"
        )
    return replace(columns, keep=())


def _kept(draws: PartitionDraws, catalog: Any, is_lsdb: bool) -> tuple[str, ...]:
    """Columns to copy; BalrogError if the output would have two of a name."""
    emulator, columns = loaded_emulator(draws.emulator, draws.sha256), list(catalog.columns)
    drawn = {"row_id", *_empty_draws(draws, emulator)}
    if draws.keep == ("all",):
        return tuple(name for name in columns if name not in drawn)
    always = _position(catalog, is_lsdb) if is_lsdb else ()
    keep = tuple(dict.fromkeys((*always, *draws.keep)))
    absent = [name for name in keep if name not in columns]
    if absent:
        raise BalrogError(
            f"the catalogue must have the columns to keep, {', '.join(absent)}; it has "
            f"{', '.join(map(str, columns))}"
        )
    clash = [name for name in keep if name in drawn]
    if clash:
        raise BalrogError(
            "kept columns must have other names than those of the output; found "
            f"{', '.join(clash)}: rename them first"
        )
    return keep


def _empty_draws(draws: PartitionDraws, emulator: Any) -> dict[str, Any]:
    """Drawn columns of no rows; fails where the emulator cannot draw what is asked for."""
    import numpy as np

    no_rows = np.empty((0, len(emulator.schema.condition_names)), np.float32)
    return draws.plan.draw(emulator, no_rows, np.empty(0, np.int64)).columns


def _no_rows(catalog: Any, is_lsdb: bool) -> pandas.DataFrame:
    """A partition of the catalogue without rows."""
    if not is_lsdb:
        return catalog._meta
    return catalog.meta if hasattr(type(catalog), "meta") else catalog._ddf._meta


def _meta(draws: PartitionDraws, frame: pandas.DataFrame) -> pandas.DataFrame:
    """The output of no rows, of the same kind of frame."""
    import numpy as np

    emulator = loaded_emulator(draws.emulator, draws.sha256)
    output = frame[list(draws.keep)].copy()
    output.insert(0, "row_id", np.empty(0, np.int64))
    return output.assign(**_empty_draws(draws, emulator))


def _of_dask(draws: PartitionDraws, frame: Any, meta: pandas.DataFrame) -> Any:
    """A partition is read and drawn in one task: its rows never travel between workers."""
    if draws.columns.row_id:
        return frame.map_partitions(_draw, draws, meta=meta).optimize()
    import pandas as pd

    dd = require("dask.dataframe", "distributed")
    # Dask merges partitions of which few columns are read when it optimizes what is done with
    # them. Afterwards they stay, so that those that are counted are those that are drawn.
    frame = frame.map_partitions(_unchanged, meta=frame._meta).optimize()
    counts = frame.map_partitions(len).compute()
    # A collection of its own, so that partitions that are picked later keep their numbers.
    first_rows = dd.from_map(
        _first_row, _first_rows(counts), meta=pd.Series([], dtype="int64"), enforce_metadata=False
    )
    return frame.map_partitions(
        _draw_numbered, first_rows, draws, meta=meta, align_dataframes=False
    ).optimize()


def _of_lsdb(draws: PartitionDraws, catalog: Any, meta: pandas.DataFrame) -> Any:
    if draws.columns.row_id:
        return catalog.map_partitions(_draw, draws, meta=meta)
    if getattr(catalog, "margin", None) is not None:
        raise BalrogError(
            "a catalogue with a margin must have row_id=COLUMN, so that the rows of the margin "
            "get the draws that they have in their own partition; none is given"
        )
    dask = require("dask", "distributed")
    counts = dask.compute(*map(dask.delayed(len), catalog.to_delayed()))
    pixels = [(pixel.order, pixel.pixel) for pixel in catalog.get_healpix_pixels()]
    first_rows = dict(zip(pixels, _first_rows(counts), strict=True))
    return catalog.map_partitions(_draw_pixel, first_rows, draws, meta=meta, include_pixel=True)


def _first_rows(counts: Sequence[int]) -> list[int]:
    """Number of the first row of each partition."""
    logger.info("row numbers: %s rows in %d partitions", f"{sum(counts):,}", len(counts))
    return [0, *accumulate(int(count) for count in counts)][: len(counts)]


def _first_row(number: int) -> pandas.Series:
    import pandas as pd

    return pd.Series([number], dtype="int64")


def _unchanged(frame: pandas.DataFrame) -> pandas.DataFrame:
    return frame


def _draw(frame: pandas.DataFrame, draws: PartitionDraws) -> pandas.DataFrame:
    return draws.draw(frame)


def _draw_numbered(
    frame: pandas.DataFrame, first_row: pandas.Series, draws: PartitionDraws
) -> pandas.DataFrame:
    return draws.draw(frame, int(first_row.iloc[0]))


def _draw_pixel(
    frame: pandas.DataFrame, pixel: Any, first_rows: dict[tuple[int, int], int],
    draws: PartitionDraws,
) -> pandas.DataFrame:  # fmt: skip
    return draws.draw(frame, first_rows[pixel.order, pixel.pixel])
