"""Survey property maps, looked up together at (ra, dec); finding and writing their files.

With :mod:`data_prep.map_file` the only module that reads or writes sky maps. Maps are opened by
header alone; pixels are read, looked up and freed one map at a time, so that memory does not
grow with their number.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.files import atomic_path
from data_prep.map_file import SurveyMap, pixels_at

__all__ = ["SurveyMap", "SurveyMaps", "find_map", "pixels_at", "write_partial_map"]

_SUFFIXES = (".fits.gz", ".fits", ".hsp", ".hs")


class SurveyMaps:
    """Several maps, looked up together.

    Parameters
    ----------
    files : mapping of str to path
        Survey column -> map file.
    nside, nest : int, bool, optional
        For files whose header lacks them; see :meth:`SurveyMap.open`.
    """

    def __init__(
        self,
        files: Mapping[str, str | os.PathLike[str]],
        nside: int | None = None,
        nest: bool | None = None,
    ) -> None:
        self.maps = {name: SurveyMap.open(path, nside, nest) for name, path in files.items()}

    @classmethod
    def find(
        cls,
        directory: str | os.PathLike[str],
        patterns: Mapping[str, Sequence[str]],
        nside: int | None = None,
        nest: bool | None = None,
    ) -> SurveyMaps:
        """Find each column's map in a directory by its file name; see :func:`find_map`.

        Parameters
        ----------
        directory : path
            Where the files lie.
        patterns : mapping of str to sequence of str
            Survey column -> file name patterns without suffix, the first that matches counts.
        nside, nest : int, bool, optional
            For files whose header lacks them.

        Returns
        -------
        SurveyMaps

        Raises
        ------
        BalrogError
            If a column has no file or several; says what was looked for and what lies there.
        """
        files = {name: find_map(directory, tried) for name, tried in patterns.items()}
        missing = [name for name, path in files.items() if path is None]
        if missing:
            looked = "; ".join(f"{name}: {' or '.join(patterns[name])}" for name in missing)
            there = sorted(path.name for path in Path(directory).iterdir())
            raise BalrogError(
                f"{directory} must hold a map for every survey property; not found: {looked} "
                f"(with {', '.join(_SUFFIXES)}); there are {', '.join(there[:20]) or 'no files'}"
                f"{' ...' if len(there) > 20 else ''}"
            )
        return cls({name: path for name, path in files.items() if path}, nside, nest)

    def values_at(self, ra_deg: Any, dec_deg: Any) -> dict[str, np.ndarray]:
        """Value of every map at each position.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (N,)
            As for :func:`pixels_at`.

        Returns
        -------
        dict of str to float32 array, shape (N,)
            Survey column -> values, NaN off the map.
        """
        sorted_pixels: dict[tuple[int, bool], tuple[np.ndarray, np.ndarray]] = {}
        values = {}
        for name, survey_map in self.maps.items():
            key = (survey_map.nside, survey_map.nest)
            if key not in sorted_pixels:
                pixels = pixels_at(ra_deg, dec_deg, nside=key[0], nest=key[1])
                order = np.argsort(pixels)
                sorted_pixels[key] = order, pixels[order]
            order, ascending = sorted_pixels[key]
            values[name] = np.empty(order.size, np.float32)
            values[name][order] = survey_map.values_of(ascending)
        return values

    def require_coverage(self, values: Mapping[str, np.ndarray]) -> None:
        """Raise BalrogError if a map has no value at any of the positions looked up."""
        for name, column in values.items():
            if column.size and not np.isfinite(column).any():
                survey_map = self.maps[name]
                raise BalrogError(
                    f"{survey_map.path}: the map for {name} must cover the catalogue, but covers "
                    f"none of its {column.size:,} galaxies; is it of another part of the sky, or "
                    f"is its ordering ({'NESTED' if survey_map.nest else 'RING'}) wrong?"
                )


def find_map(directory: str | os.PathLike[str], patterns: Sequence[str]) -> Path | None:
    """Find the one map file whose name matches, or None.

    Parameters
    ----------
    directory : path
        Where the files lie.
    patterns : sequence of str
        Shell patterns without suffix; the first that matches counts. Dots and underscores are
        the same here, since data releases differ in them.

    Returns
    -------
    pathlib.Path or None

    Raises
    ------
    BalrogError
        If there is no such directory, or one pattern matches several files.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise BalrogError(f"the maps must lie in a directory; {directory} is none")
    files = [path for path in sorted(directory.iterdir()) if path.name.endswith(_SUFFIXES)]
    for pattern in patterns:
        wanted = pattern.replace(".", "_")
        found = [path for path in files if fnmatch.fnmatchcase(_plain_name(path), wanted)]
        if len(found) > 1:
            raise BalrogError(
                f"{directory}: one map must match {pattern!r}, found "
                f"{', '.join(path.name for path in found)}; remove or rename all but one"
            )
        if found:
            return found[0]
    return None


def write_partial_map(
    path: str | os.PathLike[str],
    pixels: np.ndarray,
    values: np.ndarray,
    *,
    nside: int,
    nest: bool = True,
    unit: str,
    extra_header: Mapping[str, Any] | None = None,
) -> None:
    """Write a partial-sky HEALPix map (columns PIXEL, SIGNAL), whole or not at all.

    Parameters
    ----------
    path : path
        ``.fits`` or ``.fits.gz``.
    pixels : int array, shape (P,)
        Distinct pixels; written ascending.
    values : array, shape (P,)
        Written as float32.
    nside, nest : int, bool
        Resolution and numbering of `pixels`.
    unit : str
        Unit of `values`.
    extra_header : mapping, optional
        More header keywords (at most 8 characters) and their values.

    Raises
    ------
    BalrogError
        If pixels repeat, are out of range, or differ in number from the values.
    """
    import fitsio

    pixels, values = np.asarray(pixels, dtype=np.int64), np.asarray(values, dtype=np.float32)
    unique, first = np.unique(pixels, return_index=True)
    if unique.size != pixels.size or pixels.shape != values.shape:
        raise BalrogError(
            f"{path}: a map needs one value for each of its distinct pixels; found "
            f"{unique.size:,} distinct pixels in {pixels.size:,} and {values.size:,} values"
        )
    if unique.size and (unique[0] < 0 or unique[-1] >= 12 * nside**2):
        raise BalrogError(f"{path}: a pixel is out of range for nside {nside}")
    table = np.empty(unique.size, [("PIXEL", np.int64), ("SIGNAL", np.float32)])
    table["PIXEL"], table["SIGNAL"] = unique, values[first]
    header: dict[str, Any] = {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NESTED" if nest else "RING",
        "NSIDE": nside,
    }
    header |= {"INDXSCHM": "EXPLICIT", "OBJECT": "PARTIAL", "BAD_DATA": -1.6375e30}
    with atomic_path(path) as partial:
        fitsio.write(
            partial, table, header=header | dict(extra_header or {}), units=["", unit], clobber=True
        )


def _plain_name(path: Path) -> str:
    suffix = next(suffix for suffix in _SUFFIXES if path.name.endswith(suffix))
    return path.name.removesuffix(suffix).replace(".", "_")
