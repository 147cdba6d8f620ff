"""Matrix products: what the machine can do, and what a compiled program holds."""

from __future__ import annotations

import math
import re
import time
from functools import cache
from typing import NamedTuple

import tensorflow as tf

_SHAPE = re.compile(r"%?([\w.\-]+) = \w+\[([\d,]*)\]")
_PRODUCT = re.compile(
    r"%?([\w.\-]+) = \w+\[[\d,]*\]\S* dot\(%?([\w.\-]+),.*?lhs_contracting_dims=\{([\d,]+)\}"
)
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*?\{$(.*?)^\}", re.MULTILINE | re.DOTALL)
_CALLED = re.compile(r"(?:calls|to_apply|body)=%?([\w.\-]+)")
_LOOP = re.compile(r'body=%?([\w.\-]+),.*?"known_trip_count":\{"n":"(\d+)"\}')


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

    A product costs two for each element of the result and each one summed over. The body of a loop
    counts as often as it runs.
    """
    bodies = {name: (entry, text) for entry, name, text in _COMPUTATION.findall(hlo)}

    @cache
    def of(name: str) -> int:
        text = bodies[name][1]
        runs = {body: int(count) for body, count in _LOOP.findall(text)}
        called = (each for each in _CALLED.findall(text) if each in bodies)
        return _products(text) + sum(runs.get(each, 1) * of(each) for each in called)

    return of(next(name for name, (entry, _) in bodies.items() if entry))


def _products(text: str) -> int:
    """FLOP of the products in one computation."""
    shapes = {name: [int(d) for d in dims.split(",") if d] for name, dims in _SHAPE.findall(text)}
    return sum(
        2 * math.prod(shapes[name]) * math.prod(shapes[left][int(d)] for d in summed.split(","))
        for name, left, summed in _PRODUCT.findall(text)
    )
