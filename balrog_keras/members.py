"""Members of an ensemble: the same networks trained from different seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from balrog_keras.config import Settings
from balrog_keras.draw_bounds import DrawBounds
from balrog_keras.generator import Generator
from balrog_keras.networks import Critic
from balrog_keras.quick_draw import quick_measured
from balrog_keras.standardizer import Standardizer

__all__ = ["Member", "TrainedMember", "member_settings"]


class Member(tf.Module):
    """What one member needs to draw.

    Parameters
    ----------
    generator : Generator
        Maps standardized conditions and latents to standardized residuals.
    standardizer : Standardizer
        Fitted.
    bounds : DrawBounds, optional
        What draws are kept within; nothing by default.
    """

    def __init__(
        self, generator: Generator, standardizer: Standardizer, bounds: DrawBounds | None = None
    ) -> None:
        super().__init__(name="member")
        self.generator, self.standardizer = generator, standardizer
        self._bounds = bounds

    def measured(self, condition: Any, latent: Any) -> Any:
        """Measured columns ``(N, M)`` of conditions ``(N, C)``, both in physical units."""
        return quick_measured(self.generator, self.standardizer, condition, latent, self._bounds)


@dataclass(frozen=True)
class TrainedMember:
    """What training one member gives.

    Parameters
    ----------
    generator : Generator
        The averaged one at its best validation.
    standardizer : Standardizer
        Fitted.
    critic : Critic
        As training left it; fine-tuning goes on from it.
    seed : int
        The member's own.
    scores, last : dict
        ``step`` and scores of the best validation, and of the averaged generator after training.
    steps, seconds : int, float
        Taken since training was started or resumed.
    """

    generator: Generator
    standardizer: Standardizer
    critic: Critic
    seed: int
    scores: dict[str, Any]
    last: dict[str, Any]
    steps: int
    seconds: float


def member_settings(settings: Settings, number: int) -> Settings:
    """Settings of one member: a seed of its own; member 0 has the run's.

    Parameters
    ----------
    settings : Settings
        Of the run.
    number : int
        From 0.

    Returns
    -------
    Settings
        The same but for ``seed``.
    """
    if number == 0:
        return settings
    word = np.random.SeedSequence([settings.seed, number]).generate_state(1)[0]
    return replace(settings, seed=int(word >> 1))
