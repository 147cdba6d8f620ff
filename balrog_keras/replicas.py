"""What a training step does alike on one device and on each replica of a strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["apply_gradients", "repeat", "rows_of_replica"]


def rows_of_replica(draw: Callable[..., Any], shape: tuple[Any, int], seed: Any) -> Any:
    """Stateless random numbers of this replica's rows, those of one device in the same rows.

    Parameters
    ----------
    draw : callable
        As :func:`tf.random.stateless_normal`.
    shape : (int, int)
        Rows of this replica, columns.
    seed : int64 tensor, shape (2,)
        Of the whole batch, of which replica r of R has rows r, r + R, ...

    Returns
    -------
    float32 tensor, of that shape
    """
    count = _num_replicas()
    # The same numbers as by default, quicker where XLA compiles it.
    whole = draw((count * shape[0], shape[1]), seed, alg="philox")
    if count == 1:
        return whole
    return whole[tf.distribute.get_replica_context().replica_id_in_sync_group :: count]


def apply_gradients(tape: tf.GradientTape, loss: Any, network: Any, optimizer: Any) -> Any:
    """Take one optimizer step; gives the norm of this replica's gradient, a float32 scalar."""
    variables = network.trainable_variables
    gradients = tape.gradient(loss, variables)
    norm = tf.linalg.global_norm(gradients)
    count = _num_replicas()
    if count > 1:
        # The optimizer sums over replicas; the loss is the mean over the whole batch.
        gradients = [gradient / count for gradient in gradients]
    optimizer.apply(gradients, variables)
    return norm


def repeat(count: int, update: Callable[[Any], None]) -> None:
    """Call ``update(0)`` to ``update(count - 1)``, an int32 tensor or an int each.

    One device has a loop, whose body is compiled once however often it runs. Replicas meet in
    every optimizer step, which they cannot inside a loop, so they have a copy for each.
    """
    if tf.distribute.has_strategy():
        for number in range(count):
            update(number)
    elif count:

        def body(number: Any) -> Any:
            update(number)
            return number + 1

        tf.while_loop(lambda number: number < count, body, [tf.constant(0)])


def _num_replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync)
