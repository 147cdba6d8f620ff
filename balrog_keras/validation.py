"""Scores of a generator on the validation split, in the same noise every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from balrog_keras import metrics
from balrog_keras.residuals import residuals, standardized
from balrog_keras.standardizer import Standardizer
from balrog_keras.transforms import restored, transforms_of
from data_prep.schema import Schema

__all__ = ["Validator"]


class Validator:
    """Energy score, bias and spread ratio of a generator on held-out rows.

    Parameters
    ----------
    standardizer : Standardizer
        Fitted.
    schema : Schema
        Names of the measured columns, and their references.
    condition, measured : float32 arrays, shapes (N, C) and (N, M)
        Validation rows in physical units.
    latent_dim, draws, seed : int
        Length of the latent vector, draws per row, seed of the latents.
    """

    def __init__(
        self,
        standardizer: Standardizer,
        schema: Schema,
        condition: np.ndarray,
        measured: np.ndarray,
        latent_dim: int,
        draws: int,
        seed: int,
    ) -> None:
        self.schema = schema
        self.condition, self.measured = condition, measured
        self._standard_condition = standardizer.standardize_condition(condition)
        location, scale = standardizer.location_scale(condition)
        self._location, self._scale = np.asarray(location), np.asarray(scale)
        self._standard_measured = standardized(schema, measured, self._location, self._scale)
        self._latents = tf.random.stateless_normal(
            (draws, len(condition), latent_dim), tf.constant([seed, -2], tf.int64)
        )

    def draw_standardized(self, generator: Any) -> Any:
        """Draws of `generator`, standardized: float32 tensor, shape (draws, N, M)."""
        return tf.stack([generator((self._standard_condition, latent)) for latent in self._latents])

    def one_realization(self, generator: Any) -> np.ndarray:
        """One draw per row in physical units: float32 array, shape (N, M)."""
        return self._physical(generator((self._standard_condition, self._latents[0])))

    def _physical(self, standardized: Any) -> np.ndarray:
        values = self._location + self._scale * np.asarray(standardized)
        return np.asarray(restored(values, transforms_of(self.schema.measured)))

    def scores(self, generator: Any) -> dict[str, float]:
        """Energy score on residuals over sigma(condition); bias and spread ratio per column.

        Parameters
        ----------
        generator : Generator
            Maps ``(condition, latent)`` to standardized residuals.

        Returns
        -------
        dict of str to float
            ``energy_score`` (lower is better); per measured column ``bias/NAME``, median of
            emulated minus median of real residuals (unit of the transformed column), and
            ``spread_ratio/NAME``, half the 16-84 % range of the residuals, emulated over real.
        """
        draws = self.draw_standardized(generator).numpy()
        emulated = self._physical(draws[0])
        real, fake = (
            residuals(self.schema, self.condition, measured)
            for measured in (self.measured, emulated)
        )
        bias, ratio = metrics.bias(real, fake), metrics.spread_ratio(real, fake)
        names = self.schema.measured_names
        return {
            "energy_score": float(metrics.energy_score(draws, self._standard_measured).mean()),
            **{f"bias/{name}": float(value) for name, value in zip(names, bias, strict=True)},
            **{f"spread_ratio/{n}": float(value) for n, value in zip(names, ratio, strict=True)},
        }
