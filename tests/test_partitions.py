import json
import os
import signal

import pytest

from data_prep.errors import BalrogError
from data_prep.partitions import open_runner


def square(task):
    return {"square": task**2}


def leave_a_mark(task):
    directory, number = task
    (directory / f"{number}.mark").write_text(str(os.getpid()))
    return {"number": number}


def refuse(task):
    raise BalrogError(f"row {task} is bad")


def die_once(task):
    directory, number = task
    mark = directory / f"{number}.died"
    if number == 2 and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return {"number": number}


def die_always(task):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_results_in_the_order_of_the_tasks(tmp_path, workers):
    with open_runner(workers) as runner:
        found = runner.run(square, range(7), tmp_path / "results", "square", [1] * 7)
    assert found == [{"square": number**2} for number in range(7)]
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == [f"{number:05d}.json" for number in range(7)]


def test_what_is_done_is_not_done_again(tmp_path, caplog):
    caplog.set_level("INFO")
    tasks = [(tmp_path, number) for number in range(5)]
    results = tmp_path / "results"
    results.mkdir()
    for number in (1, 3):
        (results / f"{number:05d}.json").write_text(json.dumps({"number": number}))
    with open_runner() as runner:
        found = runner.run(leave_a_mark, tasks, results, "mark", [10] * 5)
    assert found == [{"number": number} for number in range(5)]
    assert sorted(path.stem for path in tmp_path.glob("*.mark")) == ["0", "2", "4"]
    assert "mark: 2 of 5 tasks were done" in caplog.text


def test_error_of_a_task_keeps_the_others_results(tmp_path):
    (tmp_path / "00000.json").write_text("{}")
    with open_runner() as runner, pytest.raises(BalrogError, match="row 8 is bad"):
        runner.run(refuse, [7, 8, 9], tmp_path, "refuse", [1, 1, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["00000.json"]


@pytest.mark.slow
def test_workers_run_elsewhere_and_their_errors_come_back(tmp_path):
    with open_runner(workers=2) as runner:
        tasks = [(tmp_path, number) for number in range(6)]
        runner.run(leave_a_mark, tasks, tmp_path / "marks", "mark", [1] * 6)
        pids = {int(path.read_text()) for path in tmp_path.glob("*.mark")}
        assert os.getpid() not in pids
        with pytest.raises(BalrogError, match="row 4 is bad"):
            runner.run(refuse, [4], tmp_path / "refused", "refuse", [1])


@pytest.mark.slow
def test_task_of_a_killed_worker_is_run_again(tmp_path):
    with open_runner(workers=2) as runner:
        tasks = [(tmp_path, number) for number in range(6)]
        found = runner.run(die_once, tasks, tmp_path / "results", "die", [1] * 6)
    assert found == [{"number": number} for number in range(6)]
    assert (tmp_path / "2.died").exists()


@pytest.mark.slow
def test_task_that_kills_every_worker_is_given_up_but_can_be_resumed(tmp_path, monkeypatch):
    # Dask's own number, 3, is enough to see it.
    monkeypatch.setattr("data_prep.partitions._LIVES", 0)
    # Not a BalrogError: bad input would discard what is done.
    with open_runner(workers=1) as runner, pytest.raises(ChildProcessError, match="--resume"):
        runner.run(die_always, [0], tmp_path / "results", "die", [1])


@pytest.mark.slow
def test_given_scheduler(tmp_path):
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        open_runner(address=cluster.scheduler_address) as runner,
    ):
        found = runner.run(square, [3, 4], tmp_path, "square", [1, 1])
    assert found == [{"square": 9}, {"square": 16}]


@pytest.mark.parametrize("address", ["here", "tcp://127.0.0.1:1"])
def test_no_scheduler_at_the_address(address, monkeypatch):
    dask = pytest.importorskip("dask")
    monkeypatch.setattr("data_prep.partitions._CONNECT_SECONDS", 1)
    with (
        pytest.raises(BalrogError, match=f"running Dask scheduler.*; {address} does not answer"),
        open_runner(address=address),
    ):
        pass
    # Otherwise the user's next computation would look for the client that failed.
    assert dask.config.get("scheduler", None) is None
