"""The strongest peer: a conditional neural spline flow (Durkan et al. 2019, arXiv:1906.04032).

zuko on PyTorch, maximum likelihood with Adam, cosine learning rate, clipped gradients, the best
validation likelihood kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zuko
from fidelity_parts.scaling import Scaling
from fidelity_parts.spec import Clock, Spec
from fidelity_parts.torch_loop import cosine, shuffled_batches, train_until

from data_prep.manifest import Manifest
from data_prep.shards import read_split

__all__ = ["DEFAULTS", "FlowEmulator", "load", "train"]

# passes: of the inverse; 2 is a coupling flow, None an autoregressive one.
DEFAULTS: dict[str, Any] = {
    "passes": None, "transforms": 5, "width": 128, "depth": 2, "bins": 8, "bound": 5.0,
    "scaling": "residual", "batch_size": 1024, "learning_rate": 1e-3, "clip": 5.0,
}  # fmt: skip
# The fastest of 1,024, 4,096 and 16,384 rows, traced, on one core.
_CHUNK = 4_096
Inverse = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def build(settings: dict[str, Any], measured: int, conditions: int) -> Any:
    """The flow of measured columns under conditions; outside +-bound the splines are linear."""
    bins = settings["bins"]
    return zuko.flows.MAF(
        measured,
        conditions,
        transforms=settings["transforms"],
        passes=settings["passes"],
        univariate=partial(zuko.transforms.MonotonicRQSTransform, bound=settings["bound"]),
        shapes=[(bins,), (bins,), (bins - 1,)],
        hidden_features=[settings["width"]] * settings["depth"],
    )


def train(spec: Spec, shards: Path, directory: Path) -> dict[str, Any]:
    """Train until the budget is spent; gives what happened."""
    settings = DEFAULTS | spec.settings
    torch.set_num_threads(spec.cores)
    torch.manual_seed(spec.seed)
    if settings["scaling"] == "network":
        # Imports are in nobody's budget.
        import balrog_keras.standardizer_fit  # noqa: F401
    clock = Clock(spec.clock, spec.cores)
    manifest = Manifest.load(shards)
    splits = {name: read_split(shards, name) for name in ("train", "validation")}
    scaling = Scaling.fit(manifest, settings["scaling"], splits["train"], spec.seed)
    condition, target, held_condition, held_target = (
        torch.from_numpy(values)
        for split in splits.values()
        for values in (
            scaling.condition(split["condition"]),
            scaling.standardize(split["condition"], split["measured"]),
        )
    )
    flow = build(settings, target.shape[1], condition.shape[1])
    optimizer = torch.optim.Adam(flow.parameters(), settings["learning_rate"])
    batches = shuffled_batches(len(target), settings["batch_size"], spec.seed)
    best: dict[str, Any] = {"loss": float("inf"), "weights": flow.state_dict()}

    def step(share: float) -> int:
        optimizer.param_groups[0]["lr"] = settings["learning_rate"] * cosine(share)
        rows = next(batches)
        optimizer.zero_grad()
        loss = -flow(condition[rows]).log_prob(target[rows]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), settings["clip"])
        optimizer.step()
        return len(rows)

    def validate() -> None:
        with torch.no_grad():
            loss = -flow(held_condition).log_prob(held_target).mean().item()
        if loss < best["loss"]:
            weights = {name: value.clone() for name, value in flow.state_dict().items()}
            best.update(loss=loss, weights=weights)

    steps, galaxies = train_until(clock, spec.seconds, step, validate)
    report = clock.report()
    directory.mkdir(parents=True, exist_ok=True)
    torch.save(best["weights"], directory / "flow.pt")
    scaling.save(directory)
    sizes = {"measured": target.shape[1], "conditions": condition.shape[1]}
    record = {"settings": settings, "shards": str(shards.resolve()), **sizes}
    (directory / "flow.json").write_text(json.dumps(record))
    return {"galaxies": galaxies, "steps": steps, "validation_loss": best["loss"], **report}


class FlowEmulator:
    """A trained flow as an emulator.

    Its draws are a pure function of the whole call (conditions, first row id, seed), not row by
    row as this project's are: cheaper, and enough for a benchmark.

    Parameters
    ----------
    flow : zuko.lazy.Flow
        Trained.
    scaling : Scaling
        Of its columns.
    """

    def __init__(self, flow: Any, scaling: Scaling) -> None:
        # Tracing takes weights for constants, which must not want gradients.
        self._flow, self._scaling = flow.eval().requires_grad_(False), scaling
        self.schema, self.label = scaling.schema, scaling.label
        self.inverse: Inverse = self._eager

    def _eager(self, condition: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        return self._flow(condition).transform.inv(latent)

    def traced(self) -> FlowEmulator:
        """The same with its sampling traced by torch.jit for whole chunks."""
        other = FlowEmulator(self._flow, self._scaling)
        example = self.example()
        with torch.no_grad():
            other.inverse = torch.jit.trace(self._eager, example, check_trace=False)
        return other

    def compiled(self) -> FlowEmulator:
        """The same with its sampling compiled by torch.compile; takes minutes."""
        other = FlowEmulator(self._flow, self._scaling)
        other.inverse = torch.compile(self._eager)
        with torch.no_grad():
            other.inverse(*self.example())
        return other

    def example(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Conditions and latents of one chunk."""
        conditions = len(self.schema.condition_names)
        generator = torch.Generator().manual_seed(0)
        return (
            torch.randn(_CHUNK, conditions, generator=generator),
            torch.randn(_CHUNK, len(self.schema.measured_names), generator=generator),
        )

    def draw(self, condition: np.ndarray, row_id: np.ndarray, seed: int) -> np.ndarray:
        """Measured columns, float32 (N, M)."""
        words = np.random.SeedSequence([seed, int(row_id[0]), len(row_id)]).generate_state(2)
        generator = torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
        rows, measured = len(condition), len(self.schema.measured_names)
        # Whole chunks of one size, which traced and compiled graphs want.
        padded = -(-rows // _CHUNK) * _CHUNK
        scaled = np.zeros((padded, condition.shape[1]), np.float32)
        scaled[:rows] = self._scaling.condition(condition)
        latent = torch.randn(padded, measured, generator=generator)
        with torch.no_grad():
            parts = [
                self.inverse(*pair).numpy()
                for pair in zip(
                    torch.from_numpy(scaled).split(_CHUNK), latent.split(_CHUNK), strict=True
                )
            ]
        return self._scaling.restore(condition, np.concatenate(parts)[:rows])


def load(directory: Path) -> FlowEmulator:
    """The trained flow."""
    record = json.loads((directory / "flow.json").read_text())
    flow = build(record["settings"], record["measured"], record["conditions"])
    flow.load_state_dict(torch.load(directory / "flow.pt"))
    return FlowEmulator(flow, Scaling.load(Manifest.load(record["shards"]), directory))
