"""The closing table of a training run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from balrog_keras.config import Settings
from balrog_keras.runs import Run

__all__ = ["log_summary"]

logger = logging.getLogger(__name__)


def log_summary(
    best: dict[str, Any], rows: dict[str, int], settings: Settings, run: Run, bundle: Path,
    shards: Path,
) -> None:  # fmt: skip
    """Log the closing table: scores, and where everything is."""
    epochs = settings.steps * settings.critic_steps * settings.batch_size / rows["train"]
    lines = [f"done: {settings.steps:,} steps, {epochs:.1f} epochs, best at step {best['step']:,}"]
    lines += [f"  {name:<28}{value:>12.5f}" for name, value in best.items() if name != "step"]
    lines += [
        f"  run (settings, log)         {run.directory}",
        f"  TensorBoard                 tensorboard --logdir {run.tensorboard}",
        f"  emulator                    {bundle}",
        f"next: python evaluate.py {bundle} --data {shards} --out {run.directory / 'evaluation'}",
    ]
    for text in lines:
        logger.info("%s", text)
