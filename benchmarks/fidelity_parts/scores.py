"""How faithful a system is: the project's own evaluation, with nulls made for a fair table.

Calibration (PIT, energy score) needs many draws per row, so that it is measured on a fixed random
subset of rows; everything else on all of them. The null of

- a two-sample statistic: the oracle against the real rows, the two swapped at random in each pair;
  95 % quantile of the distance from perfect. It is the same for every system. A redraw shares the
  galaxy's size and shape with the real row, which makes this null a little tighter than that of
  independent draws;
- a calibration statistic: each draw in turn in the place of the measured value;
- the classifiers: the oracle against the real rows, once, while an emulator's AUC is the mean over
  several draws of all rows. The oracle has the rows whose redraw was detected;
  the emulator is tested on all rows, since those rows are not p(measured | detected, condition).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from fidelity_parts.distances import TwoSample
from fidelity_parts.reference import REPLICATES, Reference, classifier_test

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.calibration_statistics import calibration_statistics
from balrog_keras.held_out import EmulatorLike
from balrog_keras.scores import energy_statistics, score_draws
from data_prep.errors import BalrogError

__all__ = ["score"]


def score(
    emulator: EmulatorLike,
    reference: Reference,
    *,
    draws: int = 200,
    calibration_rows: int = 20_000,
    classifier_draws: int = 4,
    seed: int = 0,
) -> tuple[dict[str, Any], np.ndarray]:
    """Measure one system.

    Parameters
    ----------
    emulator : EmulatorLike
        Its ``draw`` is used; location and scale are the reference's.
    reference : Reference
        Held-out rows.
    draws, calibration_rows : int
        Draws per row, and rows, of PIT and energy score.
    classifier_draws : int
        Draws of all rows that the classifiers judge, one after the other.
    seed : int
        Of the draws.

    Returns
    -------
    statistics : dict
        ``c2st`` (``classifiers``, ``larger``, ``oracle``), ``two_sample`` (each of
        :class:`TwoSample` with its null), ``pit``, ``energy_score``, ``coverage``; JSON-able.
    energy : float64 array, shape (rows,)
        Energy score of each calibration row, for paired comparisons.

    Raises
    ------
    BalrogError
        If a draw is NaN or infinite, or the reference has no oracle.
    """
    if reference.oracle is None:
        raise BalrogError("expected shards with an oracle split: prepare them with --replicate")
    held_out = reference.held_out
    samples = [
        np.asarray(emulator.draw(held_out.condition, held_out.row_id, seed + index))
        for index in range(classifier_draws)
    ]
    if not all(np.isfinite(sample).all() for sample in samples):
        raise BalrogError("expected finite draws, found NaN or infinity: training diverged")
    emulated = samples[0]
    distances = TwoSample(reference.schema, held_out.condition).distances(
        held_out.measured, emulated
    )
    table = classifier_test(
        reference.features(held_out.measured),
        [reference.features(sample) for sample in samples],
        held_out.region,
    )
    oracle = reference.oracle
    statistics = {
        "two_sample": {
            name: {"value": value, "null": oracle["two_sample"][name]["null"]}
            for name, value in distances.items()
        },
        "c2st": {
            "classifiers": table,
            "larger": max(table.values(), key=lambda entry: entry["value"]),
            "oracle": oracle["c2st"]["larger"],
        },
    }
    calibration, energy = _calibration(emulator, reference, emulated, draws, calibration_rows, seed)
    return statistics | calibration, energy


def _calibration(
    emulator: EmulatorLike,
    reference: Reference,
    emulated: np.ndarray,
    draws: int,
    rows: int,
    seed: int,
) -> tuple[dict[str, Any], np.ndarray]:
    rng = np.random.default_rng(np.random.SeedSequence([0xCA11]))
    keep = np.zeros(len(reference.held_out), bool)
    keep[rng.permutation(len(keep))[:rows]] = True
    subset = reference.held_out.subset(keep)
    scales = reference.location[keep], reference.scale[keep]
    scores = score_draws(emulator, subset, emulated[keep], scales, draws, seed, least_draws=1)
    if not scores.finite.all():
        raise BalrogError("expected finite draws, found NaN or infinity: training diverged")
    bootstrap = RegionBootstrap(subset.region, REPLICATES, seed)
    schema = reference.schema
    statistics = calibration_statistics(
        schema, subset.condition, scores.pit, scores.exchanged_pit, bootstrap
    )
    del statistics["calibration_bins"]
    statistics["energy_score"] = energy_statistics(schema, subset, scores, scales, bootstrap)
    return statistics, scores.to_measured - 0.5 * scores.between_draws
