import sys
from pathlib import Path

import pytest
import tensorflow as tf

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "throughput_parts"))

from matmul import flops_of_products


@pytest.mark.parametrize("count", [1, 5])
def test_products_are_counted_as_often_as_a_loop_runs_them(count):
    def looped(left, right):
        _, product = tf.while_loop(
            lambda number, _: number < count,
            lambda number, product: (number + 1, tf.tanh(product @ right)),
            [tf.constant(0), left],
        )
        return product @ right

    step = tf.function(looped, jit_compile=True)
    left, right = tf.ones((7, 16)), tf.ones((16, 16))
    hlo = step.experimental_get_compiler_ir(left, right)(stage="optimized_hlo")
    assert flops_of_products(hlo) == (count + 1) * 2 * 7 * 16 * 16
