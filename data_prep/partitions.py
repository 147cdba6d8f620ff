"""Run one function over many independent tasks: in this process, by workers, or by Dask.

A task's result is kept as a small JSON file when it is done, so that an interrupted job goes on
where it was and a task that a dead worker left is simply run again. Functions write their files
whole or not at all and depend on their task alone, so that all ways give the same bytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import BalrogError, require
from data_prep.files import write_json
from data_prep.progress import Progress

__all__ = ["Runner", "open_runner"]

logger = logging.getLogger(__name__)

# Executor of one function over tasks, giving (index, result) in the order they finish.
Execute = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]
# Workers that may die under one task before it is called hopeless.
_LIVES = 5
_CONNECT_SECONDS = 20


class Runner:
    """Runs tasks and keeps their results.

    Parameters
    ----------
    execute : callable
        How; see :func:`open_runner`.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def run(
        self,
        function: Callable[[Any], dict[str, Any]],
        tasks: Sequence[Any],
        directory: Path,
        title: str,
        sizes: Sequence[int],
        unit: str = "rows",
    ) -> list[dict[str, Any]]:
        """Run the tasks that are not done yet.

        Parameters
        ----------
        function : callable
            Importable; takes a task and gives a JSON-able result.
        tasks : sequence
            Picklable.
        directory : path
            Where results are kept, ``00000.json`` and so on; those found there are not redone.
        title, unit : str
            For the progress bar.
        sizes : sequence of int
            How many units each task is.

        Returns
        -------
        list of dict
            Results in the order of the tasks.

        Raises
        ------
        BalrogError
            As raised by a task.
        ChildProcessError
            If workers died under a task again and again.
        """
        directory.mkdir(parents=True, exist_ok=True)
        kept = [directory / f"{index:05d}.json" for index in range(len(tasks))]
        todo = [index for index, path in enumerate(kept) if not path.is_file()]
        if len(todo) < len(tasks):
            logger.info("%s: %d of %d tasks were done", title, len(tasks) - len(todo), len(tasks))
        calls = [(function, tasks[index], kept[index]) for index in todo]
        with Progress(title, sum(sizes), unit) as progress:
            progress.update(sum(sizes) - sum(sizes[index] for index in todo))
            for index, _ in self._execute(_run_and_keep, calls):
                progress.update(sizes[todo[index]])
        return [json.loads(path.read_text(encoding="utf-8")) for path in kept]


@contextmanager
def open_runner(workers: int = 0, address: str | None = None) -> Iterator[Runner]:
    """Give a runner, and close what it started.

    Parameters
    ----------
    workers : int
        Processes of a Dask cluster on this machine; 0 runs the tasks in this process.
    address : str, optional
        A Dask scheduler, as ``tcp://host:8786``; its workers must see the same files.

    Yields
    ------
    Runner

    Raises
    ------
    MissingExtraError
        If Dask is needed and not installed.
    BalrogError
        If there is no scheduler at the address.
    """
    if address is None and workers == 0:
        yield Runner(_in_process)
        return
    with _scheduler_kept(), _dask_client(workers, address) as client:
        yield Runner(_on_dask(client))


@contextmanager
def _dask_client(workers: int, address: str | None) -> Iterator[Any]:
    """Client of a given scheduler, or of a cluster of processes on this machine."""
    distributed = require("distributed", "distributed")
    if address is not None:
        try:
            client = distributed.Client(address, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise BalrogError(
                f"--dask must be the address of a running Dask scheduler, as tcp://host:8786; "
                f"{address} does not answer ({error})"
            ) from error
        with client:
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextmanager
def _scheduler_kept() -> Iterator[None]:
    """Leave Dask's choice of a scheduler as it was; a client that failed stays named there."""
    config = require("dask.config", "distributed")
    before = config.get("scheduler", None)
    try:
        yield
    finally:
        config.set(scheduler=before)


def _run_and_keep(call: tuple[Callable[[Any], Any], Any, Path]) -> None:
    function, task, kept = call
    write_json(kept, function(task))


def _in_process(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    for index, task in enumerate(tasks):
        yield index, function(task)


def _on_dask(client: Any) -> Execute:
    distributed = require("distributed", "distributed")
    # A task that is running when its worker is killed goes to another worker.
    client.run_on_scheduler(_allow_failures)

    def execute(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        futures = {
            client.submit(function, task, pure=False): index for index, task in enumerate(tasks)
        }
        for future in distributed.as_completed(list(futures)):
            try:
                result = future.result()
            except distributed.KilledWorker as error:
                # An OSError, as of a full disk: what is done is kept.
                raise ChildProcessError(
                    f"a task was lost more than {_LIVES} times because its worker died; is its "
                    "memory enough? The job can go on with --resume"
                ) from error
            yield futures[future], result

    return execute


def _allow_failures(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = max(dask_scheduler.allowed_failures, _LIVES)
