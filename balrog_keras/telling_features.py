"""What gives emulated rows away: permutation importance of features, and AUC in bins.

The importance of a feature is how much the AUC of a fitted classifier falls when the feature is
shuffled over rows it was not fitted on (Breiman 2001, doi:10.1023/A:1010933404324). Features that
say the same (a measured magnitude and its residual) share their importance, so they are also
shuffled together, by column.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.classifier_features import feature_names
from balrog_keras.comparison import statistic
from balrog_keras.metrics import quantile_bins
from balrog_keras.threads import on_all_cores
from balrog_keras.two_sample import fitted_folds
from data_prep.schema import Schema

__all__ = ["feature_groups", "telling_features"]

# Shuffling and scoring cost as much as this many rows; more would not change the order.
_MOST_ROWS = 20_000


def feature_groups(schema: Schema) -> dict[str, list[int]]:
    """Features of a classifier that are shuffled together.

    Parameters
    ----------
    schema : Schema
        Names of the columns.

    Returns
    -------
    dict of str to list of int
        Each condition alone; ``NAME (all forms)`` for a measured column, its residual and
        its standardized value; each colour alone.
    """
    names = feature_names(schema)
    c, m = len(schema.condition_names), len(schema.measured_names)
    groups = {name: [k] for k, name in enumerate(schema.condition_names)}
    for k, name in enumerate(schema.measured_names):
        groups[f"{name} (all forms)"] = [c + k, c + m + k, c + 2 * m + k]
    groups |= {names[k]: [k] for k in range(c + 3 * m, len(names))}
    return groups


def telling_features(
    schema: Schema,
    real: np.ndarray,
    emulated: np.ndarray,
    classifier: str,
    bootstrap: RegionBootstrap,
    seed: int = 0,
) -> dict[str, Any]:
    """Importance of every feature and group, and the AUC in quartiles of every condition.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    real, emulated : float array, shape (N, F)
        From :func:`balrog_keras.classifier_features.features`; row k of both has one condition.
    classifier : str
        A name in :data:`balrog_keras.two_sample.CLASSIFIERS`.
    bootstrap : RegionBootstrap
        Over the N rows.
    seed : int
        Seed of folds and shuffles.

    Returns
    -------
    dict
        ``classifier``, ``rows``; ``features`` and ``groups``: name -> statistic, the fall of the
        AUC, largest first; ``bins``: list of ``condition``, ``low``, ``high``, ``rows`` and the
        AUC there (``value``, ``interval``).
    """
    rows = np.arange(len(real))
    if len(rows) > _MOST_ROWS:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0x7E11]))
        rows = np.sort(rng.permutation(len(rows))[:_MOST_ROWS])
    real, emulated, bootstrap = real[rows], emulated[rows], bootstrap.subset(rows)
    models = fitted_folds(real, emulated, classifier, seed)
    scores = _scores(models, real, emulated)
    base = _placements(*scores)
    alone = {name: [k] for k, name in enumerate(feature_names(schema))}
    groups = feature_groups(schema)
    fall = partial(_fall, models, (real, emulated), base, bootstrap, seed)
    return {
        "classifier": classifier,
        "rows": len(rows),
        "features": _sorted(dict(zip(alone, on_all_cores(fall, alone.values()), strict=True))),
        "groups": _sorted(dict(zip(groups, on_all_cores(fall, groups.values()), strict=True))),
        "bins": list(_bins(schema, real, scores, bootstrap)),
    }


def _scores(
    models: list[tuple[Any, np.ndarray]], real: np.ndarray, emulated: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    def score(fitted: tuple[Any, np.ndarray]) -> np.ndarray:
        model, held_out = fitted
        both = np.concatenate([real[held_out], emulated[held_out]])
        scored: np.ndarray = model.predict_proba(both)[:, 1].reshape(2, -1)
        return scored

    scores = np.empty((2, len(real)))
    for (_, held_out), scored in zip(models, on_all_cores(score, models), strict=True):
        scores[:, held_out] = scored
    return scores[0], scores[1]


def _placements(real: np.ndarray, emulated: np.ndarray) -> np.ndarray:
    """Per pair, what it adds to the AUC: float64 (N,), whose mean is the AUC.

    The share of real scores below the emulated one, plus the share of emulated scores above the
    real one, less the AUC (DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595): resampling
    a pair resamples both. Means over resampled pairs are, to first order, the AUC of the resampled
    pairs, without sorting each replicate.
    """
    from scipy.stats import rankdata

    n = len(real)
    ranks = rankdata(np.concatenate([real, emulated]))
    below = (ranks[n:] - rankdata(emulated)) / n
    above = 1.0 - (ranks[:n] - rankdata(real)) / n
    placed: np.ndarray = below + above - below.mean()
    return placed


def _mean(values: np.ndarray, bootstrap: RegionBootstrap) -> dict[str, Any]:
    sums = bootstrap.sums(np.stack([values, np.ones(len(values))], axis=1))
    # A replicate in which none of these rows' regions was drawn has no mean.
    replicates = sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)
    return statistic(values.mean(), bootstrap.interval(replicates))


def _fall(
    models: list[tuple[Any, np.ndarray]],
    pair: tuple[np.ndarray, np.ndarray],
    base: np.ndarray,
    bootstrap: RegionBootstrap,
    seed: int,
    columns: list[int],
) -> dict[str, Any]:
    """How much the AUC falls when some columns are shuffled within each fold."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5A0F]))
    shuffled = np.stack(pair)
    for _, held_out in models:
        part = shuffled[:, held_out].reshape(-1, shuffled.shape[-1])
        part[:, columns] = part[rng.permutation(len(part))][:, columns]
        shuffled[:, held_out] = part.reshape(2, -1, shuffled.shape[-1])
    return _mean(base - _placements(*_scores(models, *shuffled)), bootstrap)


def _sorted(falls: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return dict(sorted(falls.items(), key=lambda item: -item[1]["value"]))


def _bins(
    schema: Schema,
    real: np.ndarray,
    scores: tuple[np.ndarray, np.ndarray],
    bootstrap: RegionBootstrap,
) -> Iterator[dict[str, Any]]:
    for index, name in enumerate(schema.condition_names):
        label, edges = quantile_bins(real[:, index], 4)
        for k in range(len(edges) - 1):
            rows = np.flatnonzero(label == k)
            if len(rows):
                placed = _placements(scores[0][rows], scores[1][rows])
                found = _mean(placed, bootstrap.subset(rows))
                bounds = {"low": float(edges[k]), "high": float(edges[k + 1])}
                yield {"condition": name, **bounds, "rows": len(rows), **found}
