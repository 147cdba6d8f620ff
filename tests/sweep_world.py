"""A trainer with a known score, and a process that works on a sweep with it."""

import math
import os
import sys
import time
from pathlib import Path

import yaml

from balrog_keras import sweep_study
from balrog_keras.config import Settings
from balrog_keras.runs import Run
from balrog_keras.sweep import sweep

BASE = Settings(steps=80, validation_interval=20, seed=4)
SPACE = {
    "critic_learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "width": {"choices": [32, 64]},
}


def true_score(settings):
    """Lowest for a rate of 1e-3 and a width of 64."""
    return abs(math.log10(settings.critic_learning_rate) + 3) + (settings.width != 64)


def trainer(shards, directory, settings, resume, on_validation):
    """Leave what training leaves; four validations that approach the true score."""
    run = Run(directory)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    run.config.write_text(yaml.safe_dump(settings.to_dict()))
    with run.log.open("a") as log:
        log.write(f"{os.getpid()} resume={resume}\n")
    for k in range(1, 5):
        on_validation(
            20 * k, {"energy_score": 9.0, "selection_score": true_score(settings) + 1 / k}
        )


def hurried(seconds=1):
    """Let killed workers count as such soon."""
    sweep_study.HEARTBEAT_SECONDS, sweep_study.GRACE_SECONDS = seconds, 2 * seconds


def _work(shards, runs, trials, hang):
    """Work on sweep 's'; with `hang`, stop for ever after the first validation."""

    def slow(shards, directory, settings, resume, on_validation):
        def report(step, scores):
            on_validation(step, scores)
            time.sleep(600 if hang else 0.02)

        trainer(shards, directory, settings, resume, report)

    hurried()
    sweep(Path(shards), "s", BASE, SPACE, Path(runs), trials=int(trials), trainer=slow)


if __name__ == "__main__":
    _work(*sys.argv[1:4], hang=sys.argv[4:] == ["hang"])
