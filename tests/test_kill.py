"""Training killed at random moments ends with the weights of one that was not."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_training import _assert_same_checkpoint

from balrog_keras.training import train

HERE = Path(__file__).parent
pytestmark = pytest.mark.usefixtures("no_training_figures")

# train.py whose process is killed, as by kill -9, right after a step.
PROGRAM = """
import os, signal, sys
import light
from balrog_keras.callbacks import StopOnSignal
from balrog_keras.train_command import main

def kill(self, batch, logs=None):
    if int(self.model.optimizer.iterations.numpy()) == STEP:
        os.kill(os.getpid(), signal.SIGKILL)

StopOnSignal.on_train_batch_end = kill
with light.training_figures(False):
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("stream", "steps"), [(False, (1, 20)), (True, (21, 60))])
def test_killed_at_a_random_step(
    tmp_path, toy_run, toy_shards, toy_settings, hasty_settings, stream, steps
):
    """Before the first checkpoint, and after it with rows streamed from the shards."""
    settings = replace(hasty_settings, stream=True) if stream else toy_settings
    expected = toy_run / "runs/toy"
    if stream:
        expected = tmp_path / "whole/toy"
        train(toy_shards, "toy", settings, expected.parent, tmp_path / "whole_models")
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump(settings.to_dict()))
    arguments = ["--data", str(toy_shards), "--name", "toy"]
    how = ["--config", str(config)]
    for step in (np.random.default_rng(20).integers(*steps), None):
        program = PROGRAM.replace("STEP", str(step))
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments, *how],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == (0 if step is None else -signal.SIGKILL), done.stderr
        how = ["--resume"]
    log = (tmp_path / "runs/toy/train.log").read_text()
    assert ("resuming from step" in log) == stream
    assert "kept step" in log
    _assert_same_checkpoint(tmp_path / "runs/toy", expected)
