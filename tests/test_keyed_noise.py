import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from balrog_keras.keyed_noise import keyed_normals, keyed_uniform


def _normals(ids, seed=3, count=8, draw=0):
    ids = tf.constant(np.asarray(ids, "int64"))
    return keyed_normals(tf.constant(seed, tf.int64), ids, count, draw).numpy()


def _splitmix64(state):
    """Reference in Python integers: one output of splitmix64 for a state already advanced."""
    mask = 2**64 - 1
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


def _reference(seed, row_id, draw, pair):
    mask, state = 2**64 - 1, 0
    for word in (seed & mask, draw, row_id & mask, pair):
        state = _splitmix64(((state ^ word) + 0x9E3779B97F4A7C15) & mask)
    high, low = state >> 32, state & 0xFFFFFFFF
    radius = np.sqrt(-2 * np.log((high + 0.5) / 2**32))
    angle = 2 * np.pi * (low + 0.5) / 2**32
    return radius * np.cos(angle), radius * np.sin(angle)


@pytest.mark.parametrize("seed", [0, 5, -7, 2**62])
@pytest.mark.parametrize("row_id", [0, 1, -4, 2**63 - 1, 10**15 + 3])
def test_agrees_with_integers_of_python(seed, row_id):
    found = _normals([row_id], seed=seed, count=4, draw=2)[0]
    expected = [_reference(seed, row_id, 2, pair) for pair in range(2)]
    first, second = zip(*expected, strict=True)
    np.testing.assert_allclose(found, [*first, *second], atol=2e-5)


def test_splitting_and_permuting_change_nothing():
    """The hash is the same to the bit; log and cos may differ in the last one by vector lane."""
    ids = np.arange(1000) * 7919
    whole = _normals(ids)
    order = np.random.default_rng(0).permutation(1000)
    parts = np.concatenate([_normals(ids[:13]), _normals(ids[13:])])
    np.testing.assert_allclose(_normals(ids[order]), whole[order], atol=1e-6)
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_standard_normal_and_independent():
    sample = _normals(np.arange(200_000))
    for column in sample.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    correlation = np.corrcoef(sample.T) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(200_000)
    # Box-Muller pairs share a radius; their squares must not be correlated either.
    squares = np.corrcoef((sample**2).T) - np.eye(8)
    assert np.abs(squares).max() < 5 / np.sqrt(200_000)


@pytest.mark.parametrize("change", [{"seed": 4}, {"draw": 1}])
def test_another_key_is_independent(change):
    ids = np.arange(100_000)
    first, second = _normals(ids, count=1), _normals(ids, count=1, **change)
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 5 / np.sqrt(100_000)


def test_realization_as_a_tensor_or_a_number():
    ids, seed = tf.range(50, dtype=tf.int64), tf.constant(3, tf.int64)
    for make in (
        lambda draw: keyed_normals(seed, ids, 4, draw),
        lambda d: keyed_uniform(seed, ids, d),
    ):
        first = make(0).numpy()
        np.testing.assert_array_equal(make(tf.constant(0, tf.int64)).numpy(), first)
        seventh = make(tf.constant(7, tf.int64)).numpy()
        np.testing.assert_array_equal(make(7).numpy(), seventh)
        assert (first != seventh).any()


def test_no_rows():
    assert _normals([], count=3).shape == (0, 3)


def _uniform(ids, seed=3):
    ids = tf.constant(np.asarray(ids, "int64"))
    return keyed_uniform(tf.constant(seed, tf.int64), ids).numpy()


def _integer_uniform(seed, row_id):
    mask, state = 2**64 - 1, 0
    for word in (seed & mask, 0, row_id & mask, 2**63):
        state = _splitmix64(((state ^ word) + 0x9E3779B97F4A7C15) & mask)
    return (state >> 40) / 2**24


@pytest.mark.parametrize("seed", [0, -7, 2**62])
def test_uniform_agrees_with_integers_of_python(seed):
    ids = [0, 1, -4, 2**63 - 1]
    np.testing.assert_array_equal(_uniform(ids, seed), [_integer_uniform(seed, i) for i in ids])


def test_uniform_is_uniform_and_tells_nothing_of_the_normals():
    ids = np.arange(200_000)
    uniform, normals = _uniform(ids), _normals(ids)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert 0 <= uniform.min() < uniform.max() < 1
    for column in (*normals.T, *(normals**2).T):
        assert abs(stats.spearmanr(uniform, column).statistic) < 4 / np.sqrt(len(ids))
    assert np.abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]) < 4 / np.sqrt(len(ids))
