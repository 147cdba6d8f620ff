"""Train on shards as train.py does; print what was measured as JSON.

Arguments: shards, galaxies, settings as JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import tensorflow as tf
from matmul import flops_of_products, matmul_peak

from balrog_keras.building import Seeds, build_gan
from balrog_keras.config import Settings
from balrog_keras.member_training import build_standardizer
from balrog_keras.training_data import open_training_rows
from data_prep.manifest import Manifest

_CHUNK = 200_000  # galaxies between two measurements of the peak


def measure(shards: Path, galaxies: int, settings: Settings) -> dict[str, Any]:
    """First step (wall, cpu), chunks (galaxies, wall, cpu), peaks, bytes, FLOP per galaxy."""
    schema = Manifest.load(shards).schema
    conditions, measured = len(schema.condition_names), len(schema.measured_names)
    rows = settings.critic_steps * settings.batch_size
    data = open_training_rows(shards, settings)
    standardizer = build_standardizer(settings, schema)
    gan = build_gan(settings, conditions, measured)
    batches = iter(data.batches(standardizer, rows, Seeds.of(settings.seed).batches))
    step = tf.function(gan.train_step, autograph=False, jit_compile=settings.xla)

    @tf.function(autograph=False)
    def take_step(batches) -> None:
        step(next(batches))

    def train(steps: int) -> None:
        for _ in range(steps):
            take_step(batches)
        gan.optimizer.iterations.numpy()

    train(1)
    first_step = time.time() - psutil.Process().create_time(), time.process_time()
    chunks, peaks, left = [], [matmul_peak(settings.batch_size)], max(1, galaxies // rows)
    while left:
        steps = min(left, max(1, _CHUNK // rows))
        wall, cpu = time.perf_counter(), time.process_time()
        train(steps)
        chunks.append((steps * rows, time.perf_counter() - wall, time.process_time() - cpu))
        peaks.append(matmul_peak(settings.batch_size))
        left -= steps
    scale = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    hlo = step.experimental_get_compiler_ir(next(batches))(stage="optimized_hlo")
    flops = flops_of_products(hlo) / rows
    return {
        "first_step": first_step, "chunks": chunks, "peaks": peaks, "memory": memory, "flops": flops
    }  # fmt: skip


if __name__ == "__main__":
    measured = measure(Path(sys.argv[1]), int(sys.argv[2]), Settings(**json.loads(sys.argv[3])))
    print(json.dumps(measured))
