"""How often a measured value is far from its conditional location, real beside emulated."""

from __future__ import annotations

from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.comparison import statistic

__all__ = ["TAIL_SCALES", "tail_statistics"]

# Distances from the conditional location, in conditional scales.
TAIL_SCALES = (2.0, 3.0, 5.0, 10.0, 20.0)


def tail_statistics(
    real: np.ndarray, emulated: np.ndarray, names: tuple[str, ...], bootstrap: RegionBootstrap
) -> dict[str, Any]:
    """Fraction of rows beyond some scales, on either side.

    Parameters
    ----------
    real, emulated : float array, shape (N, M)
        Standardized columns (:func:`balrog_keras.residuals.standardized`).
    names : tuple of str
        The M columns.
    bootstrap : RegionBootstrap
        Over the N rows.

    Returns
    -------
    dict
        ``{column: {"> 3": statistic}}``: emulated minus real fraction, with both in ``real`` and
        ``emulated``.
    """
    result: dict[str, Any] = {}
    for index, name in enumerate(names):
        far = np.stack(
            [np.abs(v[:, index]) > scales for v in (real, emulated) for scales in TAIL_SCALES],
            axis=1,
        )
        count = len(TAIL_SCALES)
        mean = far.mean(axis=0)
        sums = bootstrap.sums(np.column_stack([far, np.ones(len(far))]))
        fractions = sums[:, :-1] / np.maximum(sums[:, -1:], 1.0)
        interval = bootstrap.interval(fractions[:, count:] - fractions[:, :count])
        result[name] = {
            f"> {scales:g}": statistic(
                mean[count + k] - mean[k],
                interval[k],
                real=float(mean[k]),
                emulated=float(mean[count + k]),
            )
            for k, scales in enumerate(TAIL_SCALES)
        }
    return result
