"""Classifier two-sample test (C2ST): a fixed classifier tries to tell emulated rows from real.

AUC 0.5 means it cannot. The settings of the classifiers are fixed here, so that values of
different emulators compare. On 20,000 rows with heteroscedastic Student-t residuals in three
bands, draws stretched by 10 % give an AUC of 0.53 to 0.54 where exact ones give 0.50; the test
sees global faults, and the binned spread ratio those of one corner (Lopez-Paz & Oquab 2017,
arXiv:1610.06545).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any
from warnings import catch_warnings, filterwarnings, simplefilter

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.comparison import beside, statistic
from balrog_keras.threads import on_all_cores
from data_prep.errors import require

__all__ = [
    "CLASSIFIERS",
    "auc",
    "auc_table",
    "c2st_statistics",
    "fitted_folds",
    "out_of_fold_scores",
]

FOLDS = 4


def _boosted_trees() -> Any:
    ensemble = require("sklearn.ensemble", "report")
    return ensemble.HistGradientBoostingClassifier(
        max_iter=300,
        learning_rate=0.03,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        early_stopping=False,
        random_state=0,
    )


def _neural_network() -> Any:
    neural_network = require("sklearn.neural_network", "report")
    pipeline = require("sklearn.pipeline", "report")
    preprocessing = require("sklearn.preprocessing", "report")
    return pipeline.make_pipeline(
        preprocessing.RobustScaler(),
        # Residuals reach tens of sigma: compressed, one blend does not outweigh a thousand rows.
        preprocessing.FunctionTransformer(np.arcsinh),
        neural_network.MLPClassifier(
            hidden_layer_sizes=(64, 64),
            alpha=1.0,
            batch_size=512,
            learning_rate_init=1e-3,
            max_iter=15,
            # Training stops after max_iter: early stopping would split pairs into its own folds.
            tol=0.0,
            n_iter_no_change=1000,
            random_state=0,
        ),
    )


CLASSIFIERS = {"boosted trees": _boosted_trees, "neural network": _neural_network}


def out_of_fold_scores(
    real: np.ndarray, emulated: np.ndarray, classifier: str, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of being emulated, from classifiers that never saw the row's condition.

    Parameters
    ----------
    real, emulated : float array, shape (N, F)
        Features; row k of both belongs to one condition, and both are in one fold.
    classifier : str
        A name in `CLASSIFIERS`.
    seed : int
        Seed of the folds.

    Returns
    -------
    scores_real, scores_emulated : float64 arrays, shape (N,)
    """
    return _scores(real, emulated, [classifier], seed)[classifier]


def fitted_folds(
    real: np.ndarray, emulated: np.ndarray, classifier: str, seed: int = 0
) -> list[tuple[Any, np.ndarray]]:
    """Classifiers with the rows that each has not seen.

    Parameters
    ----------
    real, emulated, classifier, seed
        As in :func:`out_of_fold_scores`.

    Returns
    -------
    list of (model, held_out)
        A fitted scikit-learn classifier, whose class 1 is emulated, and the rows of its fold,
        bool array (N,); every row is in one.
    """
    fold = _folds(len(real), seed)
    with _length_is_meant():
        models = on_all_cores(
            lambda k: _fitted(real, emulated, classifier, fold != k), range(FOLDS)
        )
    return [(model, fold == k) for k, model in enumerate(models)]


def _scores(
    real: np.ndarray, emulated: np.ndarray, classifiers: Iterable[str], seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Out-of-fold scores of real and of emulated rows by each of some classifiers."""
    fold = _folds(len(real), seed)

    def score(task: tuple[int, str]) -> list[np.ndarray]:
        k, classifier = task
        model = _fitted(real, emulated, classifier, fold != k)
        return [model.predict_proba(sample[fold == k])[:, 1] for sample in (real, emulated)]

    scores = {classifier: np.empty((2, len(real))) for classifier in classifiers}
    # Fold after fold: the network holds Python's lock, the trees do not, so that they go together.
    tasks = list(product(range(FOLDS), scores))
    with _length_is_meant():
        for (k, classifier), pair in zip(tasks, on_all_cores(score, tasks), strict=True):
            scores[classifier][:, fold == k] = pair
    return {classifier: (pair[0], pair[1]) for classifier, pair in scores.items()}


def _folds(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xF01D]))
    return rng.permutation(rows) % FOLDS


def _fitted(real: np.ndarray, emulated: np.ndarray, classifier: str, train: np.ndarray) -> Any:
    model = CLASSIFIERS[classifier]()
    target = np.repeat([0, 1], np.count_nonzero(train))
    return model.fit(np.concatenate([real[train], emulated[train]]), target)


@contextmanager
def _length_is_meant() -> Iterator[None]:
    """No warning that the network's training, cut at a fixed length, has not converged.

    Nor that a batch is larger than a small sample, which is then one batch.
    """
    with catch_warnings():
        simplefilter("ignore", require("sklearn.exceptions", "report").ConvergenceWarning)
        filterwarnings("ignore", "Got `batch_size`", UserWarning)
        yield


def auc(
    scores_real: np.ndarray, scores_emulated: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """P(an emulated row scores above a real one), ties counted half.

    Parameters
    ----------
    scores_real, scores_emulated : float array, shape (N,)
        Scores; row k of both belongs to one condition.
    weights : float array, shape (B, N), optional
        Row weights of bootstrap replicates.

    Returns
    -------
    float64 array, shape (B,)
        Shape (1,) without weights. Below 0.5 stays below 0.5.
    """
    n = len(scores_real)
    if weights is None:
        weights = np.ones((1, n))
    _, place = np.unique(np.concatenate([scores_real, scores_emulated]), return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    result = np.empty(len(weights))
    for index, weight in enumerate(weights.astype(np.float64)):
        real = np.add.reduceat(np.append(weight, np.zeros(n))[order], starts)
        emulated = np.add.reduceat(np.append(np.zeros(n), weight)[order], starts)
        below = np.cumsum(real) - 0.5 * real
        result[index] = emulated @ below / weight.sum() ** 2
    return result


def auc_table(
    real: np.ndarray, emulated: np.ndarray, bootstrap: RegionBootstrap, seed: int = 0
) -> dict[str, dict[str, np.ndarray]]:
    """AUC of every classifier with its bootstrap replicates.

    Parameters
    ----------
    real, emulated : float array, shape (N, F)
        Features of the same conditions.
    bootstrap : RegionBootstrap
        Over the N rows; scores are computed once and resampled.
    seed : int
        Seed of the folds.

    Returns
    -------
    dict
        ``{classifier: {"value": float, "replicates": (B,)}}``
    """
    return {
        name: {"value": auc(*scores)[0], "replicates": bootstrap.replicate(partial(auc, *scores))}
        for name, scores in _scores(real, emulated, CLASSIFIERS, seed).items()
    }


def c2st_statistics(
    pair: tuple[np.ndarray, np.ndarray],
    null_pair: tuple[np.ndarray, np.ndarray],
    bootstrap: RegionBootstrap,
    seed: int = 0,
) -> dict[str, Any]:
    """The test beside its null; of the two classifiers the one with the larger AUC counts.

    Parameters
    ----------
    pair : two float arrays, shape (N, F)
        Features of the real and of the emulated rows.
    null_pair : two float arrays, shape (N, F)
        Features of two samples that a perfect emulator could not improve on, same rows.
    bootstrap : RegionBootstrap
        Over the N rows.
    seed : int
        Seed of the folds.

    Returns
    -------
    dict
        ``rows``, ``classifiers`` (AUC of each), ``larger`` and ``excess_over_null`` (its AUC
        minus the larger one of the null, from the same replicates).
    """
    here = auc_table(*pair, bootstrap, seed)
    null = auc_table(*null_pair, bootstrap, seed)
    statistics, null_statistics = (
        {
            name: statistic(entry["value"], bootstrap.interval(entry["replicates"]))
            for name, entry in table.items()
        }
        for table in (here, null)
    )
    top, null_top = (max(table, key=lambda name: table[name]["value"]) for table in (here, null))
    excess = here[top]["replicates"] - null[null_top]["replicates"]
    return {
        "rows": len(pair[0]),
        "classifiers": beside(statistics, null_statistics),
        "larger": {
            **beside(statistics[top], null_statistics[null_top]),
            "classifier": top,
            "null_classifier": null_top,
        },
        "excess_over_null": statistic(
            here[top]["value"] - null[null_top]["value"], bootstrap.interval(excess)
        ),
    }
