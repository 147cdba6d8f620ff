"""NumPy's noise against the graph's, and against Python integers."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from test_keyed_noise import _integer_uniform, _reference

from balrog_keras import keyed_noise, numpy_noise

EXTREME_IDS = [0, 1, -4, -(2**63), 2**63 - 1, 10**15 + 3]
KEYS = [(0, 0), (5, 0), (-7, 3), (2**63 - 1, 0), (-(2**63), 2**40)]


def _ids(rows):
    random = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, rows, dtype="int64")
    return np.concatenate([np.array(EXTREME_IDS, "int64"), random])


def _int64(value):
    return tf.constant(value, tf.int64)


@pytest.mark.parametrize(("seed", "draw"), KEYS)
def test_uniforms_are_the_graphs_to_the_bit(seed, draw):
    ids = _ids(20_000)
    graph = keyed_noise.keyed_uniform(_int64(seed), tf.constant(ids), draw).numpy()
    numpy = numpy_noise.keyed_uniform(seed, ids, draw)
    assert numpy.dtype == np.float32
    np.testing.assert_array_equal(numpy, graph)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
@pytest.mark.parametrize(("seed", "draw"), KEYS)
def test_normals_are_the_graphs_to_rounding(seed, draw, count):
    ids = _ids(20_000)
    graph = keyed_noise.keyed_normals(_int64(seed), tf.constant(ids), count, draw).numpy()
    numpy = numpy_noise.keyed_normals(seed, ids, count, draw)
    assert (numpy.dtype, numpy.shape) == (np.float32, (len(ids), count))
    np.testing.assert_allclose(numpy, graph, atol=1e-6)


@pytest.mark.parametrize(("seed", "row_id"), [(3, 7), (-7, -(2**63)), (2**62, 2**63 - 1)])
def test_agrees_with_integers_of_python(seed, row_id):
    found = numpy_noise.keyed_normals(seed, [row_id], 4, draw=2)[0]
    pairs = [_reference(seed, row_id, 2, pair) for pair in range(2)]
    np.testing.assert_allclose(found, np.array(pairs).T.ravel(), atol=2e-5)
    assert numpy_noise.keyed_uniform(seed, [row_id])[0] == _integer_uniform(seed, row_id)


def test_rows_are_independent_of_each_other_and_may_be_none():
    ids = _ids(1_000)
    whole = numpy_noise.keyed_normals(1, ids, 5)
    np.testing.assert_allclose(numpy_noise.keyed_normals(1, ids[::-7], 5), whole[::-7], atol=1e-6)
    assert numpy_noise.keyed_normals(1, [], 5).shape == (0, 5)
    assert numpy_noise.keyed_uniform(1, []).shape == (0,)


def test_wraps_around_without_warnings_and_without_tensorflow():
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from balrog_keras.numpy_noise import keyed_normals, keyed_uniform\n"
        "keyed_normals(-1, [2**62], 3, draw=2**50); keyed_uniform(-1, [2**62])\n"
        "assert not {'tensorflow', 'keras', 'pandas'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
