"""Survey properties at positions: one map, or arithmetic over several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from data_prep.expressions import evaluate
from data_prep.map_formats.map_file import pixels_at, require_positions

__all__ = ["MapColumn", "MapReader", "look_up"]

# Interpolating needs four pixels and weights for each position.
_INTERPOLATED_ROWS = 1 << 20


class MapReader(Protocol):
    """What can tell the values of one map in given pixels."""

    @property
    def nside(self) -> int:
        """Resolution."""

    @property
    def nest(self) -> bool:
        """Numbering of the map, which decides in which pixel a position is."""

    @property
    def nested(self) -> bool:
        """Whether :meth:`values_of` wants NESTED pixels (else the map's numbering)."""

    def values_of(self, ascending: np.ndarray) -> np.ndarray:
        """Value in each pixel, float32, shape (N,); pixels int64, ascending."""


@dataclass(frozen=True)
class MapColumn:
    """What a survey property is made of.

    Attributes
    ----------
    maps : dict of str to str
        Alias in the expression -> name of the map.
    expression : str
        See :func:`data_prep.expressions.evaluate`; ``""`` means the only map itself.
    zero_is_missing : bool
        Whether a 0 in a map means that there is no value.
    minimum, maximum : float or None
        Values outside are junk and count as missing.
    """

    maps: Mapping[str, str]
    expression: str = ""
    zero_is_missing: bool = False
    minimum: float | None = None
    maximum: float | None = None

    def values(self, of_map: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        """Values of the column `name`, new float32 array (N,), from the values of its maps."""
        inputs = {alias: self._given(of_map[key]) for alias, key in self.maps.items()}
        if self.expression:
            where = f"survey property {name}"
            with np.errstate(over="ignore"):
                values = evaluate(self.expression, inputs, where).astype(np.float32)
        else:
            (values,) = inputs.values()
        missing = ~np.isfinite(values)
        if self.minimum is not None:
            missing |= values < np.float32(self.minimum)
        if self.maximum is not None:
            missing |= values > np.float32(self.maximum)
        return np.where(missing, np.float32(np.nan), values)

    def _given(self, values: np.ndarray) -> np.ndarray:
        return np.where(values == 0, np.float32(np.nan), values) if self.zero_is_missing else values


def look_up(
    maps: Mapping[str, MapReader],
    columns: Mapping[str, MapColumn],
    ra_deg: Any,
    dec_deg: Any,
    interpolate: bool = False,
) -> dict[str, np.ndarray]:
    """Value of every column at each position.

    Parameters
    ----------
    maps : mapping of str to MapReader
        The maps by name; looked up one after the other.
    columns : mapping of str to MapColumn
        What is made of them.
    ra_deg, dec_deg : array_like, shape (N,)
        As for :func:`data_prep.map_formats.map_file.pixels_at`.
    interpolate : bool
        Whether values are interpolated bilinearly between the four nearest pixels, as healpy
        does, with the weights of those that have a value; NaN where none of them has.

    Returns
    -------
    dict of str to float32 array, shape (N,)
        Column -> values, NaN where there is none.

    Raises
    ------
    BalrogError
        If a position is out of range, a map is damaged or an expression malformed.
    """
    ra, dec = require_positions(ra_deg, dec_deg)
    if not interpolate or len(ra) <= _INTERPOLATED_ROWS:
        return _look_up(maps, columns, ra, dec, interpolate)
    found = {name: np.empty(len(ra), np.float32) for name in columns}
    for start in range(0, len(ra), _INTERPOLATED_ROWS):
        part = slice(start, start + _INTERPOLATED_ROWS)
        for name, values in _look_up(maps, columns, ra[part], dec[part], True).items():
            found[name][part] = values
    return found


def _look_up(
    maps: Mapping[str, MapReader],
    columns: Mapping[str, MapColumn],
    ra: np.ndarray,
    dec: np.ndarray,
    interpolate: bool,
) -> dict[str, np.ndarray]:
    places: dict[tuple[int, bool, bool], _Places] = {}
    of_map: dict[str, np.ndarray] = {}
    uses_left = Counter(_uses(columns.values()))
    found = {}
    for name, column in columns.items():
        for key in column.maps.values():
            if key not in of_map:
                kind = (maps[key].nside, maps[key].nest, maps[key].nested)
                if kind not in places:
                    places[kind] = _Places.at(ra, dec, *kind, interpolate)
                of_map[key] = places[kind].values_in(maps[key])
        found[name] = column.values(of_map, name)
        uses_left.subtract(_uses([column]))
        of_map = {key: values for key, values in of_map.items() if uses_left[key]}
    return found


def _uses(columns: Iterable[MapColumn]) -> list[str]:
    return [key for column in columns for key in column.maps.values()]


@dataclass(frozen=True)
class _Places:
    """Pixels of some positions in ascending order, and how to get back to the positions.

    With weights, shape (4, N), pixels are those of each position's neighbours, flattened.
    """

    ascending: np.ndarray
    order: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def at(
        cls, ra: np.ndarray, dec: np.ndarray, nside: int, nest: bool, nested: bool,
        interpolate: bool,
    ) -> _Places:  # fmt: skip
        import healpy

        weights = None
        if interpolate:
            pixels, weights = healpy.get_interp_weights(nside, ra, dec, nest=nest, lonlat=True)
            pixels = pixels.ravel()
        else:
            pixels = pixels_at(ra, dec, nside=nside, nest=nest)
        if nested and not nest:
            pixels = healpy.ring2nest(nside, pixels)
        order = np.argsort(pixels)
        return cls(pixels[order], order, weights)

    def values_in(self, survey_map: MapReader) -> np.ndarray:
        values = np.empty(len(self.order), np.float32)
        values[self.order] = survey_map.values_of(self.ascending)
        if self.weights is None:
            return values
        around = values.reshape(self.weights.shape)
        weights = np.where(np.isnan(around), 0.0, self.weights)
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = (weights * np.nan_to_num(around)).sum(axis=0) / weights.sum(axis=0)
        return mean.astype(np.float32)
