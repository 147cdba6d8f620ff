"""Matrix products: what the machine can do, and what a compiled program holds."""

from __future__ import annotations

import math
import re
import time
from typing import NamedTuple

import tensorflow as tf

_SHAPE = re.compile(r"%?([\w.\-]+) = \w+\[([\d,]*)\]")
_PRODUCT = re.compile(
    r"%?([\w.\-]+) = \w+\[[\d,]*\]\S* dot\(%?([\w.\-]+),.*?lhs_contracting_dims=\{([\d,]+)\}"
)


class Peak(NamedTuple):
    """FLOP per second of the clock, and per second of processor time."""

    wall: float
    cpu: float


@tf.function(jit_compile=True, reduce_retracing=False)
def _chain(left, right, count):
    for _ in range(count):
        left = left @ right
    return left


def matmul_peak(batch: int) -> Peak:
    """Best of chains of 128-wide and of square float32 products."""
    best = Peak(0.0, 0.0)
    for rows, size, count in ((batch, 128, 200), (2048, 2048, 4)):
        left = tf.random.normal((rows, size))
        right = tf.random.normal((size, size)) / size**0.5
        _chain(left, right, count).numpy()
        wall, cpu = time.perf_counter(), time.process_time()
        _chain(left, right, count).numpy()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        flops = 2 * rows * size * size * count
        best = Peak(max(best.wall, flops / wall), max(best.cpu, flops / cpu))
    return best


def flops_of_products(hlo: str) -> int:
    """Floating-point operations of all matrix products in the text of an XLA program.

    A product costs two for each element of the result and each one summed over.
    """
    shapes = {name: [int(d) for d in dims.split(",") if d] for name, dims in _SHAPE.findall(hlo)}
    return sum(
        2 * math.prod(shapes[name]) * math.prod(shapes[left][int(d)] for d in summed.split(","))
        for name, left, summed in _PRODUCT.findall(hlo)
    )
