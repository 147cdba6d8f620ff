"""A detection probability measured on held-out injections, and the bars it must meet."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from balrog_keras.bars import DETECTION_BARS
from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.completeness import completeness_statistics, joint_statistics, truth_bins
from balrog_keras.detection_statistics import (
    Cells,
    DetectionSample,
    clustering,
    reliability,
    score_statistics,
)
from data_prep.errors import BalrogError
from data_prep.schema import Schema

__all__ = ["DetectionEvaluation", "DetectionRows", "evaluate_detection"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectionRows:
    """Held-out injections, detected or not.

    Parameters
    ----------
    condition : float array, shape (N, C)
        Truth and survey properties.
    detected : float64 array, shape (N,)
        1 where detected, 0 elsewhere.
    region, parent : int arrays, shape (N,)
        Sky region; number of the injected galaxy, from 0.
    weight : float64 array, shape (N,)
        Injection weight, ones if the survey has none.
    """

    condition: np.ndarray
    detected: np.ndarray
    region: np.ndarray
    parent: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(
        cls, split: dict[str, np.ndarray], max_rows: int | None = None, seed: int = 0
    ) -> DetectionRows:
        """Rows of a detection split.

        Parameters
        ----------
        split : dict of arrays
            As ``data_prep.shards.read_split`` gives it.
        max_rows : int, optional
            Use this many rows, chosen at random.
        seed : int
            Seed of that choice.

        Raises
        ------
        BalrogError
            No rows, or rows of one kind only.
        """
        rows = np.arange(len(split["detected"]))
        if max_rows is not None and max_rows < len(rows):
            rng = np.random.default_rng(np.random.SeedSequence([seed, 0x2086]))
            rows = np.sort(rng.permutation(len(rows))[:max_rows])
        detected = split["detected"][rows].astype(np.float64)
        if len(np.unique(detected)) < 2:
            raise BalrogError(
                "the detection-test split must hold detected and undetected rows, found "
                f"{int(detected.sum()):,} detected of {len(detected):,}: prepare a larger catalogue"
            )
        weight = split["weight"][rows] if "weight" in split else np.ones(len(rows))
        return cls(
            split["condition"][rows],
            detected,
            split["region"][rows],
            np.unique(split["parent_id"][rows], return_inverse=True)[1],
            weight.astype(np.float64),
        )


@dataclass(frozen=True)
class DetectionEvaluation:
    """Numbers of a detection probability, and the arrays behind its figures.

    Parameters
    ----------
    statistics : dict
        ``brier``, ``log_loss``, ``auc``, ``ece``, ``worst_completeness``, ``counts`` and
        ``counts_binomial`` (value, interval, null), ``clustering``, and the tables
        ``reliability``, ``completeness`` and ``joint``.
    bars : list of dict
        As :meth:`balrog_keras.bars.Bar.judge` gives them.
    rows : dict
        Counts of rows, detected rows, regions and parents.
    bootstrap : RegionBootstrap
        Over the rows.
    """

    statistics: dict[str, Any]
    bars: list[dict[str, Any]]
    rows: dict[str, int]
    bootstrap: RegionBootstrap


def evaluate_detection(
    schema: Schema,
    rows: DetectionRows,
    probability: np.ndarray,
    *,
    seed: int = 0,
    replicates: int = 200,
    simulations: int = 400,
) -> DetectionEvaluation:
    """Measure a detection probability on held-out injections.

    Parameters
    ----------
    schema : Schema
        Names and units of the conditions.
    rows : DetectionRows
        Injections that the model was not trained on.
    probability : float array, shape (N,)
        P(detected | condition) of the rows.
    seed : int
        Seed of bootstrap and simulations.
    replicates : int
        Bootstrap replicates.
    simulations : int
        Draws of the simulated nulls.

    Returns
    -------
    DetectionEvaluation

    Raises
    ------
    BalrogError
        A probability that is not inside (0, 1).
    """
    probability = np.asarray(probability, np.float64)
    inside = (probability > 0) & (probability < 1)
    if not inside.all():
        raise BalrogError(
            f"probabilities of detection must lie between 0 and 1, found {probability[~inside][0]} "
            f"({np.count_nonzero(~inside):,} outside): train the emulator again"
        )
    logger.info("detection of %s injections", f"{len(probability):,}")
    bootstrap = RegionBootstrap(rows.region, replicates, seed)
    sample = DetectionSample(probability, rows.detected, rows.weight, bootstrap, simulations, seed)
    bins = Cells(truth_bins(schema.truth[0], rows.condition[:, 0])[0])
    groups = {"parent": rows.parent, "region": np.unique(rows.region, return_inverse=True)[1]}
    statistics = {
        **score_statistics(sample),
        **completeness_statistics(schema, rows.condition, sample, rows.parent),
        "clustering": clustering(sample, bins, groups),
        "reliability": reliability(sample),
        "joint": joint_statistics(schema, rows.condition, sample),
    }
    return DetectionEvaluation(
        statistics=statistics,
        bars=[bar.judge(statistics) for bar in DETECTION_BARS],
        rows={
            "test": len(probability),
            "detected": int(rows.detected.sum()),
            "regions": bootstrap.regions,
            "parents": len(np.unique(rows.parent)),
        },
        bootstrap=bootstrap,
    )
