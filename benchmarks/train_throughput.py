"""Training speed of the default settings, and its share of the machine's matrix-product peak.

    python benchmarks/train_throughput.py [--batch_size 1024] [--critic_steps 3] [--repeats 5]

Runs what train.py runs: build_gan, training_batches and Keras' fit, on rows of the default
schema's shape (values do not matter for speed). One galaxy is one training row that visits the
critic once. Peak: best of 128-wide and square float32 products through XLA, timed before and
after every repeat, so that a busy machine shows in both.
"""

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from machine import machine, print_table

from balrog_keras.building import build_gan
from balrog_keras.config import Settings
from balrog_keras.datasets import training_batches

CONDITIONS, MEASURED, ROWS = 9, 3, 200_000


def flops_per_galaxy(gan, settings) -> float:
    """Floating-point operations of the matrix products alone, per row that visits the critic.

    A dense layer costs 2 * in * out per row forward, as much for its weights' gradient and as
    much for its input's; nobody needs the input gradient of a first layer, except the penalty.
    """

    def forward(network):
        return sum(2 * layer.kernel.shape[0] * layer.kernel.shape[1]
                   for layer in (*network.hidden, network.head))  # fmt: skip

    def first(network):
        return 2 * network.hidden[0].kernel.shape[0] * network.hidden[0].kernel.shape[1]

    critic, generator = forward(gan.critic), forward(gan.generator)
    scores = 2 * (3 * critic - first(gan.critic))
    # D and its input gradient, then the weights' and hidden inputs' gradients of both.
    penalty = settings.gradient_penalty_fraction * (2 * critic + 4 * critic - first(gan.critic))
    critic_visit = generator + scores + penalty
    update = 2 * (3 * generator - first(gan.generator)) + 2 * critic
    return critic_visit + update / settings.critic_steps


@tf.function(jit_compile=True, reduce_retracing=False)
def chain(left, right, count):
    """Multiply `left` by `right` `count` times."""
    for _ in range(count):
        left = left @ right
    return left


def matmul_peak(batch: int) -> float:
    """Best float32 FLOP/s of chains of 128-wide and of square products."""
    best = 0.0
    for rows, size, count in ((batch, 128, 100), (2048, 2048, 2)):
        left = tf.random.normal((rows, size))
        right = tf.random.normal((size, size)) / size**0.5
        chain(left, right, count)
        start = time.perf_counter()
        chain(left, right, count).numpy()
        best = max(best, 2 * rows * size * size * count / (time.perf_counter() - start))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = Settings()
    parser.add_argument("--batch_size", type=int, default=defaults.batch_size)
    parser.add_argument("--critic_steps", type=int, default=defaults.critic_steps)
    parser.add_argument("--width", type=int, default=defaults.width)
    parser.add_argument("--repeats", type=int, default=5)
    options = vars(parser.parse_args())
    repeats = options.pop("repeats")
    settings = Settings(**options)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(ROWS, size)).astype("float32") for size in (CONDITIONS, MEASURED)]
    step_rows = settings.critic_steps * settings.batch_size
    start = time.perf_counter()
    gan = build_gan(settings, CONDITIONS, MEASURED)
    batches = training_batches(arrays, step_rows, seed=0)
    run = {"verbose": 0, "shuffle": False}
    gan.fit(batches, steps_per_epoch=1, epochs=1, **run)
    first_step = time.perf_counter() - start
    steps = max(1, ROWS // step_rows)
    rates, peaks = [], [matmul_peak(settings.batch_size)]
    for _ in range(repeats):
        start = time.perf_counter()
        gan.fit(batches, steps_per_epoch=steps, epochs=1, **run)
        rates.append(steps * step_rows / (time.perf_counter() - start))
        peaks.append(matmul_peak(settings.batch_size))
    flops = flops_per_galaxy(gan, settings)
    shares = [
        rate * flops / max(pair) for rate, *pair in zip(rates, peaks, peaks[1:], strict=False)
    ]
    rate = statistics.median(rates)
    print_table([
        ("machine", machine()),
        ("tensorflow", tf.__version__),
        ("networks", f"{settings.depth} x {settings.width}, batch {settings.batch_size}, "
                     f"{settings.critic_steps} critic steps"),
        ("time to first step (compilation)", f"{first_step:.1f} s"),
        ("training galaxies/s, median (range)",
         f"{rate:,.0f} ({min(rates):,.0f} - {max(rates):,.0f})"),
        ("FLOP per galaxy (matrix products)", f"{flops / 1e6:.3f} M"),
        ("arithmetic", f"{rate * flops / 1e9:.0f} GFLOP/s"),
        ("matrix-product peak, median", f"{statistics.median(peaks) / 1e9:.0f} GFLOP/s"),
        ("share of peak, median of pairs", f"{100 * statistics.median(shares):.0f} %"),
        ("1.7 million galaxies (one epoch)", f"{1.7e6 / rate:.0f} s"),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
