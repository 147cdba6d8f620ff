import os
import subprocess
import sys

from balrog_keras.allocator import keep_freed_memory

VARIABLE = "TF_CPU_ALLOCATOR_USE_BFC"

PROGRAM = """
import os, resource
{call}
import tensorflow as tf

@tf.function(jit_compile=True)
def step(rows):
    return tf.reduce_sum(tf.matmul(rows, rows, transpose_b=True) ** 2)

rows = tf.ones((4096, 8))
step(rows).numpy()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step(rows).numpy()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
CALL = "from balrog_keras.allocator import keep_freed_memory; keep_freed_memory()"


def page_faults(call):
    """Page faults of ten steps, each with a block of 64 MB."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        capture_output=True, text=True, timeout=300, check=True,
        env=environment,
    )  # fmt: skip
    return int(found.stdout)


def test_memory_of_a_step_is_used_again():
    # Ten blocks have 160,000 pages; some C libraries keep them without being asked.
    assert page_faults(CALL) < max(0.1 * page_faults(""), 1_000)


def test_the_users_choice_stays(monkeypatch):
    monkeypatch.setenv(VARIABLE, "false")
    keep_freed_memory()
    assert os.environ[VARIABLE] == "false"
