"""The density of the training conditions, and where it is too low to be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from balrog_keras.transforms import transformed

__all__ = ["DomainModel"]

# Standardized values beyond this are as far out as any; it keeps their squares finite in float32.
_FARTHEST = 1e6


class DomainModel(tf.Module):
    """Gaussian mixture over the standardized conditions, and the density where it ends.

    Made by :func:`balrog_keras.domain_fit.fit_domain`.

    Parameters
    ----------
    transforms : sequence of str
        Of the C columns, see :mod:`balrog_keras.transforms`.
    mean, std : float arrays, shape (C,)
        Of the transformed columns.
    weights : float array, shape (K,)
        Of the mixture's components; they add up to 1.
    centers : float array, shape (K, C)
        Their means, standardized.
    whitening : float array, shape (K, C, C)
        Their Cholesky factors of the inverse covariance: ``(z - center) @ whitening`` is white.
    threshold : float
        Log-density, natural logarithm, below which a condition is outside.
    """

    def __init__(
        self,
        transforms: Sequence[str],
        mean: np.ndarray,
        std: np.ndarray,
        weights: np.ndarray,
        centers: np.ndarray,
        whitening: np.ndarray,
        threshold: float = 0.0,
    ) -> None:
        super().__init__(name="domain")
        self.transforms, self.threshold = list(transforms), threshold
        components, size = centers.shape
        self.components = components
        self._mean, self._std = mean.astype(np.float32), std.astype(np.float32)
        # One matrix product for all components.
        self._whitening = whitening.transpose(1, 0, 2).reshape(size, -1).astype(np.float32)
        whitened = np.einsum("kc,kcd->kd", centers, whitening)
        self._whitened_centers = whitened.ravel().astype(np.float32)
        self._of_component = np.repeat(np.eye(components, dtype=np.float32), size, axis=0)
        log_determinant = np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(axis=1)
        constant = np.log(weights) + log_determinant - 0.5 * size * math.log(2 * math.pi)
        self._constant = constant.astype(np.float32)

    def log_density(self, condition: Any) -> Any:
        """Natural log of the density of standardized conditions.

        Parameters
        ----------
        condition : float32 tensor, shape (N, C)
            Physical units. NaN gives NaN.

        Returns
        -------
        float32 tensor, shape (N,)
        """
        values = transformed(condition, self.transforms, keras.ops)
        standard = tf.clip_by_value((values - self._mean) / self._std, -_FARTHEST, _FARTHEST)
        white = tf.matmul(standard, self._whitening) - self._whitened_centers
        # Sums by products: unlike reductions they give a row the same bits anywhere in a block.
        distance = tf.matmul(tf.square(white), self._of_component)
        each = self._constant - 0.5 * distance
        largest = tf.reduce_max(each, axis=1, keepdims=True)
        total = tf.matmul(tf.exp(each - largest), np.ones((self.components, 1), np.float32))
        return tf.squeeze(largest + tf.math.log(total), axis=1)

    def __call__(self, condition: Any) -> tuple[Any, Any]:
        """Score and flag of each condition.

        Parameters
        ----------
        condition : float32 tensor, shape (N, C)
            Physical units.

        Returns
        -------
        score : float32 tensor, shape (N,)
            Log-density less the threshold: positive inside; NaN where a condition is NaN or
            infinite.
        inside : bool tensor, shape (N,)
            Whether the score is not negative; False where it is NaN.
        """
        known = tf.reduce_all(tf.math.is_finite(condition), axis=1)
        score = self.log_density(condition) - self.threshold
        score = tf.where(known, score, float("nan"))
        return score, score >= 0.0
