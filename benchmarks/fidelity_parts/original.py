"""The original recipe: a conditional WGAN-GP with its published hyper-parameters, in PyTorch.

Absolute measured magnitudes, standardised; generator and critic of three leaky-ReLU layers of 128;
latent 8; batch 200; Adam at 1e-4; five critic steps; two-sided penalty of weight 10 on the measured
columns; mean squared error between generated and real columns added to the generator's loss.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fidelity_parts.scaling import Scaling
from fidelity_parts.spec import Clock, Spec
from fidelity_parts.torch_loop import shuffled_batches, train_until

from data_prep.manifest import Manifest
from data_prep.shards import read_split

__all__ = ["OriginalEmulator", "load", "train"]

BATCH, RATE, LATENT, WIDTH, DEPTH = 200, 1e-4, 8, 128, 3
CRITIC_STEPS, PENALTY, ERROR_WEIGHT = 5, 10.0, 1.0


def _network(inputs: int, outputs: int) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for size, following in pairwise([inputs] + [WIDTH] * DEPTH):
        layers += [torch.nn.Linear(size, following), torch.nn.LeakyReLU(0.2)]
    return torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, outputs))


def _gradient_penalty(
    critic: torch.nn.Module, real: torch.Tensor, fake: torch.Tensor, condition: torch.Tensor
) -> torch.Tensor:
    share = torch.rand(len(real), 1)
    between = (share * real + (1 - share) * fake).requires_grad_(True)
    value = critic(torch.cat([between, condition], 1)).sum()
    (gradient,) = torch.autograd.grad(value, between, create_graph=True)
    return (((gradient.square().sum(1) + 1e-12).sqrt() - 1) ** 2).mean()


def train(spec: Spec, shards: Path, directory: Path) -> dict[str, Any]:
    """Train until the budget is spent; gives what happened. There is no choice of a best step."""
    torch.set_num_threads(spec.cores)
    torch.manual_seed(spec.seed)
    clock = Clock(spec.clock, spec.cores)
    manifest, split = Manifest.load(shards), read_split(shards, "train")
    scaling = Scaling.fit(manifest, "absolute", split, spec.seed)
    condition = torch.from_numpy(scaling.condition(split["condition"]))
    target = torch.from_numpy(scaling.standardize(split["condition"], split["measured"]))
    conditions, measured = condition.shape[1], target.shape[1]
    generator = _network(conditions + LATENT, measured)
    critic = _network(measured + conditions, 1)
    of_generator, of_critic = (
        torch.optim.Adam(network.parameters(), RATE, betas=(0.0, 0.9))
        for network in (generator, critic)
    )
    batches = shuffled_batches(len(target), BATCH, spec.seed)

    def fake_of(given: torch.Tensor) -> torch.Tensor:
        return generator(torch.cat([given, torch.randn(len(given), LATENT)], 1))

    def step(_share: float) -> int:
        for _ in range(CRITIC_STEPS):
            rows = next(batches)
            given, real = condition[rows], target[rows]
            fake = fake_of(given).detach()
            difference = critic(torch.cat([fake, given], 1)) - critic(torch.cat([real, given], 1))
            loss = difference.mean() + PENALTY * _gradient_penalty(critic, real, fake, given)
            of_critic.zero_grad()
            loss.backward()
            of_critic.step()
        fake = fake_of(given)
        error = (fake - real).square().mean()
        of_generator.zero_grad()
        (ERROR_WEIGHT * error - critic(torch.cat([fake, given], 1)).mean()).backward()
        of_generator.step()
        return CRITIC_STEPS * BATCH

    steps, galaxies = train_until(clock, spec.seconds, step, lambda: None)
    report = clock.report()
    directory.mkdir(parents=True, exist_ok=True)
    torch.save(generator.state_dict(), directory / "generator.pt")
    scaling.save(directory)
    (directory / "shards.txt").write_text(str(shards.resolve()))
    return {"galaxies": galaxies, "steps": steps, **report}


class OriginalEmulator:
    """A trained generator as an emulator; draws are a function of the whole call."""

    def __init__(self, generator: torch.nn.Module, scaling: Scaling) -> None:
        self._generator, self._scaling = generator.eval(), scaling
        self.schema, self.label = scaling.schema, scaling.label

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Measured columns, float32 (N, M)."""
        words = np.random.SeedSequence([seed, int(row_id[0]), len(row_id)]).generate_state(2)
        random = torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
        given = torch.from_numpy(self._scaling.condition(condition))
        latent = torch.randn(len(given), LATENT, generator=random)
        with torch.no_grad():
            values = self._generator(torch.cat([given, latent], 1)).numpy()
        return self._scaling.restore(condition, values)


def load(directory: Path) -> OriginalEmulator:
    """The trained generator."""
    manifest = Manifest.load((directory / "shards.txt").read_text())
    generator = _network(len(manifest.schema.condition_names) + LATENT,
                         len(manifest.schema.measured_names))  # fmt: skip
    generator.load_state_dict(torch.load(directory / "generator.pt"))
    return OriginalEmulator(generator, Scaling.load(manifest, directory))
