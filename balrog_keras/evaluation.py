"""Everything measured on held-out rows, each number beside its null, and the bars it must meet.

The null of a two-sample statistic is the oracle (a redraw of the same injections: a perfect
emulator) against the real rows; without one, a second realization of the emulator against its
first. The null of a calibration statistic takes each draw in turn in the place of the measured
value. Intervals are 95 % of a bootstrap over sky regions.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.bars import BARS
from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.calibration_statistics import calibration_statistics
from balrog_keras.classifier_features import features
from balrog_keras.comparison import (
    beside,
    binned_statistics,
    binned_tables,
    marginal_statistics,
    statistic,
)
from balrog_keras.detection_evaluation import DetectionEvaluation
from balrog_keras.held_out import EmulatorLike, HeldOut
from balrog_keras.scores import derived_seed, energy_statistics, score_draws
from balrog_keras.two_sample import auc_table, c2st_statistics
from data_prep.errors import BalrogError
from data_prep.schema import Schema

if TYPE_CHECKING:
    from balrog_keras.science_statistics import Science

__all__ = ["Evaluation", "evaluate"]

logger = logging.getLogger(__name__)

# The 95 % quantile of the simulated null needs at least 20 simulations, one per draw.
MINIMUM_DRAWS = 20


@dataclass(frozen=True)
class Evaluation:
    """Numbers and the arrays behind the figures.

    Parameters
    ----------
    schema, label : Schema, str
        Of the emulator; the label says what the data are and is in every figure.
    statistics : dict
        Nested; the leaves have ``value``, ``interval``, ``null`` and more.
    bars : list of dict
        As :meth:`Bar.judge` gives them.
    rows : dict
        Counts of rows, regions and draws.
    null_kind : str
        ``"oracle"`` or ``"second realization"``.
    held_out : HeldOut
        The evaluated rows.
    emulated : float array, shape (N, M)
        One realization of them.
    null_pair : tuple
        Rows (index array), reference and other sample of the two-sample nulls.
    pit, emulated_pit : float array, shape (N, M)
        Randomised ranks of the measured and of the emulated values among other draws.
    tables, null_tables : dict
        As :func:`~balrog_keras.comparison.binned_tables` gives them.
    detection : DetectionEvaluation, optional
        Of the emulator's detection model.
    members : list of dict, optional
        Main statistics of each member of an ensemble, as
        :func:`~balrog_keras.member_spread.member_spread` gives them.
    science : Science, optional
        What :func:`~balrog_keras.science_statistics.evaluate_science` gives.
    peers : list of dict, optional
        What :func:`~balrog_keras.peer_comparison.compare_peers` gives.
    """

    schema: Schema
    label: str
    statistics: dict[str, Any]
    bars: list[dict[str, Any]]
    rows: dict[str, int]
    null_kind: str
    held_out: HeldOut
    emulated: np.ndarray
    null_pair: tuple[np.ndarray, np.ndarray, np.ndarray]
    pit: np.ndarray
    emulated_pit: np.ndarray
    tables: dict[str, Any]
    null_tables: dict[str, Any]
    detection: DetectionEvaluation | None = None
    members: list[dict[str, float]] | None = None
    science: Science | None = None
    peers: list[dict[str, Any]] | None = None

    @property
    def all_bars(self) -> list[dict[str, Any]]:
        """Of the measured columns, of detection, and of what they are used for."""
        parts = (part.bars for part in (self.detection, self.science) if part is not None)
        return [*self.bars, *(bar for bars in parts for bar in bars)]

    @property
    def passed(self) -> bool:
        """Whether every bar is met."""
        return all(bar["passed"] for bar in self.all_bars)


def evaluate(
    emulator: EmulatorLike,
    held_out: HeldOut,
    *,
    draws: int = 200,
    seed: int = 0,
    replicates: int = 200,
    least_draws: int = 1_000_000,
    label: str | None = None,
) -> Evaluation:
    """Measure an emulator on held-out rows.

    Parameters
    ----------
    emulator : EmulatorLike
        What is evaluated.
    held_out : HeldOut
        Rows it was not trained on.
    draws : int
        Draws per row for calibration and energy score.
    seed : int
        Seed of the draws, folds and bootstrap.
    replicates : int
        Bootstrap replicates.
    least_draws : int
        Search at least this many draws for NaN and infinity.
    label : str, optional
        What the data are; the emulator's label by default.

    Returns
    -------
    Evaluation

    Raises
    ------
    BalrogError
        Too few draws, or no row with finite draws.
    """
    if draws < MINIMUM_DRAWS:
        raise BalrogError(f"expected at least {MINIMUM_DRAWS} draws, found {draws}: raise --draws")
    schema, total = emulator.schema, len(held_out)
    location_scale = emulator.location_scale(held_out.condition)
    realizations = [
        np.asarray(emulator.draw(held_out.condition, held_out.row_id, number))
        for number in (seed, derived_seed(seed, 3))
    ]
    scores = score_draws(
        emulator, held_out, realizations[0], location_scale, draws, seed, least_draws
    )
    keep = scores.finite & np.isfinite(np.concatenate(realizations, axis=1)).all(axis=1)
    if not keep.any():
        raise BalrogError(f"expected finite draws, found NaN or infinity in all {total:,} rows")
    scores, held_out = scores.subset(keep, held_out.paired), held_out.subset(keep)
    first, second = (values[keep] for values in realizations)
    location_scale = (location_scale[0][keep], location_scale[1][keep])
    if held_out.oracle is not None:
        rows, oracle = held_out.paired, held_out.oracle
        null_pair = (rows, held_out.measured[rows], oracle)
    else:
        null_pair = (np.arange(len(held_out)), first, second)
    bootstrap = RegionBootstrap(held_out.region, replicates, seed)
    logger.info("distances, bias and spread of %s rows", f"{len(held_out):,}")
    statistics, tables, null_tables = _two_sample_statistics(
        schema, held_out, first, null_pair, location_scale, bootstrap
    )
    logger.info("calibration in quartile bins of every condition")
    statistics |= calibration_statistics(
        schema, held_out.condition, scores.pit, scores.exchanged_pit, bootstrap
    )
    statistics["energy_score"] = energy_statistics(
        schema, held_out, scores, location_scale, bootstrap
    )
    logger.info("classifier two-sample test")
    statistics["c2st"] = _classifier_statistics(
        schema, held_out, first, null_pair, location_scale, bootstrap, seed
    )
    statistics["non_finite_draws"] = statistic(scores.non_finite, null=0.0, draws=scores.draws)
    return Evaluation(
        schema=schema,
        label=emulator.label if label is None else label,
        statistics=statistics,
        bars=[bar.judge(statistics) for bar in BARS],
        rows={
            "test": total,
            "used": len(held_out),
            "dropped_non_finite": total - len(held_out),
            "paired_with_oracle": len(held_out.paired),
            "regions": bootstrap.regions,
            "draws_per_row": draws,
        },
        null_kind="second realization" if held_out.oracle is None else "oracle",
        held_out=held_out,
        emulated=first,
        null_pair=null_pair,
        pit=scores.pit,
        emulated_pit=scores.emulated_pit,
        tables=tables,
        null_tables=null_tables,
    )


Pair = tuple[np.ndarray, np.ndarray, np.ndarray]
LocationScale = tuple[np.ndarray, np.ndarray]


def _two_sample_statistics(
    schema: Schema,
    held_out: HeldOut,
    emulated: np.ndarray,
    null_pair: Pair,
    location_scale: LocationScale,
    bootstrap: RegionBootstrap,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    rows, reference, other = null_pair
    here = (schema, held_out.condition, held_out.measured, emulated)
    null = (schema, held_out.condition[rows], reference, other)
    null_bootstrap = bootstrap.subset(rows)
    null_scales = (location_scale[0][rows], location_scale[1][rows])
    statistics = beside(
        marginal_statistics(*here, location_scale, bootstrap),
        marginal_statistics(*null, null_scales, null_bootstrap),
    )
    tables = binned_tables(*here, bootstrap)
    edges = {by: next(iter(table.values()))["edges"] for by, table in tables.items()}
    null_tables = binned_tables(*null, null_bootstrap, edges)
    return statistics | binned_statistics(tables, null_tables), tables, null_tables


def _classifier_statistics(
    schema: Schema,
    held_out: HeldOut,
    emulated: np.ndarray,
    null_pair: Pair,
    location_scale: LocationScale,
    bootstrap: RegionBootstrap,
    seed: int,
) -> dict[str, Any]:
    """The test on the rows of the null pair, and of the emulator on all rows if those are more.

    Rows whose redraw was detected too lean towards objects that are easy to detect, which
    p(measured | detected, ...) does not: near the detection limit even a perfect emulator differs
    a little from them. ``all_rows`` is free of that.
    """
    rows, reference, other = null_pair

    def seen(measured: np.ndarray, at: np.ndarray) -> np.ndarray:
        location, scale = location_scale[0][at], location_scale[1][at]
        return features(schema, held_out.condition[at], measured, location, scale)

    pair = seen(held_out.measured[rows], rows), seen(emulated[rows], rows)
    null = seen(reference, rows), seen(other, rows)
    result = c2st_statistics(pair, null, bootstrap.subset(rows), seed)
    if len(rows) < len(held_out):
        every = np.arange(len(held_out))
        table = auc_table(seen(held_out.measured, every), seen(emulated, every), bootstrap, seed)
        top = max(table.values(), key=lambda entry: entry["value"])
        interval = bootstrap.interval(top["replicates"])
        result["all_rows"] = statistic(top["value"], interval, rows=len(every))
    return result
