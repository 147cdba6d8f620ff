"""The noise of :mod:`balrog_keras.keyed_noise` in NumPy, for what draws without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["keyed_normals", "keyed_uniform"]

# splitmix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195): increment and multipliers.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
# Where keyed_normals absorbs the number of a pair; no latent is that long.
_UNIFORM = 2**63


def keyed_normals(seed: int, row_id: Any, count: int, draw: int = 0) -> np.ndarray:
    """Standard normals that depend only on (seed, row_id, draw, position).

    Parameters
    ----------
    seed : int
        Any 64-bit value, negative ones too.
    row_id : array_like of int64, shape (N,)
        Identity of each row; equal ids give equal noise.
    count : int
        Normals per row.
    draw : int
        Number of the realization.

    Returns
    -------
    float32 array, shape (N, count)
        From the same bits as the graph's, by the same operations in float32: equal up to the
        rounding of logarithm, sine and cosine.

    Examples
    --------
    >>> noise = keyed_normals(seed=1, row_id=[7, 8, 7], count=3)
    >>> bool((noise[0] == noise[2]).all()), bool((noise[0] == noise[1]).any())
    (True, False)
    """
    pairs = np.arange((count + 1) // 2, dtype=np.uint64)
    bits = _absorb(_row_state(seed, row_id, draw)[:, None], pairs[None, :])
    radius = np.sqrt(np.float32(-2) * np.log(_in_unit_interval(bits >> np.uint64(32))))
    angle = np.float32(2 * np.pi) * _in_unit_interval(bits & np.uint64(0xFFFFFFFF))
    normals = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return normals[:, :count]


def keyed_uniform(seed: int, row_id: Any, draw: int = 0) -> np.ndarray:
    """Uniforms that depend only on (seed, row_id, draw), independent of the row's normals.

    Parameters
    ----------
    seed : int
        Any 64-bit value, negative ones too.
    row_id : array_like of int64, shape (N,)
        Identity of each row; equal ids give equal uniforms.
    draw : int
        Number of the realization.

    Returns
    -------
    float32 array, shape (N,)
        In [0, 1), multiples of 2**-24: exactly the graph's.
    """
    bits = _absorb(_row_state(seed, row_id, draw), _word(_UNIFORM))
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


def _row_state(seed: int, row_id: Any, draw: int) -> np.ndarray:
    """Hash of (seed, draw, row_id), uint64, shape (N,)."""
    state = _absorb(_absorb(_word(0), _word(seed)), _word(draw))
    return _absorb(state, np.asarray(row_id, np.int64).view(np.uint64))


def _word(value: int) -> np.ndarray:
    """64 bits of an integer; an array, for which NumPy wraps around without a warning."""
    return np.array([int(value) % 2**64], np.uint64)


def _absorb(state: np.ndarray, word: np.ndarray) -> np.ndarray:
    """Hash the next 64-bit word into the state."""
    state = (state ^ word) + _GOLDEN
    for shift, multiplier in _STEPS:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(multiplier)
    return state


def _in_unit_interval(bits: np.ndarray) -> np.ndarray:
    """32 bits held in uint64 to float32 in (0, 1]."""
    return (bits.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32)
