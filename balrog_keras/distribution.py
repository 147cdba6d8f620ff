"""Training on several devices or machines: which strategy, which worker writes, who waits."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from typing import Any

import tensorflow as tf

from data_prep.errors import BalrogError

__all__ = [
    "any_worker",
    "is_chief",
    "is_multiworker",
    "num_replicas",
    "open_strategy",
    "scope",
    "wait_for_all",
]

_NAMES = ("none", "mirrored", "multiworker")
_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


def open_strategy(name: str) -> tf.distribute.Strategy | None:
    """Strategy by its name on the command line.

    Parameters
    ----------
    name : {'none', 'mirrored', 'multiworker'}
        One device; all devices of this machine; all machines that the environment variable
        ``TF_CONFIG`` names. The last waits for the other workers, and must be opened before
        anything else is done with TensorFlow.

    Returns
    -------
    tf.distribute.Strategy or None
        None for one device.

    Raises
    ------
    BalrogError
        If there are fewer than two devices to mirror, or TF_CONFIG is missing or malformed.
    """
    if name == "none":
        return None
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_devices())
    if name == "multiworker":
        _check_cluster(os.environ.get("TF_CONFIG"))
        return tf.distribute.MultiWorkerMirroredStrategy()
    raise BalrogError(f"strategy must be one of {', '.join(_NAMES)}, got {name!r}")


def _devices() -> list[str]:
    """All GPUs, or all CPU devices where there is none."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(devices) < 2:
        raise BalrogError(
            f"strategy mirrored needs at least two devices, TensorFlow finds {len(devices)} {kind}"
            "; train with --strategy none"
        )
    return devices


def _check_cluster(text: str | None) -> None:
    """Refuse a TF_CONFIG that TensorFlow would misread or wait for without end.

    Raises
    ------
    BalrogError
        With what is wrong and a correct example.
    """
    if not text:
        raise _bad_cluster("it is not set")
    try:
        described = json.loads(text)
        workers, task = described["cluster"]["worker"], described["task"]
        kind, index = task["type"], task["index"]
    except (ValueError, TypeError, KeyError) as error:
        raise _bad_cluster(f"{text!r} lacks them ({error!r})") from None
    if set(described["cluster"]) != {"worker"} or kind != "worker":
        raise _bad_cluster(f"it names other jobs: {sorted({*described['cluster'], kind})}")
    if not isinstance(workers, list) or not all(_is_address(worker) for worker in workers):
        raise _bad_cluster(f"its workers are {workers!r}")
    if type(index) is not int or not 0 <= index < len(workers):
        raise _bad_cluster(f"task index {index!r} is none of its {len(workers)} workers'")


def _is_address(worker: Any) -> bool:
    return isinstance(worker, str) and worker.rpartition(":")[2].isdigit()


def _bad_cluster(found: str) -> BalrogError:
    return BalrogError(
        "strategy multiworker needs the environment variable TF_CONFIG with the host:port of all "
        f"workers and the index of this one; {found}. Set it on every worker, for example "
        f"TF_CONFIG='{_EXAMPLE}'"
    )


def scope(strategy: tf.distribute.Strategy | None) -> Any:
    """Context in which variables are created on all replicas."""
    return nullcontext() if strategy is None else strategy.scope()


def num_replicas(strategy: tf.distribute.Strategy | None) -> int:
    """Replicas over which each batch is divided."""
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def is_multiworker(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether other processes take part."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process writes checkpoints, logs and exports: worker 0, or the only one."""
    if strategy is None or not is_multiworker(strategy):
        return True
    return bool(strategy.cluster_resolver.task_id == 0)


def any_worker(strategy: tf.distribute.Strategy | None, flag: bool) -> bool:
    """Whether `flag` is true on any worker; all must ask, and each waits for the others."""
    if strategy is None or not is_multiworker(strategy):
        return flag
    mine = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(int(flag))
    )
    return bool(strategy.reduce(tf.distribute.ReduceOp.SUM, mine, axis=None) > 0)


def wait_for_all(strategy: tf.distribute.Strategy | None) -> None:
    """Wait until every worker has come here."""
    any_worker(strategy, False)
