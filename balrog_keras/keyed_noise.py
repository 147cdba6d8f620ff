"""Noise as a pure function of (seed, row id, draw): the same in any batch, order or process."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["keyed_normals", "keyed_uniform"]

# splitmix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195): increment and multipliers.
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)
# Where keyed_normals absorbs the number of a pair; no latent is that long.
_UNIFORM = 2**63


def _uint64(value: int) -> Any:
    return tf.constant(value, tf.uint64)


def _mix(state: Any) -> Any:
    """Scramble 64 bits: the output function of splitmix64."""
    for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, None), strict=True):
        state = tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, _uint64(shift)))
        if multiplier is not None:
            state = state * _uint64(multiplier)
    return state


def _absorb(state: Any, word: Any) -> Any:
    """Hash the next 64-bit word into the state."""
    return _mix(tf.bitwise.bitwise_xor(state, word) + _uint64(_GOLDEN))


def _uniform(bits: Any) -> Any:
    """32 bits held in uint64 to float32 in (0, 1]; the smallest is 2**-33, so tails reach 6.8."""
    return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-32


def keyed_normals(seed: Any, row_id: Any, count: int, draw: Any = 0) -> Any:
    """Standard normals that depend only on (seed, row_id, draw, position).

    Each pair comes from one 64-bit hash by the Box-Muller transform.

    Parameters
    ----------
    seed : int64 tensor, shape ()
        Any value, negative ones too.
    row_id : int64 tensor, shape (N,)
        Identity of each row; equal ids give equal noise.
    count : int
        Normals per row.
    draw : int64 tensor, shape (), or int
        Number of the realization.

    Returns
    -------
    float32 tensor, shape (N, count)
        Independent standard normals.

    Examples
    --------
    >>> ids = tf.constant([7, 8, 7], tf.int64)
    >>> noise = keyed_normals(tf.constant(1, tf.int64), ids, count=3)
    >>> bool(tf.reduce_all(noise[0] == noise[2])), bool(tf.reduce_any(noise[0] == noise[1]))
    (True, False)
    """
    pairs = (count + 1) // 2
    state = _row_state(seed, row_id, draw)
    state = _absorb(state[:, None], tf.cast(tf.range(pairs), tf.uint64)[None, :])
    radius = tf.sqrt(-2.0 * tf.math.log(_uniform(tf.bitwise.right_shift(state, _uint64(32)))))
    angle = 2.0 * 3.141592653589793 * _uniform(tf.bitwise.bitwise_and(state, _uint64(0xFFFFFFFF)))
    normals = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=1)
    return normals[:, :count]


def keyed_uniform(seed: Any, row_id: Any, draw: Any = 0) -> Any:
    """Uniforms that depend only on (seed, row_id, draw), independent of the row's normals.

    Parameters
    ----------
    seed : int64 tensor, shape ()
        Any value, negative ones too.
    row_id : int64 tensor, shape (N,)
        Identity of each row; equal ids give equal uniforms.
    draw : int64 tensor, shape (), or int
        Number of the realization.

    Returns
    -------
    float32 tensor, shape (N,)
        In [0, 1), multiples of 2**-24: exact, so that ``uniform < p`` is never true for p = 0 and
        always for p = 1.
    """
    state = _absorb(_row_state(seed, row_id, draw), _uint64(_UNIFORM))
    return tf.cast(tf.bitwise.right_shift(state, _uint64(40)), tf.float32) * 2.0**-24


def _row_state(seed: Any, row_id: Any, draw: Any) -> Any:
    """Hash of (seed, draw, row_id), uint64, shape (N,)."""
    state = _uint64(0)
    for word in (seed, draw, row_id):
        state = _absorb(state, tf.bitcast(tf.cast(word, tf.int64), tf.uint64))
    return state
