import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import replica_training
import tensorflow as tf
import yaml
from cluster import ROOT, log_of, start_workers

from balrog_keras.distribution import any_worker, is_chief, num_replicas, open_strategy
from balrog_keras.fitting import fit_gan
from data_prep.errors import BalrogError

PROGRAM = str(ROOT / "tests" / "replica_training.py")
# train.py without the figures for TensorBoard.
WITHOUT_FIGURES = """
import sys
import light
from balrog_keras.train_command import main

with light.training_figures(False):
    sys.exit(main(sys.argv[1:]))
"""


def _cluster(**changes):
    cluster = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}
    return json.dumps({**cluster, **changes})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "it is not set"),
        ("", "it is not set"),
        ("{", "lacks them"),
        ("[1]", "lacks them"),
        (_cluster(cluster={}), "lacks them"),
        (_cluster(task={"type": "worker"}), "lacks them"),
        (_cluster(task={"type": "ps", "index": 0}), "other jobs"),
        (_cluster(cluster={"worker": ["a:1"], "ps": ["b:2"]}), "other jobs"),
        (_cluster(cluster={"worker": ["a", "b:2"]}), "its workers are"),
        (_cluster(cluster={"worker": "a:1"}), "its workers are"),
        (_cluster(task={"type": "worker", "index": 2}), "none of its 2 workers"),
        (_cluster(task={"type": "worker", "index": "0"}), "none of its 2 workers"),
    ],
)
def test_unusable_tf_config(monkeypatch, text, found):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(BalrogError, match=rf"TF_CONFIG.*{found}.*for example"):
        open_strategy("multiworker")


def test_unknown_strategy():
    with pytest.raises(BalrogError, match="none, mirrored, multiworker, got 'horovod'"):
        open_strategy("horovod")


def test_one_device_cannot_be_mirrored():
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("there are two GPUs")
    with pytest.raises(BalrogError, match="at least two devices.*--strategy none"):
        open_strategy("mirrored")


def test_no_strategy_is_one_replica_that_is_chief_and_waits_for_nobody():
    assert open_strategy("none") is None
    assert num_replicas(None) == 1
    assert is_chief(None)
    assert any_worker(None, True) is True
    assert any_worker(None, False) is False


def test_indivisible_batch():
    class Three:
        num_replicas_in_sync = 3

    settings = replica_training.SETTINGS
    with pytest.raises(BalrogError, match="64 rows cannot be divided among 3 replicas"):
        fit_gan(None, None, None, None, None, None, settings, "", strategy=Three())


@pytest.fixture(scope="module")
def one_replica(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "weights.npz"
    replica_training.main("none", path)
    return np.load(path)


def _assert_same(weights, expected):
    assert set(weights) == set(expected)
    for name in expected:
        np.testing.assert_allclose(weights[name], expected[name], rtol=0, atol=1e-6, err_msg=name)


def test_training_moves_the_weights_far_beyond_the_tolerance(one_replica, monkeypatch, tmp_path):
    """Otherwise the comparisons with two replicas would prove nothing."""
    from dataclasses import replace

    shorter = replace(replica_training.SETTINGS, steps=6)
    monkeypatch.setattr(replica_training, "SETTINGS", shorter)
    replica_training.main("none", tmp_path / "weights.npz")
    half = np.load(tmp_path / "weights.npz")
    kernels = [name for name in half if half[name].ndim == 2]
    assert all(np.abs(half[name] - one_replica[name]).max() > 1e-4 for name in kernels)


def test_two_mirrored_replicas_agree_with_one(one_replica, tmp_path):
    out = tmp_path / "weights.npz"
    done = subprocess.run(
        [sys.executable, PROGRAM, "mirrored", str(out), "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _assert_same(np.load(out), one_replica)


@pytest.mark.slow
def test_two_workers_agree_with_one_replica(one_replica, tmp_path):
    out = tmp_path / "weights.npz"
    workers = start_workers([PROGRAM, "multiworker", str(out)], tmp_path)
    codes = [worker.wait(timeout=240) for worker in workers]
    assert codes == [0, 0], log_of(tmp_path, 0) + log_of(tmp_path, 1)
    _assert_same(np.load(out), one_replica)


def _train_arguments(shards, config):
    return [
        "-c", WITHOUT_FIGURES, "--data", str(shards), "--name", "toy", "--config", str(config),
        "--strategy", "multiworker",
    ]  # fmt: skip


def _wait_for(path: Path, workers, directory, seconds=240):
    deadline = time.monotonic() + seconds
    while not path.is_file():
        assert time.monotonic() < deadline, log_of(directory, 0)
        assert all(worker.poll() is None for worker in workers), log_of(directory, 0)
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_worker_leaves_a_checkpoint_that_resumes(tmp_path, toy_shards, hasty_settings):
    settings = {**hasty_settings.to_dict(), "steps": 3_000}
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump(settings))
    workers = start_workers(_train_arguments(toy_shards, config), tmp_path)
    checkpoints = tmp_path / "runs/toy/checkpoints"
    _wait_for(checkpoints / "checkpoint", workers, tmp_path)
    workers[1].kill()
    assert workers[0].wait(timeout=300) != 0
    assert not (tmp_path / "saved_models").exists()
    left = int(tf.train.latest_checkpoint(checkpoints).rpartition("-")[2])
    assert left % settings["validation_interval"] == 0

    # What is left is an ordinary run: shortened so that the test ends.
    shorter = {**settings, "steps": left + 20}
    for path in (config, tmp_path / "runs/toy/config.yaml"):
        path.write_text(yaml.safe_dump(shorter))
    workers = start_workers([*_train_arguments(toy_shards, config), "--resume"], tmp_path)
    codes = [worker.wait(timeout=300) for worker in workers]
    assert codes == [0, 0], log_of(tmp_path, 0) + log_of(tmp_path, 1)
    assert f"resuming from step {left:,}" in (tmp_path / "runs/toy/train.log").read_text()
    assert (tmp_path / "saved_models/toy/emulator.json").is_file()
    assert "Traceback" not in log_of(tmp_path, 1)
