"""Survey property maps, looked up together at (ra, dec); finding and writing their files.

With the ``map_*`` modules, the only ones that read or write sky maps. Maps are opened by header
alone and looked up one after the other, so that memory does not grow with their number.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.expressions import names_in
from data_prep.map_formats.map_cache import CachedMap
from data_prep.map_formats.map_columns import MapColumn, look_up
from data_prep.map_formats.map_file import SurveyMap, pixels_at
from data_prep.map_formats.map_finding import MAP_SUFFIXES, find_map
from data_prep.map_formats.map_store import MapStore
from data_prep.map_formats.map_writing import write_partial_map, write_sparse_map

__all__ = [
    "StoredMaps",
    "SurveyMap",
    "SurveyMaps",
    "find_map",
    "pixels_at",
    "write_partial_map",
    "write_sparse_map",
]

logger = logging.getLogger(__name__)

Files = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]
Range = tuple[float | None, float | None]


class SurveyMaps:
    """Several maps, looked up together.

    Parameters
    ----------
    files : mapping of str to path
        Survey column -> map file (``FILE#COLUMN`` to choose its column), or alias -> map file of
        each map in the column's expression.
    nside, nest : int, bool, optional
        For files whose header lacks them; see :meth:`SurveyMap.open`.
    sources : mapping, optional
        Survey column -> its ``expression`` and ``zero_is_missing``, as in
        :attr:`data_prep.preset.Preset.map_sources`.
    ranges : mapping, optional
        Survey column -> (minimum, maximum), each a number or None; a value outside is missing.
    cache_bytes : int
        Most memory in which regions that were read are kept for the next look-up.

    Attributes
    ----------
    maps : dict of str to SurveyMap
        By survey column; of one made from several maps, by ``column.alias``.
    columns : dict of str to MapColumn
        What each survey column is made of.
    """

    def __init__(
        self,
        files: Mapping[str, Files],
        nside: int | None = None,
        nest: bool | None = None,
        *,
        sources: Mapping[str, Any] | None = None,
        ranges: Mapping[str, Range] | None = None,
        cache_bytes: int = 1 << 30,
    ) -> None:
        opened: dict[str, SurveyMap] = {}
        self.maps: dict[str, SurveyMap] = {}
        self.columns: dict[str, MapColumn] = {}
        for name, given in files.items():
            aliases = given if isinstance(given, Mapping) else {"value": given}
            for alias, path in aliases.items():
                if str(path) not in opened:
                    opened[str(path)] = SurveyMap.open(path, nside, nest)
                key = name if len(aliases) == 1 else f"{name}.{alias}"
                self.maps[key] = opened[str(path)]
            source = (sources or {}).get(name, {})
            self.columns[name] = MapColumn(
                {alias: str(path) for alias, path in aliases.items()},
                source.get("expression", ""),
                source.get("zero_is_missing", False),
                *(ranges or {}).get(name, (None, None)),
            )
            _require_expression(name, self.columns[name])
        self._opened = opened
        kept = sum(not survey_map.mapped for survey_map in opened.values())
        self._cached = {
            path: CachedMap(survey_map, cache_bytes // max(kept, 1))
            for path, survey_map in opened.items()
        }

    @classmethod
    def find(
        cls,
        directory: str | os.PathLike[str],
        sources: Mapping[str, Any],
        nside: int | None = None,
        nest: bool | None = None,
        *,
        ranges: Mapping[str, Range] | None = None,
        cache_bytes: int = 1 << 30,
    ) -> SurveyMaps:
        """Find each column's maps in a directory by their file names; see :func:`find_map`.

        Parameters
        ----------
        directory : path
            Where the files lie.
        sources : mapping
            Survey column -> file name patterns without suffix, the first that matches counts; or
            what :attr:`data_prep.preset.Preset.map_sources` says: ``maps`` (alias -> patterns),
            ``expression``, ``zero_is_missing``.
        nside, nest : int, bool, optional
            For files whose header lacks them.
        ranges, cache_bytes
            As for the class.

        Returns
        -------
        SurveyMaps

        Raises
        ------
        BalrogError
            If a column has no file or several; says what was looked for and what lies there.
        """
        full = {
            name: source if isinstance(source, Mapping) else {"maps": {"value": source}}
            for name, source in sources.items()
        }
        files: dict[str, dict[str, Path]] = {name: {} for name in full}
        missing = {}
        for name, source in full.items():
            for alias, patterns in source["maps"].items():
                path = find_map(directory, patterns)
                if path is None:
                    missing[name if len(source["maps"]) == 1 else f"{name} ({alias})"] = patterns
                else:
                    logger.debug("%s comes from the map %s", name, path)
                    files[name][alias] = path
        if missing:
            raise BalrogError(_not_found(Path(directory), missing))
        return cls(files, nside, nest, sources=full, ranges=ranges, cache_bytes=cache_bytes)

    @property
    def paths(self) -> list[Path]:
        """Every file that is read, each once."""
        return list(dict.fromkeys(survey_map.path for survey_map in self.maps.values()))

    def values_at(
        self, ra_deg: Any, dec_deg: Any, interpolate: bool = False
    ) -> dict[str, np.ndarray]:
        """Value of every survey column at each position.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (N,)
            As for :func:`pixels_at`.
        interpolate : bool
            See :func:`data_prep.map_formats.map_columns.look_up`.

        Returns
        -------
        dict of str to float32 array, shape (N,)
            Survey column -> values, NaN off the map or outside of the column's range.
        """
        return look_up(self._cached, self.columns, ra_deg, dec_deg, interpolate)

    def build_stores(self, directory: str | os.PathLike[str], regions: np.ndarray) -> StoredMaps:
        """Make the maps' values in some regions available to any process.

        Parameters
        ----------
        directory : path
            Where copies may be written; those there already are used again.
        regions : int64 array
            See :func:`data_prep.splits.region_of`. With those around them
            (:func:`data_prep.splits.with_neighbors`), if values shall be interpolated.

        Returns
        -------
        StoredMaps

        Raises
        ------
        BalrogError
            If a map is damaged.
        OSError
            As raised by the write.
        """
        stores = {
            path: MapStore.build(survey_map, regions, Path(directory) / survey_map.path.name)
            for path, survey_map in self._opened.items()
        }
        return StoredMaps(stores, self.columns)

    def require_coverage(self, covered: Mapping[str, int]) -> None:
        """Raise BalrogError if a column (name -> rows with a value) has no value at all."""
        for name, rows in covered.items():
            if rows == 0:
                opened = [self._opened[path] for path in self.columns[name].maps.values()]
                numbering = "/".join("NESTED" if one.nest else "RING" for one in opened)
                raise BalrogError(
                    f"{', '.join(str(one.path) for one in opened)}: the map for {name} must cover "
                    "the catalogue, but covers none of its injected galaxies; is it of another "
                    f"part of the sky, is its ordering ({numbering}) wrong, or are all values out "
                    "of the column's range?"
                )


@dataclass(frozen=True)
class StoredMaps:
    """Several maps, looked up together from stores on disk; can be pickled.

    Attributes
    ----------
    stores : dict of str to MapStore
        By map.
    columns : dict of str to MapColumn
        What each survey column is made of.
    """

    stores: Mapping[str, MapStore]
    columns: Mapping[str, MapColumn]

    def values_at(
        self, ra_deg: Any, dec_deg: Any, interpolate: bool = False
    ) -> dict[str, np.ndarray]:
        """As :meth:`SurveyMaps.values_at`, for positions in the regions that were stored."""
        return look_up(self.stores, self.columns, ra_deg, dec_deg, interpolate)

    def to_dict(self) -> dict[str, Any]:
        """Description in JSON's types."""
        return {
            "stores": {path: store.to_dict() for path, store in self.stores.items()},
            "columns": {name: asdict(column) for name, column in self.columns.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StoredMaps:
        """The maps that :meth:`to_dict` described."""
        return cls(
            {path: MapStore.from_dict(store) for path, store in content["stores"].items()},
            {name: MapColumn(**column) for name, column in content["columns"].items()},
        )


def _require_expression(name: str, column: MapColumn) -> None:
    where = f"survey property {name}"
    used = set(names_in(column.expression, where)) if column.expression else set(column.maps)
    if used != set(column.maps) or (not column.expression and len(used) != 1):
        raise BalrogError(
            f"{where} must be an expression over all of its maps ({', '.join(column.maps)}), "
            f"found {column.expression or 'none'!r}"
        )


def _not_found(directory: Path, missing: Mapping[str, Sequence[str]]) -> str:
    looked = "; ".join(f"{name}: {' or '.join(tried)}" for name, tried in missing.items())
    there = sorted(path.name for path in directory.iterdir())
    return (
        f"{directory} must hold a map for every survey property; not found: {looked} (with "
        f"{', '.join(MAP_SUFFIXES)}); there are {', '.join(there[:20]) or 'no files'}"
        f"{' ...' if len(there) > 20 else ''}"
    )
