"""Train, validation and test: split by region of the sky, and by parent if asked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.map_file import pixels_at

__all__ = [
    "REGION_NEST",
    "REGION_NSIDE",
    "SPLITS",
    "assign_splits",
    "crossing_parents",
    "keyed_hash",
    "region_of",
    "split_of_parents",
]

REGION_NSIDE = 64
REGION_NEST = True
SPLITS = ("train", "validation", "test")

# One stream of random numbers per thing drawn, so that no two draws share their numbers.
_STREAMS = {"region": 1, "parent": 2, "shuffle": 3, "validation": 4}


def region_of(ra_deg: Any, dec_deg: Any) -> np.ndarray:
    """Region of the sky: HEALPix pixel at nside 64, NESTED (0.92 deg, about a DES tile).

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (N,)
        Position in degrees, ra in [0, 360), dec in [-90, 90].

    Returns
    -------
    int64 array, shape (N,)

    Raises
    ------
    BalrogError
        If a position is out of range or not a number.

    Examples
    --------
    >>> region_of([45.0], [10.0])
    array([192])
    """
    return pixels_at(ra_deg, dec_deg, nside=REGION_NSIDE, nest=REGION_NEST)


def keyed_hash(keys: Any, seed: int, stream: str) -> np.ndarray:
    """Random bits that depend on (seed, stream, key) alone, whatever the other keys.

    Parameters
    ----------
    keys : array_like of int64, shape (N,)
        What each number is drawn for: a row id, parent id or region.
    seed : int
        Seed, any integer.
    stream : {"region", "parent", "shuffle", "validation"}
        What is drawn.

    Returns
    -------
    uint64 array, shape (N,)
        Uniform; distinct for distinct keys, so that sorting by it has no ties.

    Notes
    -----
    Two rounds of the splitmix64 finalizer, a bijection (Steele, Lea & Flood 2014,
    doi:10.1145/2714064.2660195).
    """
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + _STREAMS[stream]) & 0xFFFFFFFFFFFFFFFF)
    state = np.atleast_1d(np.asarray(keys, dtype=np.int64)).view(np.uint64)
    return _mix(_mix(state + _mix(np.atleast_1d(start))))


def _mix(state: np.ndarray) -> np.ndarray:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def assign_splits(
    regions: Any, seed: int = 0, validation_fraction: float = 0.1, test_fraction: float = 0.2
) -> dict[int, str]:
    """Give every region a split, by the rank of its keyed hash.

    Depends on the set of regions and the seed alone, not on how often or in which order a
    region is named.

    Parameters
    ----------
    regions : array_like of int64
        Regions, repeats allowed.
    seed : int
        Seed of the hash.
    validation_fraction, test_fraction : float
        Of the number of regions, rounded up; the rest is train.

    Returns
    -------
    dict
        Region -> ``"train"``, ``"validation"`` or ``"test"``, in ascending region.

    Raises
    ------
    BalrogError
        If a fraction is out of range or any split would stay without a region.
    """
    _check_fractions(validation_fraction, test_fraction)
    unique = np.unique(np.asarray(regions, dtype=np.int64))
    # Rounding first keeps 0.07 * 100 = 7.000000000000001 from becoming 8.
    test = math.ceil(round(test_fraction * unique.size, 9))
    validation = math.ceil(round(validation_fraction * unique.size, 9))
    if unique.size < 3 or test + validation >= unique.size:
        raise BalrogError(
            f"splitting by sky needs at least one region each for {', '.join(SPLITS)}; found "
            f"{unique.size} region(s) of 0.92 deg, of which test would take {test} and "
            f"validation {validation}; give a catalogue over more sky or smaller fractions"
        )
    ranked = unique[np.argsort(keyed_hash(unique, seed, "region"))]
    names = {int(region): "train" for region in unique}
    names |= {int(region): "test" for region in ranked[:test]}
    names |= {int(region): "validation" for region in ranked[test : test + validation]}
    return names


def split_of_parents(
    parents: Any, seed: int = 0, validation_fraction: float = 0.1, test_fraction: float = 0.2
) -> np.ndarray:
    """Split of each parent by its own keyed hash: index into :data:`SPLITS`.

    Parameters
    ----------
    parents : array_like of int64, shape (N,)
        Parent ids.
    seed, validation_fraction, test_fraction
        As for :func:`assign_splits`; fractions hold on average.

    Returns
    -------
    int8 array, shape (N,)
    """
    _check_fractions(validation_fraction, test_fraction)
    uniform = keyed_hash(parents, seed, "parent") * 2.0**-64
    split = np.zeros(uniform.shape, np.int8)
    split[uniform < test_fraction + validation_fraction] = SPLITS.index("validation")
    split[uniform < test_fraction] = SPLITS.index("test")
    return split


def crossing_parents(parents: Any, splits: Any) -> tuple[int, int]:
    """Count the distinct parents, and those found in more than one split.

    Parameters
    ----------
    parents : array_like of int64, shape (N,)
        Parent of each row.
    splits : array_like of int, shape (N,)
        Split of each row, as an index.

    Returns
    -------
    (int, int)
        Distinct parents; parents in more than one split.
    """
    parents = np.asarray(parents, dtype=np.int64)
    order = np.argsort(parents, kind="stable")
    sorted_parents, sorted_splits = parents[order], np.asarray(splits)[order]
    first = np.flatnonzero(np.diff(sorted_parents, prepend=sorted_parents[:1] - 1))
    if first.size == 0:
        return 0, 0
    low = np.minimum.reduceat(sorted_splits, first)
    high = np.maximum.reduceat(sorted_splits, first)
    return int(first.size), int(np.count_nonzero(low != high))


def _check_fractions(validation_fraction: float, test_fraction: float) -> None:
    if not (0 < validation_fraction < 1 and 0 < test_fraction < 1):
        raise BalrogError(
            "validation and test fractions must lie in (0, 1); found validation "
            f"{validation_fraction} and test {test_fraction}"
        )
    if validation_fraction + test_fraction >= 1:
        raise BalrogError(
            f"validation ({validation_fraction}) and test ({test_fraction}) fractions leave "
            "nothing to train on; their sum must be below 1"
        )
