"""A short training under SGD with a given strategy, run as a program; saves the weights.

Usage: replica_training.py STRATEGY OUT.npz [CPU_DEVICES]
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from toy import toy_rows, toy_schema

from balrog_keras.building import build_gan
from balrog_keras.checkpoints import Checkpoints
from balrog_keras.config import Settings
from balrog_keras.distribution import is_chief, open_strategy, scope, wait_for_all
from balrog_keras.fitting import fit_gan
from balrog_keras.runs import Run
from balrog_keras.standardizer import Standardizer
from balrog_keras.training_data import MemoryRows
from balrog_keras.validation import Validator

SETTINGS = Settings(
    width=16, depth=2, generator_width=8, generator_depth=1, steps=12, batch_size=64,
    critic_steps=2, gradient_penalty_fraction=0.5, validation_interval=6, validation_draws=2,
    xla=False, seed=5,
)  # fmt: skip


def main(name: str, out: Path, devices: int = 1) -> None:
    """Train and save; only the chief saves."""
    if devices > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        virtual = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, virtual)
    strategy = open_strategy(name)
    with scope(strategy):
        gan = build_gan(SETTINGS, 9, 3)
        gan.compile(keras.optimizers.SGD(0.002), keras.optimizers.SGD(0.02), jit_compile=False)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    train, validation = toy_rows(1_000, 1), toy_rows(100, 2)
    standardizer.adapt(train["condition"], train["measured"])
    run = Run(out.with_suffix(""))
    checkpoints = Checkpoints(run.checkpoints, gan, standardizer)
    validator = Validator(
        standardizer, toy_schema(), validation["condition"], validation["measured"],
        SETTINGS.validation_draws, SETTINGS.seed,
    )  # fmt: skip
    data = MemoryRows(train["condition"], train["measured"])
    fit_gan(gan, data, standardizer, validator, checkpoints, run, SETTINGS, "toy", strategy)
    if is_chief(strategy):
        networks = (gan.generator, gan.critic, gan.ema_generator)
        weights = [weight.numpy() for network in networks for weight in network.weights]
        np.savez(out, *weights)
    wait_for_all(strategy)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
