"""Terms of the two losses: gradient penalty and energy score."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["energy_score_loss", "gradient_penalty"]

# Under a square root: its derivative at 0 is infinite.
_EPSILON = 1e-12


def gradient_penalty(
    critic: Any, real: Any, fake: Any, condition: Any, epsilon: Any, side: str
) -> Any:
    r"""Penalise critic gradients away from norm 1 between real and fake rows.

    With :math:`\hat x = \epsilon x + (1 - \epsilon) G(z, c)` and the gradient taken in the
    measured vector and the condition together (the critic is then 1-Lipschitz in both; Ray et al.
    2023, arXiv:2306.04895),

    .. math:: E[(\lVert \nabla_{\hat x, c} D(\hat x, c) \rVert_2 - 1)^2]

    for ``side="two"`` (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3) and
    :math:`E[\max(0, \lVert \nabla D \rVert_2 - 1)^2]` for ``side="one"``.

    Parameters
    ----------
    critic : callable
        Maps ``(measured, condition)`` to ``(batch, 1)``.
    real, fake : float32 tensors, shape (batch, M)
        Standardized measured rows.
    condition : float32 tensor, shape (batch, C)
        Standardized conditions.
    epsilon : float32 tensor, shape (batch, 1)
        Interpolation weights, uniform on [0, 1).
    side : {'one', 'two'}
        Form of the penalty.

    Returns
    -------
    float32 tensor, shape ()
        The penalty, not weighted.
    """
    mixed = epsilon * real + (1.0 - epsilon) * fake
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch((mixed, condition))
        score = critic((mixed, condition))
    gradients = tape.gradient(score, (mixed, condition))
    squared = sum(tf.reduce_sum(tf.square(gradient), axis=-1) for gradient in gradients)
    excess = tf.sqrt(squared + _EPSILON) - 1.0
    if side == "one":
        excess = tf.nn.relu(excess)
    return tf.reduce_mean(tf.square(excess))


def energy_score_loss(first: Any, second: Any, real: Any) -> Any:
    """Energy score of two draws per row (Gneiting & Raftery 2007, doi:10.1198/016214506000001437).

    ``|f - y| / 2 + |f' - y| / 2 - |f - f'| / 2`` with Euclidean norms: strictly proper, and
    unbiased with two draws (Pacchiardi et al. 2021, arXiv:2112.08217).

    Parameters
    ----------
    first, second, real : float32 tensors, shape (batch, M)
        Two independent draws and the observed row of each condition.

    Returns
    -------
    float32 tensor, shape ()
        Mean over the batch.
    """

    def distance(a: Any, b: Any) -> Any:
        return tf.sqrt(tf.reduce_sum(tf.square(a - b), axis=-1) + _EPSILON)

    score = distance(first, real) + distance(second, real) - distance(first, second)
    return 0.5 * tf.reduce_mean(score)
