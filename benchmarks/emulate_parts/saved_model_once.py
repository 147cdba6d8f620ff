"""Rows per second of an exported emulator in plain TensorFlow, as JSON.

Arguments: bundle, file of conditions (.npz), rows per call, repeats. A thread for each core draws
whole blocks of rows, as docs/emulator.md advises.
"""

import json
import os
import sys
import time

import numpy as np
import tensorflow as tf


def main() -> None:
    """Call serving_default on all rows, again and again; the first time does not count."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(len(os.sched_getaffinity(0)))
    bundle, conditions, call_rows, repeats = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    draw = tf.saved_model.load(f"{bundle}/1").signatures["serving_default"]
    columns = dict(np.load(conditions))
    rows = len(next(iter(columns.values())))
    scalars = {"seed", "draw", "member"} & set(draw.structured_input_signature[1])
    rates = []
    for repeat in range(repeats + 1):
        start, cpu = time.perf_counter(), time.process_time()
        keys = {name: tf.constant(repeat * (name == "seed"), tf.int64) for name in scalars}
        for first in range(0, rows, call_rows):
            part = slice(first, first + call_rows)
            chunk = {name: tf.constant(values[part]) for name, values in columns.items()}
            ids = tf.range(first, min(first + call_rows, rows), dtype=tf.int64)
            for values in draw(**chunk, row_id=ids, **keys).values():
                values.numpy()
        rates.append(
            {"wall": rows / (time.perf_counter() - start),
             "cpu": rows / (time.process_time() - cpu)}
        )  # fmt: skip
    print(json.dumps(rates[1:]))


if __name__ == "__main__":
    main()
