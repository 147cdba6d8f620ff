"""Train, validation and test: split by region of the sky, and by parent if asked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.map_formats.map_file import pixels_at

__all__ = [
    "REGION_NEST",
    "REGION_NSIDE",
    "SPLITS",
    "assign_splits",
    "check_fractions",
    "crossing_parents",
    "keyed_hash",
    "merge_parents",
    "pack_regions",
    "region_of",
    "split_of_parents",
    "unique_parents",
    "unpack_regions",
    "with_neighbors",
]

REGION_NSIDE = 64
REGION_NEST = True
SPLITS = ("train", "validation", "test")

# One stream of random numbers per thing drawn, so that no two draws share their numbers.
_STREAMS = {"region": 1, "parent": 2, "shuffle": 3}


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


def pack_regions(regions: np.ndarray) -> str:
    """Regions (int64, any order) as one bit for each region of the sky, in hexadecimal."""
    occupied = np.zeros(12 * REGION_NSIDE**2, bool)
    occupied[regions] = True
    return np.packbits(occupied).tobytes().hex()


def unpack_regions(packed: Iterable[str]) -> np.ndarray:
    """Union of several :func:`pack_regions`: int64, ascending."""
    occupied = np.zeros(12 * REGION_NSIDE**2 // 8, np.uint8)
    for text in packed:
        occupied |= np.frombuffer(bytes.fromhex(text), np.uint8)
    return np.flatnonzero(np.unpackbits(occupied))


def with_neighbors(regions: np.ndarray) -> np.ndarray:
    """Regions and the regions that touch them, int64, ascending."""
    import healpy

    around = healpy.get_all_neighbours(REGION_NSIDE, regions, nest=REGION_NEST)
    together = np.union1d(regions, around.ravel())
    return together[together >= 0]


def keyed_hash(keys: Any, seed: int, stream: str) -> np.ndarray:
    """Random bits that depend on (seed, stream, key) alone, whatever the other keys.

    Parameters
    ----------
    keys : array_like of int64, shape (N,)
        What each number is drawn for: a row id, parent id or region.
    seed : int
        Seed, any integer.
    stream : {"region", "parent", "shuffle"}
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
    mixed: np.ndarray = state ^ (state >> np.uint64(31))
    return mixed


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
    check_fractions(validation_fraction, test_fraction)
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
    check_fractions(validation_fraction, test_fraction)
    uniform = keyed_hash(parents, seed, "parent") * 2.0**-64
    split = np.zeros(uniform.shape, np.int8)
    split[uniform < test_fraction + validation_fraction] = SPLITS.index("validation")
    split[uniform < test_fraction] = SPLITS.index("test")
    return split


def unique_parents(parents: Any, splits: Any) -> tuple[np.ndarray, np.ndarray]:
    """Distinct parents and the splits that each is found in.

    Parameters
    ----------
    parents : array_like of int64, shape (N,)
        Parent of each row.
    splits : array_like of int, shape (N,)
        Split of each row, as an index into :data:`SPLITS`.

    Returns
    -------
    parents : int64 array, shape (P,)
        Ascending.
    found_in : uint8 array, shape (P,)
        Bit k is set if the parent is in split k.
    """
    bits = np.uint8(1) << np.asarray(splits, dtype=np.uint8)
    return _combined(np.asarray(parents, dtype=np.int64), bits)


def merge_parents(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Put two results of :func:`unique_parents` together."""
    return _combined(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def _combined(parents: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(parents, kind="stable")
    ascending = parents[order]
    first = np.flatnonzero(np.append(True, np.diff(ascending) != 0)[: ascending.size])
    if first.size == 0:
        return ascending, bits
    return ascending[first], np.bitwise_or.reduceat(bits[order], first)


def crossing_parents(found_in: np.ndarray) -> int:
    """Count the parents found in more than one split (see :func:`unique_parents`)."""
    return int(np.count_nonzero(found_in & (found_in - np.uint8(1))))


def check_fractions(validation_fraction: float, test_fraction: float) -> None:
    """Raise BalrogError if fractions leave no room for a split."""
    if not (0 < validation_fraction < 1 and 0 < test_fraction < 1):
        raise BalrogError(
            "--validation-fraction and --test-fraction must lie in (0, 1); found validation "
            f"{validation_fraction} and test {test_fraction}"
        )
    if validation_fraction + test_fraction >= 1:
        raise BalrogError(
            f"validation ({validation_fraction}) and test ({test_fraction}) fractions leave "
            "nothing to train on; their sum must be below 1"
        )
