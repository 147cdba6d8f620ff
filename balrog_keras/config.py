"""Every hyper-parameter: its default, its meaning and its allowed range, written once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from data_prep.errors import BalrogError, did_you_mean

__all__ = ["Settings"]


Activation = Literal["silu", "relu", "leaky_relu", "gelu", "softplus", "tanh", "elu"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hyper-parameters of one training run.

    A step is one generator update; it uses ``critic_steps * batch_size`` training rows, each of
    which visits the critic once. ``steps * critic_steps * batch_size / rows`` is the number of
    epochs.

    Parameters
    ----------
    width, depth : int
        Units in each, and number of, hidden layers of the critic and of the detection model.
    generator_width, generator_depth : int
        The same of the networks that draw: the conditioner of each measured column in the
        generator, and the location/scale regression.
    spline_bins : int
        Bins of the generator's splines; even.
    generator_activation, critic_activation : str
        Keras' names of the hidden layers' activations.
    steps : int
        Generator updates in the whole run.
    batch_size : int
        Training rows in one critic update.
    critic_steps : int
        Critic updates before each generator update.
    critic_learning_rate : float
        Adam's learning rate of the critic at the start; decays to 1 % along a cosine.
    generator_learning_rate : float
        Adam's learning rate of the generator at the start; decays to 1 % along a cosine.
    gradient_penalty_weight : float
        Weight of the gradient penalty (lambda of Gulrajani et al. 2017).
    gradient_penalty_side : {'one', 'two'}
        'two' penalises any gradient norm other than 1 (the paper's form), 'one' only norms over 1.
    gradient_penalty_fraction : float
        Share of each batch on which the penalty is estimated; it costs as much as the rest of a
        critic update, so that less than 1 is quicker and noisier.
    energy_score_weight : float
        Weight of the energy-score term in the generator's loss; 0 turns it off, and
        spares each step a second draw per row.
    likelihood_weight : float
        Weight of the negative log-likelihood in the generator's loss; 0 turns it off.
    likelihood_steps : int
        Optimizer steps of maximum likelihood, each on 2048 rows (``2 * batch_size`` if that is
        less), that start the generator before the critic joins (fewer where 40 epochs are
        shorter); 0 starts it from random weights.
    ema_decay : float
        Decay per step of the exponential moving average of the generator's weights; warms up as
        ``min(ema_decay, (1 + step) / (10 + step))``.
    location_scale_steps : int
        Optimizer steps of the location/scale regression that standardizes the measured columns.
        Twice as many for that of linked columns
        (:class:`~balrog_keras.differences.Differences`).
    detection_steps : int
        Most optimizer steps of the detection model (fewer where 12 epochs are shorter); the last
        is kept.
    validation_interval : int
        Steps between two validations; each also writes a checkpoint.
    validation_draws : int
        Draws per validation row in the energy score.
    validation_rows : int
        Most validation rows that are scored, the first of the split, whose order is random.
    stream : bool
        Read the training rows from the shards as they are needed, for shards that do not fit in
        memory. About a fifth slower on a CPU, since rows are standardized anew in each epoch.
    use_weights : bool
        Draw the training rows of the GAN with probability proportional to the shards' injection
        weights. They must depend on the condition alone; p(measured | condition) is then the same
        and only the accuracy moves to where the weight is.
    xla : bool
        Compile the training step with XLA.
    seed : int
        Seed of initial weights, batch order and training noise.

    Raises
    ------
    BalrogError
        If a value is outside its range.

    Examples
    --------
    >>> Settings(width=64).width
    64
    """

    width: int = 128
    depth: int = 3
    generator_width: int = 32
    generator_depth: int = 3
    spline_bins: int = 8
    generator_activation: Activation = "silu"
    critic_activation: Activation = "silu"
    steps: int = 2500
    batch_size: int = 4096
    critic_steps: int = 1
    critic_learning_rate: float = 2e-3
    generator_learning_rate: float = 3e-4
    gradient_penalty_weight: float = 10.0
    gradient_penalty_side: Literal["one", "two"] = "one"
    gradient_penalty_fraction: float = 0.25
    energy_score_weight: float = 0.5
    likelihood_weight: float = 1.0
    likelihood_steps: int = 20_000
    ema_decay: float = 0.998
    location_scale_steps: int = 3000
    detection_steps: int = 2000
    validation_interval: int = 250
    validation_draws: int = 16
    validation_rows: int = 20_000
    stream: bool = False
    use_weights: bool = False
    xla: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value against its range."""
        at_least_one = (
            "width", "depth", "generator_width", "generator_depth", "steps", "batch_size",
            "critic_steps", "location_scale_steps", "detection_steps", "validation_interval",
            "validation_rows",
        )  # fmt: skip
        for name in at_least_one:
            self._require(name, "a whole number of at least 1", getattr(self, name) >= 1)
        for name in ("critic_learning_rate", "generator_learning_rate"):
            self._require(name, "between 0 and 1", 0 < getattr(self, name) < 1)
        not_negative = (
            "gradient_penalty_weight", "energy_score_weight", "likelihood_weight",
            "likelihood_steps",
        )  # fmt: skip
        for name in not_negative:
            self._require(name, "0 or more", getattr(self, name) >= 0)
        even = self.spline_bins >= 2 and self.spline_bins % 2 == 0
        self._require("spline_bins", "even and at least 2", even)
        fraction = self.gradient_penalty_fraction
        self._require("gradient_penalty_fraction", "above 0, at most 1", 0 < fraction <= 1)
        self._require("ema_decay", "from 0 to below 1", 0 <= self.ema_decay < 1)
        self._require("validation_draws", "at least 2", self.validation_draws >= 2)
        self._require("seed", "from 0 to 2**31 - 1", 0 <= self.seed < 2**31)
        known = get_args(Activation)
        for name in ("generator_activation", "critic_activation"):
            self._require(name, f"one of {', '.join(known)}", getattr(self, name) in known)
        side = self.gradient_penalty_side
        self._require("gradient_penalty_side", "'one' or 'two'", side in ("one", "two"))

    def _require(self, name: str, expected: str, holds: bool) -> None:
        if not holds:
            raise BalrogError(f"setting {name} must be {expected}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, for YAML and JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """Settings from plain values; unknown names raise BalrogError."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            meant = "".join(did_you_mean(name, known, 1) for name in unknown)
            raise BalrogError(f"unknown settings {unknown}; known are {sorted(known)}{meant}")
        return cls(**values)

    def differences(self, other: Settings) -> dict[str, tuple[Any, Any]]:
        """Settings that differ, as ``{name: (mine, other's)}``."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}
