r"""Statistics of the galaxies drawn in each pixel, with Monte Carlo errors.

In a pixel, K points x_k get the truth galaxies t_k. With n of them where every survey property
s(x_k) has a value, q_k = P(detected | t_k, s(x_k)), d_k = 1 where galaxy k was drawn as detected
(and passes the cuts), and Delta_k = measured - true magnitude, the maps are

- coverage: n / K
- completeness: sum_k q_k / n
- selected: sum_k d_k / n, the fraction that is detected and passes the cuts
- bias: sum_k d_k Delta_k / sum_k d_k
- scatter: half the 16-84 % range of Delta_k over d_k = 1
- depth: the true magnitude at which that half range is 2.5 / ln(10) / 10 = 0.109 mag, the error
  of a flux with a signal-to-noise ratio of 10.

Depth takes the galaxies with true magnitudes up to 0.75 mag brighter, and fainter, than
itself (found by iteration). As sky noise is the same flux at any magnitude M, the half range of
(Delta_k - median) 10^(-0.4 M_k) is nearly constant: its logarithm is taken for either half, with
the half's median, interpolated linearly between the halves' mean magnitudes, and solved for the
target. All statistics are those of galaxies that are detected, whose scatter the selection makes
smaller.

Errors are a delete-a-group jackknife (Shao & Tu 1995) over 10 groups of points, so that they hold
for each of these statistics: the Monte Carlo error of the map, which more draws reduce, not the
error of the emulator. They are themselves uncertain by a quarter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["LEAST_DRAWS", "TARGET_SCATTER", "Draws", "MagnitudePair", "map_statistics"]

TARGET_SCATTER = 2.5 / np.log(10) / 10

_GROUPS = 10
# Two galaxies of each group: fewer leave nothing to resample.
LEAST_DRAWS = 2 * _GROUPS
# The half range of fewer values says too little.
_LEAST_ROWS = 10
_LN_FLUX = 0.4 * np.log(10)
# Fluxes are relative to that of this magnitude, to keep numbers near 1.
_REFERENCE = 20.0
_HALF_MAG, _ITERATIONS = 0.75, 5
# Normal distribution at -1 and 1 standard deviation.
_LOW, _HIGH = 0.158655, 0.841345


@dataclass(frozen=True)
class MagnitudePair:
    """A measured magnitude and the true one it is compared with.

    Attributes
    ----------
    name : str
        Measured column.
    measured, true : int
        Place among the measured columns and among the conditions.
    """

    name: str
    measured: int
    true: int


@dataclass(frozen=True)
class Draws:
    """Galaxies that were drawn at the points of some pixels that have every survey property.

    Attributes
    ----------
    pixel : int64 array, shape (N,)
        Number of the pixel among the P pixels.
    point : int64 array, shape (N,)
        Number of the point in its pixel, from 0 to K - 1, in order of the galaxies' brightness.
    condition : float32 array, shape (N, C)
        Truth and survey properties.
    measured : float32 array, shape (N, M)
        NaN where not detected.
    p_detect : float32 array, shape (N,)
        P(detected | condition).
    selected : bool array, shape (N,)
        Detected, and passes the cuts.
    """

    pixel: np.ndarray
    point: np.ndarray
    condition: np.ndarray
    measured: np.ndarray
    p_detect: np.ndarray
    selected: np.ndarray

    @property
    def group(self) -> np.ndarray:
        """Jackknife group of each galaxy, shape (N,).

        Each block of 10 neighbours in brightness has one galaxy of every group, and the groups
        take turns to have the brightest.
        """
        group: np.ndarray = (self.point + self.point // _GROUPS) % _GROUPS
        return group


def map_statistics(
    draws: Draws, pixels: int, points: int, pairs: list[MagnitudePair], cuts: bool
) -> dict[str, np.ndarray]:
    """Maps of some pixels; see the module for what they are.

    Parameters
    ----------
    draws : Draws
        Their galaxies.
    pixels, points : int
        Number of pixels, P, and of points in each, K.
    pairs : list of MagnitudePair
        Magnitudes to compare.
    cuts : bool
        Whether the selection is more than detection; adds ``selected``.

    Returns
    -------
    dict of str to float32 array, shape (P,)
        ``coverage``, ``completeness`` and, for each measured magnitude X, ``bias_X``,
        ``scatter_X`` and ``depth_X``, each but the first followed by its ``_error``; NaN where
        there are too few galaxies to tell.
    """
    covered = np.bincount(draws.pixel, minlength=pixels)
    maps = {"coverage": covered / points}
    every = np.ones(len(draws.pixel), bool)
    statistics = {"completeness": _mean(draws, draws.p_detect, every, pixels)}
    if cuts:
        statistics["selected"] = _mean(draws, draws.selected, every, pixels)
    for pair in pairs:
        difference = draws.measured[:, pair.measured] - draws.condition[:, pair.true]
        known = draws.selected & np.isfinite(difference)
        statistics[f"bias_{pair.name}"] = _mean(draws, difference, known, pixels)
        statistics[f"scatter_{pair.name}"] = _scatter(draws, difference, known, pixels)
        statistics[f"depth_{pair.name}"] = _depth(draws, difference, known, pixels, pair)
    for name, statistic in statistics.items():
        error = _jackknife(statistic)
        maps[name] = np.where(np.isfinite(error), statistic(None), np.nan)
        maps[f"{name}_error"] = error
    return {name: values.astype(np.float32) for name, values in maps.items()}


Statistic = Callable[[int | None], np.ndarray]


def _jackknife(statistic: Statistic) -> np.ndarray:
    """Standard error, from the statistic without each group."""
    # One pixel per row: numpy then adds up a pixel in the same order however many there are.
    without = np.stack([statistic(group) for group in range(_GROUPS)], axis=1)
    deviation = without - without.mean(axis=1, keepdims=True)
    standard_error: np.ndarray = np.sqrt((_GROUPS - 1) / _GROUPS * (deviation**2).sum(axis=1))
    return standard_error


def _mean(draws: Draws, values: np.ndarray, known: np.ndarray, pixels: int) -> Statistic:
    """Mean of the known values of each pixel, without a group."""
    cell = draws.pixel[known] * _GROUPS + draws.group[known]
    both = np.stack(
        [
            np.bincount(cell, weights, pixels * _GROUPS).reshape(pixels, _GROUPS)
            for weights in (values[known].astype(np.float64), None)
        ]
    )

    def statistic(left_out: int | None) -> np.ndarray:
        total, count = both.sum(axis=2) - (0 if left_out is None else both[:, :, left_out])
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = total / count
            return mean

    return statistic


class _Cells:
    """Values sorted inside of cells, so that quantiles of every cell are places in one array."""

    def __init__(self, cell: np.ndarray, value: np.ndarray, group: np.ndarray, cells: int) -> None:
        order = np.lexsort((value, cell))
        self._cell, self._value, self._group = cell[order], value[order], group[order]
        self._cells = cells

    def half_range(self, left_out: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Half the 16-84 % range of each cell, NaN where there are too few; number of values."""
        (low, high), count = self.quantiles((_LOW, _HIGH), left_out)
        return (high - low) / 2, count

    def quantiles(
        self, levels: tuple[float, ...], left_out: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles of each cell, (levels, cells), NaN where there are too few; number of values.

        They are those of :func:`numpy.quantile`'s method ``normal_unbiased``.
        """
        keep = self._group != left_out
        value = self._value[keep].astype(np.float64)
        count = np.bincount(self._cell[keep], minlength=self._cells)
        start, enough = np.cumsum(count) - count, count >= _LEAST_ROWS
        result = np.full((len(levels), self._cells), np.nan)
        for row, level in zip(result, levels, strict=True):
            row[enough] = _at(value, start[enough], (count[enough] + 0.25) * level - 0.625)
        return result, count


def _at(value: np.ndarray, start: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Values between two places, counted from a start."""
    before = np.floor(place).astype(np.int64)
    low = value[start + before]
    between: np.ndarray = low + (place - before) * (value[start + before + 1] - low)
    return between


def _scatter(draws: Draws, difference: np.ndarray, known: np.ndarray, pixels: int) -> Statistic:
    cells = _Cells(draws.pixel[known], difference[known], draws.group[known], pixels)
    return lambda left_out: cells.half_range(left_out)[0]


def _depth(
    draws: Draws, difference: np.ndarray, known: np.ndarray, pixels: int, pair: MagnitudePair
) -> Statistic:
    galaxies = _Galaxies(
        draws.pixel[known], draws.condition[known, pair.true].astype(np.float64),
        difference[known].astype(np.float64), draws.group[known],
    )  # fmt: skip
    everything = _Cells(galaxies.pixel, galaxies.scaled(0.0), galaxies.group, pixels)
    half_range, _ = everything.half_range(None)
    depth = _REFERENCE - np.log(half_range / TARGET_SCATTER) / _LN_FLUX
    for _ in range(_ITERATIONS):
        step = galaxies.depth_near(depth)(None) - depth
        # Too few galaxies, or too steep a line through them, must not lead away for good.
        depth = depth + np.clip(np.nan_to_num(step, nan=0.0), -_HALF_MAG / 2, _HALF_MAG / 2)
    return galaxies.depth_near(depth)


@dataclass(frozen=True)
class _Galaxies:
    """Selected galaxies; arrays of shape (N,)."""

    pixel: np.ndarray
    magnitude: np.ndarray
    difference: np.ndarray
    group: np.ndarray

    def scaled(self, offset: np.ndarray | float) -> np.ndarray:
        """Differences from an offset, as they would be at the reference magnitude."""
        scale = np.exp(_LN_FLUX * (_REFERENCE - self.magnitude))
        scaled: np.ndarray = (self.difference - offset) * scale
        return scaled

    def depth_near(self, guess: np.ndarray) -> Statistic:
        """Depth from the galaxies up to 0.75 mag brighter and fainter than a guess."""
        cells = 2 * len(guess)
        fainter = self.magnitude - guess[self.pixel]
        near = np.abs(fainter) < _HALF_MAG
        cell = (2 * self.pixel + (fainter >= 0))[near]
        kept = _Galaxies(*(each[near] for each in (self.pixel, self.magnitude, self.difference,
                                                   self.group)))  # fmt: skip
        # A half's median is its bias, which would scale with the flux into a scatter.
        (median,), _ = _Cells(cell, kept.difference, kept.group, cells).quantiles((0.5,), None)
        ranges = _Cells(cell, kept.scaled(median[cell]), kept.group, cells)

        def statistic(left_out: int | None) -> np.ndarray:
            half_range, count = ranges.half_range(left_out)
            keep = kept.group != left_out
            total = np.bincount(cell[keep], kept.magnitude[keep], cells)
            magnitude = (total / np.maximum(count, 1)).reshape(-1, 2)
            return _crossing(magnitude, np.log(half_range / TARGET_SCATTER).reshape(-1, 2))

        return statistic


def _crossing(magnitude: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Magnitude at which the scatter is the target, from both halves' mean and height, (P, 2)."""
    (bright, faint), (low, high) = magnitude.T, height.T
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (high - low) / (faint - bright)
        found = (_LN_FLUX * _REFERENCE - low + slope * bright) / (slope + _LN_FLUX)
        return np.where(slope + _LN_FLUX > 0, found, np.nan)
