"""Settings -> built and compiled networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from balrog_keras.band_families import link_indices
from balrog_keras.config import Settings
from balrog_keras.generator import Generator
from balrog_keras.networks import Critic
from balrog_keras.transforms import reference_indices
from balrog_keras.wgan_gp import ConditionalWGANGP
from data_prep.schema import Schema

__all__ = [
    "Seeds",
    "averaging_adam",
    "averaging_muon",
    "build_gan",
    "cosine_adam",
    "gan_of_schema",
]


@dataclass(frozen=True)
class Seeds:
    """Independent seeds of one run's parts."""

    generator: int
    critic: int
    regression: int
    batches: int
    noise: int
    likelihood: int

    @classmethod
    def of(cls, seed: int) -> Seeds:
        """Derive them; each below 2**31."""
        return cls(*(int(word >> 1) for word in np.random.SeedSequence(seed).generate_state(6)))


def cosine_adam(rate: float, steps: int, beta_1: float, **kwargs: Any) -> Any:
    """Adam whose rate decays to 1 % along a cosine; (0, 0.9) are WGAN-GP's betas."""
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)
    beta_2 = 0.9 if beta_1 == 0 else 0.999
    return keras.optimizers.Adam(schedule, beta_1=beta_1, beta_2=beta_2, **kwargs)


def averaging_adam(rate: float, steps: int, weight_decay: float) -> Any:
    """Adam that leaves the average of about the last tenth of the steps, or the last 1,000."""
    optimizer = cosine_adam(rate, steps, beta_1=0.9, **_average_of(steps))
    optimizer.weight_decay = _changeable(weight_decay)
    return optimizer


def averaging_muon(rate: float, steps: int, weight_decay: float) -> Any:
    """As :func:`averaging_adam`, with hidden kernels moved by Muon.

    Their momentum is orthogonalized, so that all directions in a kernel move alike (Jordan et al.
    2024, https://kellerjordan.github.io/posts/muon), in steps as large as Adam's (Liu et al. 2025,
    arXiv:2502.16982). Biases and heads, as there, are Adam's.
    """
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)
    optimizer = keras.optimizers.Muon(schedule, exclude_layers=["head"], **_average_of(steps))
    optimizer.weight_decay = optimizer.adam_weight_decay = _changeable(weight_decay)
    return optimizer


def _average_of(steps: int) -> dict[str, Any]:
    """What makes an optimizer leave the average of the last of so many steps."""
    return {"use_ema": True, "ema_momentum": min(max(0.0, 1.0 - 10.0 / steps), 0.999)}


def _changeable(weight_decay: float) -> Any:
    """As a variable, which the compiled step reads anew."""
    return keras.Variable(weight_decay, trainable=False, name="weight_decay")


def build_gan(
    settings: Settings,
    num_conditions: int,
    num_measured: int,
    num_linked: int = 0,
    sees_residuals: bool = False,
) -> ConditionalWGANGP:
    """Generator, critic and their optimizers, built and compiled.

    Parameters
    ----------
    settings : Settings
        Hyper-parameters.
    num_conditions, num_measured : int
        Columns of the condition and of the measured vector.
    num_linked : int
        How many of the measured columns are learned as differences.
    sees_residuals : bool
        Whether the generator's conditioners take residuals.

    Returns
    -------
    ConditionalWGANGP
        Ready for ``fit``.
    """
    seeds = Seeds.of(settings.seed)
    generator = Generator(
        num_measured,
        width=settings.generator_width,
        depth=settings.generator_depth,
        activation=settings.generator_activation,
        bins=settings.spline_bins,
        sees_residuals=sees_residuals,
        seed=seeds.generator,
        name="generator",
    )
    scales = 2 * num_measured if sees_residuals else 0
    generator.build(((None, num_conditions + scales), (None, num_measured)))
    critic = Critic(
        width=settings.width,
        depth=settings.depth,
        activation=settings.critic_activation,
        seed=seeds.critic,
        name="critic",
    )
    critic.build(((None, num_measured), (None, num_conditions)))
    gan = ConditionalWGANGP(
        generator,
        critic,
        critic_steps=settings.critic_steps,
        gradient_penalty_weight=settings.gradient_penalty_weight,
        gradient_penalty_side=settings.gradient_penalty_side,
        gradient_penalty_fraction=settings.gradient_penalty_fraction,
        energy_score_weight=settings.energy_score_weight,
        likelihood_weight=settings.likelihood_weight,
        ema_decay=settings.ema_decay,
        num_linked=num_linked,
        seed=seeds.noise,
        name="gan",
    )
    steps = settings.steps
    gan.compile(
        cosine_adam(settings.generator_learning_rate, steps, beta_1=0.0),
        cosine_adam(settings.critic_learning_rate, steps * settings.critic_steps, beta_1=0.0),
        jit_compile=settings.xla,
    )
    return gan


def gan_of_schema(settings: Settings, schema: Schema) -> ConditionalWGANGP:
    """:func:`build_gan` for a schema's conditions and measured columns."""
    return build_gan(
        settings,
        len(schema.condition_names),
        len(schema.measured_names),
        num_linked=sum(link >= 0 for link in link_indices(schema)),
        sees_residuals=min(reference_indices(schema)) < 0,
    )
