"""A PyTorch training loop that ends with its budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

# It loads Triton, whose LLVM crashes if TensorFlow's is there first.
import torch._dynamo
from fidelity_parts.spec import Clock

__all__ = ["cosine", "shuffled_batches", "train_until"]

_VALIDATIONS = 20


def shuffled_batches(rows: int, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    """Row indices, shuffled anew each epoch, without end; whole batches only."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(rows, generator=generator)
        yield from order[: rows // batch_size * batch_size].split(batch_size)


def cosine(share: float, last: float = 0.01) -> float:
    """Factor of the learning rate after a share of the budget; from 1 to `last`."""
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def train_until(
    clock: Clock,
    seconds: float,
    step: Callable[[float], int],
    validate: Callable[[], None],
) -> tuple[int, int]:
    """Step until the budget is spent, with 20 validations on the way.

    Parameters
    ----------
    clock : Clock
        Running since before the data were scaled.
    seconds : float
        The budget.
    step : callable
        Takes the share of the budget spent so far, gives the rows it used.
    validate : callable
        Called after each twentieth of the budget that is left at the first step.

    Returns
    -------
    steps, galaxies : int
    """
    steps = galaxies = done = 0
    start = clock.elapsed()
    while (now := clock.elapsed()) < seconds:
        galaxies += step(now / seconds)
        steps += 1
        due = int(_VALIDATIONS * (now - start) / max(seconds - start, 1e-9))
        if due > done:
            done = due
            validate()
    validate()
    return steps, galaxies
