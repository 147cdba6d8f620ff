"""Ten seconds of work: matrix products, training steps, draws, with their rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.config import Settings
from data_prep.errors import BalrogError

__all__ = ["self_test"]

_MATRIX, _PRODUCTS = 1024, 8
_STEPS, _ROWS = 8, 65_536
_CONDITIONS, _MEASURED = 9, 3


def self_test(emulator: Path | None, settings: Settings | None = None) -> dict[str, Any]:
    """Compute a little of everything on TensorFlow's default device.

    Parameters
    ----------
    emulator : path, optional
        ``saved_models/NAME`` to draw with; None: the networks that were just trained.
    settings : Settings, optional
        Networks to train; the default ones without XLA, whose compilation would take longer than
        all the rest.

    Returns
    -------
    dict
        ``matmul_gflops`` (float32, best of three), ``training_galaxies_per_second`` (without
        XLA less than train.py reaches), ``drawn_galaxies_per_second``,
        ``drawn_with``, and ``seconds`` of each part.

    Raises
    ------
    BalrogError
        If what was computed is not finite, a draw is not repeated by the same seed and row id, or
        the emulator is damaged.
    """
    seconds: dict[str, float] = {}
    result: dict[str, Any] = {}

    def timed(name: str, part: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        value = part()
        seconds[name] = round(time.perf_counter() - start, 2)
        return value

    result["matmul_gflops"] = timed("matmul", _matmul_gflops)
    generator, rate = timed("training", lambda: _train(settings or Settings(xla=False)))
    result["training_galaxies_per_second"] = rate
    draw = _trained_draw(generator)
    result["drawn_with"] = "the networks of this test"
    if emulator is not None:
        draw = timed("load", lambda: _emulator_draw(emulator))
        result["drawn_with"] = str(emulator)
    result["drawn_galaxies_per_second"] = timed("drawing", lambda: _draw_rate(draw))
    return {**result, "seconds": seconds}


def _best_seconds(work: Callable[[], Any], times: int = 3) -> float:
    work()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _matmul_gflops() -> float:
    import tensorflow as tf

    right = tf.random.stateless_normal((_MATRIX, _MATRIX), (1, 2)) / _MATRIX**0.5

    def work() -> None:
        left = right
        for _ in range(_PRODUCTS):
            left = left @ right
        _require_finite(float(tf.reduce_sum(left)), "a product of matrices")

    return round(2e-9 * _MATRIX**3 * _PRODUCTS / _best_seconds(work), 1)


def _train(settings: Settings) -> tuple[Any, float]:
    """Train networks on random rows; gives the generator, and galaxies per second."""
    import tensorflow as tf

    from balrog_keras.building import build_gan

    gan = build_gan(settings, _CONDITIONS, _MEASURED)
    rows = settings.critic_steps * settings.batch_size
    batch = (
        tf.random.stateless_normal((rows, _CONDITIONS), (1, 2)),
        tf.random.stateless_normal((rows, _MEASURED), (3, 4)),
    )
    step = tf.function(gan.train_step, autograph=False)

    def work() -> None:
        for _ in range(_STEPS):
            step(batch)
        _require_finite(float(tf.reduce_sum(gan.generator.trainable_variables[0])), "training")

    return gan.generator, round(_STEPS * rows / _best_seconds(work, times=1))


def _trained_draw(generator: Any) -> Callable[[int], np.ndarray]:
    import tensorflow as tf

    call = tf.function(generator, autograph=False, reduce_retracing=True)

    def draw(rows: int) -> np.ndarray:
        condition = tf.zeros((rows, _CONDITIONS))
        latent = tf.random.stateless_normal((_ROWS, _MEASURED), (5, 6))[:rows]
        drawn: np.ndarray = call((condition, latent)).numpy()
        return drawn

    return draw


def _emulator_draw(directory: Path) -> Callable[[int], np.ndarray]:
    from balrog_keras.emulator import Emulator

    emulator = Emulator.load(directory)
    domain = emulator.info["domain"]
    middle = [domain[name]["quantiles"]["0.5"] for name in emulator.schema.condition_names]
    condition = np.tile(np.array(middle, np.float32), (_ROWS, 1))

    def draw(rows: int) -> np.ndarray:
        return emulator.draw(condition[:rows], np.arange(rows), seed=1)

    return draw


def _draw_rate(draw: Callable[[int], np.ndarray]) -> float:
    whole, part = draw(_ROWS), draw(_ROWS // 2)
    _require_finite(float(whole.sum(dtype=np.float64)), "a draw")
    if not np.allclose(whole[: len(part)], part, atol=1e-4):
        raise BalrogError(
            "draws must depend on the row id and the seed alone, and half of the rows gave others; "
            "this build of TensorFlow is not to be trusted: install another version"
        )
    return round(_ROWS / _best_seconds(lambda: draw(_ROWS)))


def _require_finite(value: float, what: str) -> None:
    if not np.isfinite(value):
        raise BalrogError(
            f"{what} must give finite numbers, found {value}; this build of TensorFlow is not to "
            "be trusted on this device: install another version"
        )
