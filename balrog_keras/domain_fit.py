"""Fit of the density of training conditions, and of the threshold that ends the domain."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from balrog_keras.domain import DomainModel
from balrog_keras.transforms import transformed, transforms_of
from data_prep.errors import BalrogError, require
from data_prep.schema import Schema

__all__ = ["FLAGGED_FRACTION", "fit_domain"]

logger = logging.getLogger(__name__)

# Of held-out rows of the training distribution, these are called outside.
FLAGGED_FRACTION = 0.01
# More rows or components change the flagged fractions of shifted rows by less than the seed does.
_FIT_ROWS, _MAX_COMPONENTS, _ROWS_PER_COMPONENT = 20_000, 16, 250
# Least variance along any direction, in units of a column's: a survey property that takes few
# values would otherwise have a density without bound.
_LEAST_VARIANCE = 1e-3


def fit_domain(train: np.ndarray, held_out: np.ndarray, schema: Schema, seed: int) -> DomainModel:
    """Fit a Gaussian mixture to the training conditions, and calibrate its threshold.

    Columns are transformed and z-scored. The components have full covariances, so that a row may
    be outside by its colours though each of its columns is common.

    Parameters
    ----------
    train : float32 array, shape (N, C)
        Conditions of training rows, physical units.
    held_out : float32 array, shape (V, C)
        Conditions of validation rows, of which FLAGGED_FRACTION shall be outside.
    schema : Schema
        Whose conditions they are.
    seed : int
        Of the sub-sample and the fit's start.

    Returns
    -------
    DomainModel

    Raises
    ------
    BalrogError
        If there are no rows.
    MissingExtraError
        If scikit-learn is not installed.
    """
    if not (len(train) and len(held_out)):
        raise BalrogError(
            "the training domain needs training and validation rows, found "
            f"{len(train):,} and {len(held_out):,}"
        )
    started = time.monotonic()
    transforms = transforms_of(schema.truth + schema.survey)
    chosen = np.sort(np.random.default_rng([seed, 0]).permutation(len(train))[:_FIT_ROWS])
    values = np.asarray(transformed(train[chosen], transforms), np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    # Constant in float32 up to rounding of the mean: dividing by that would blow noise up.
    std = np.where(deviation > 1e-6 * np.abs(values).max(axis=0), deviation, 1.0)
    mixture = _fit_mixture((values - mean) / std, seed)
    parts = mixture.weights_, mixture.means_, mixture.precisions_cholesky_
    model = DomainModel(transforms, mean, std, *parts)
    model.threshold = float(np.quantile(_log_density(model, held_out), FLAGGED_FRACTION))
    seconds = time.monotonic() - started
    logger.info("training domain: %d components in %.1f s", model.components, seconds)
    return model


def _fit_mixture(standard: np.ndarray, seed: int) -> Any:
    """scikit-learn's GaussianMixture of standardized rows."""
    require("sklearn", "cpu")
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    mixture = GaussianMixture(
        n_components=int(np.clip(len(standard) // _ROWS_PER_COMPONENT, 1, _MAX_COMPONENTS)),
        reg_covar=_LEAST_VARIANCE,
        init_params="k-means++",
        max_iter=200,
        random_state=int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]),
    )
    # Many small products: threads that wait for each other take several times as long.
    with threadpool_limits(1):
        return mixture.fit(standard)


def _log_density(model: DomainModel, condition: np.ndarray) -> np.ndarray:
    """Of many rows, a part at a time, as the exported graph computes it."""
    parts = np.array_split(condition, len(condition) // 65_536 + 1)
    return np.concatenate([model.log_density(part).numpy() for part in parts])
