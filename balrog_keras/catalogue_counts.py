"""Counts after detection and selection, both emulated: the whole chain that makes a catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.comparison import beside
from balrog_keras.count_statistics import ratio_statistic
from balrog_keras.measured_cuts import MeasuredCut, passes
from balrog_keras.scores import derived_seed

__all__ = ["Injections", "catalogue_counts"]

logger = logging.getLogger(__name__)

# Of the detected and of the measured rows, at least so many must be in both splits.
_SHARED = 0.95


@dataclass(frozen=True)
class Injections:
    """Held-out injections with what was measured of those that were detected.

    Parameters
    ----------
    condition : float array, shape (N, C)
        Truth and survey properties.
    row_id, region : int64 arrays, shape (N,)
        Identity and sky region.
    weight : float64 array, shape (N,)
        Injection weight.
    detected : bool array, shape (N,)
        Whether it was found.
    measured : float array, shape (N, M)
        NaN where it was not detected.
    """

    condition: np.ndarray
    row_id: np.ndarray
    region: np.ndarray
    weight: np.ndarray
    detected: np.ndarray
    measured: np.ndarray

    @classmethod
    def of(cls, detection: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> Injections | None:
        """Join the rows of the two splits on their ids.

        Parameters
        ----------
        detection, test : dict of arrays
            As ``data_prep.shards.read_split`` gives them.

        Returns
        -------
        Injections or None
            None if the detected rows of the one are not those of the other: less than 95 % of
            either are in both (a catalogue whose measured rows passed further cuts), or there are
            none. Detected rows without measured columns (a flux that is not positive) pass no
            selection.
        """
        if not len(test["row_id"]):
            logger.info("counts of the whole chain are left out: no measured row was chosen")
            return None
        detected = detection["detected"].astype(bool)
        order = np.argsort(test["row_id"])
        place = np.searchsorted(test["row_id"], detection["row_id"], sorter=order)
        at = order[np.minimum(place, len(order) - 1)]
        found = (test["row_id"][at] == detection["row_id"]) & detected
        known = np.count_nonzero(found)
        if known < _SHARED * max(int(detected.sum()), len(order)):
            logger.info(
                "counts of the whole chain are left out: %s detected injections, %s measured rows, "
                "%s in both", f"{np.count_nonzero(detected):,}", f"{len(order):,}", f"{known:,}",
            )  # fmt: skip
            return None
        measured = np.where(found[:, None], test["measured"][at], np.float32(np.nan))
        weight = detection.get("weight", np.ones(len(found)))
        return cls(
            detection["condition"],
            detection["row_id"],
            detection["region"],
            np.asarray(weight, np.float64),
            detected,
            measured,
        )


def catalogue_counts(
    emulator: Any,
    injections: Injections,
    selections: Mapping[str, Sequence[MeasuredCut]],
    *,
    seed: int = 0,
    replicates: int = 200,
) -> dict[str, Any]:
    """Injections that are detected and pass a selection, emulated over real, minus 1.

    The null is a realization of the emulator (detected with its probability, measured by another
    draw) in the place of the real catalogue.

    Parameters
    ----------
    emulator : Emulator
        Of which the detection model and the draws are used.
    injections : Injections
        Held-out rows.
    selections : mapping of str to sequence of MeasuredCut
        Name -> cuts.
    seed : int
        Seed of the draws and of the bootstrap.
    replicates : int
        Bootstrap replicates.

    Returns
    -------
    dict
        Name -> statistic; ``detected`` is without any cut.
    """
    bootstrap = RegionBootstrap(injections.region, replicates, seed)
    names = emulator.schema.measured_names
    condition, row_id = injections.condition, injections.row_id
    probability = np.asarray(emulator.p_detect(condition), np.float64)
    draws = [
        np.asarray(emulator.draw(condition, row_id, derived_seed(seed, 10 + k))) for k in (0, 1)
    ]
    rng = np.random.default_rng(derived_seed(seed, 12))
    simulated = rng.random(len(probability)) < probability
    weight = injections.weight
    here, null = {}, {}
    for name, cuts in {"detected": [], **selections}.items():
        real, first, second = (
            passes(cuts, names, values) for values in (injections.measured, *draws)
        )
        expected = weight * probability * first
        here[name] = ratio_statistic(weight * (real & injections.detected), expected, bootstrap)
        null[name] = ratio_statistic(weight * (second & simulated), expected, bootstrap)
    return beside(here, null)
