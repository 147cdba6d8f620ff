"""What an analyst asks of an emulator: grids, tails, counts after cuts, redshifts, the sky."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from balrog_keras.bars import SCIENCE_BARS
from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.classifier_features import features
from balrog_keras.comparison import beside
from balrog_keras.count_statistics import (
    count_edges,
    count_statistics,
    redshift_place,
    selection_statistics,
    shift_statistic,
)
from balrog_keras.evaluation import Evaluation
from balrog_keras.exchange_null import (
    cells_of,
    condition_quartiles,
    worst_cell,
    worst_ratio,
)
from balrog_keras.grid_statistics import Grid, grid_statistics, grids
from balrog_keras.measured_cuts import MeasuredCut, passes
from balrog_keras.residuals import residuals, standardized
from balrog_keras.sky_statistics import scatter_between_pixels, sky_statistics
from balrog_keras.tail_statistics import tail_statistics
from balrog_keras.telling_features import telling_features

__all__ = ["Science", "Selection", "evaluate_science"]

logger = logging.getLogger(__name__)

Selection = Sequence[MeasuredCut]

# Cells of the grid with fewer rows are shown and not judged.
_LEAST_ROWS = 500


@dataclass(frozen=True)
class Science:
    """Numbers of :func:`evaluate_science`, and what of its figures is no number.

    Parameters
    ----------
    statistics : dict
        See :func:`evaluate_science`.
    bars : list of dict
        As :meth:`balrog_keras.bars.Bar.judge` gives them.
    bootstrap : RegionBootstrap
        Over the rows of the evaluation.
    """

    statistics: dict[str, Any]
    bars: list[dict[str, Any]]
    bootstrap: RegionBootstrap


@dataclass(frozen=True)
class _Side:
    """Two samples of the same rows: the emulator's, or the null's."""

    condition: np.ndarray
    real: np.ndarray
    emulated: np.ndarray
    a: np.ndarray
    b: np.ndarray
    scaled: tuple[np.ndarray, np.ndarray]
    pit: np.ndarray
    position: np.ndarray | None
    redshift: np.ndarray | None
    bootstrap: RegionBootstrap


def evaluate_science(
    evaluation: Evaluation,
    location_scale: tuple[np.ndarray, np.ndarray],
    selections: Mapping[str, Selection],
    *,
    simulations: int = 100,
    replicates: int = 200,
    seed: int = 0,
) -> Science:
    """Everything beyond the core statistics, on the rows of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        Of the emulator.
    location_scale : pair of float arrays, shape (N, M)
        Conditional location and scale of the transformed measured columns of its rows.
    selections : mapping of str to sequence of MeasuredCut
        Name -> cuts, all of which a row must pass.
    simulations : int
        Exchanges of the simulated nulls.
    replicates : int
        Bootstrap replicates.
    seed : int
        Seed of the bootstrap and of the exchanges.

    Returns
    -------
    Science
        ``statistics``: ``worst_quartile_bias`` and ``worst_quartile_spread`` (of any condition and
        column), ``worst_grid_bias`` and ``worst_grid_spread``, all beside the null of exchanging
        real and emulated; ``grids``, ``tails``, ``counts``, ``selections``, ``selected_fraction``
        (the worst of the selections), with a true redshift ``redshift_shift``, and with positions
        ``sky`` and ``sky_scatter``. Each value has the null of the evaluation. ``telling``: see
        :func:`~balrog_keras.telling_features.telling_features`.
    """
    logger.info("grids, tails, counts and maps of %s rows", f"{len(evaluation.held_out):,}")
    here, null = _sides(evaluation, location_scale, RegionBootstrap(
        evaluation.held_out.region, replicates, seed))  # fmt: skip
    statistics = {
        **_worst_statistics(evaluation, here, simulations, seed),
        "grids": _grids(evaluation, here, null),
        "tails": beside(*(tail_statistics(*side.scaled, _names(evaluation), side.bootstrap)
                          for side in (here, null))),
        "counts": _counts(evaluation, here, null),
        **_selections(evaluation, here, null, selections, (simulations, seed)),
        **_sky(evaluation, here, null, seed),
        "telling": _telling(evaluation, (here, null), location_scale, seed),
    }  # fmt: skip
    judged = [bar for bar in SCIENCE_BARS if bar.path[0] in statistics]
    return Science(statistics, [bar.judge(statistics) for bar in judged], here.bootstrap)


def _telling(
    evaluation: Evaluation,
    sides: tuple[_Side, _Side],
    scales: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> dict[str, Any]:
    """Of the classifier that counts, beside what it says of the null's samples."""
    logger.info("what gives emulated rows away")
    classifier = evaluation.statistics["c2st"]["larger"]["classifier"]
    found = []
    every = np.arange(len(evaluation.held_out))
    for side, rows in zip(sides, (every, evaluation.null_pair[0]), strict=True):
        real, emulated = (
            features(evaluation.schema, side.condition, values, scales[0][rows], scales[1][rows])
            for values in (side.real, side.emulated)
        )
        found.append(
            telling_features(evaluation.schema, real, emulated, classifier, side.bootstrap, seed)
        )
    here, null = found
    for key in ("features", "groups"):
        here[key] = beside(here[key], null[key])
    return here


def _names(evaluation: Evaluation) -> tuple[str, ...]:
    return evaluation.schema.measured_names


def _sides(
    evaluation: Evaluation,
    location_scale: tuple[np.ndarray, np.ndarray],
    bootstrap: RegionBootstrap,
) -> tuple[_Side, _Side]:
    schema, held_out = evaluation.schema, evaluation.held_out
    redshift, place = held_out.redshift, redshift_place(schema)
    if redshift is None and place is not None:
        redshift = held_out.condition[:, place]

    def side(rows: np.ndarray, real: np.ndarray, other: np.ndarray) -> _Side:
        condition = held_out.condition[rows]
        scales = location_scale[0][rows], location_scale[1][rows]
        return _Side(
            condition,
            real,
            other,
            residuals(schema, condition, real),
            residuals(schema, condition, other),
            (standardized(schema, real, *scales), standardized(schema, other, *scales)),
            evaluation.pit[rows],
            None if held_out.position is None else held_out.position[rows],
            None if redshift is None else redshift[rows],
            bootstrap.subset(rows),
        )

    every = np.arange(len(held_out))
    return side(every, held_out.measured, evaluation.emulated), side(*evaluation.null_pair)


def _worst_statistics(
    evaluation: Evaluation, here: _Side, simulations: int, seed: int
) -> dict[str, Any]:
    """The worst quartile of any condition, and the worst cell of any column's grid."""
    schema, judged = evaluation.schema, {}
    judged["quartile"] = condition_quartiles(schema, here.condition)
    judged["grid"] = []
    for name, grid in grids(schema, here.condition).items():
        least = min(_LEAST_ROWS, int(np.bincount(grid.label).max()))
        column = schema.measured_names.index(name)
        judged["grid"] += cells_of(grid.label, grid.cell_names(), column, name, least)
    result: dict[str, Any] = {}
    for key, cells in judged.items():
        if cells:
            ranks = evaluation.pit, evaluation.emulated_pit
            found = worst_cell(cells, *ranks, evaluation.held_out.region, simulations, seed)
            # The uncertainty of a worst cell is in its simulated null.
            result |= {f"worst_{key}_{what}": {"interval": None, **e} for what, e in found.items()}
    return result


def _grids(evaluation: Evaluation, here: _Side, null: _Side) -> dict[str, Any]:
    own: dict[str, Grid] = grids(evaluation.schema, here.condition)
    other = grids(evaluation.schema, null.condition, own)
    result = {}
    for name, grid in own.items():
        m = _names(evaluation).index(name)
        table, null_table = (
            grid_statistics(each, side.a[:, m], side.b[:, m], side.pit[:, m], side.bootstrap)
            for each, side in ((grid, here), (other[name], null))
        )
        nulls = {f"null_{key}": null_table[key] for key in ("bias", "spread_ratio")}
        result[name] = {**table, **nulls}
    return result


def _counts(evaluation: Evaluation, here: _Side, null: _Side) -> dict[str, Any]:
    names, edges = _names(evaluation), count_edges(evaluation.schema, here.real)
    own, other = (
        count_statistics(side.real, side.emulated, names, edges, side.bootstrap)
        for side in (here, null)
    )
    return {name: {**table, "null_excess": other[name]["excess"]} for name, table in own.items()}


def _selections(
    evaluation: Evaluation,
    here: _Side,
    null: _Side,
    selections: Mapping[str, Selection],
    choice: tuple[int, int],
) -> dict[str, Any]:
    """Counts and mean redshifts; `choice` is the number and the seed of the exchanges."""
    names = _names(evaluation)
    if not selections:
        return {"selections": {}}
    found = beside(
        *(
            selection_statistics(selections, names, side.real, side.emulated, side.bootstrap)
            for side in (here, null)
        )
    )
    result: dict[str, Any] = {"selections": found}
    real, emulated = (
        np.stack([passes(cuts, names, values) for cuts in selections.values()], axis=1)
        for values in (here.real, here.emulated)
    )
    region = evaluation.held_out.region
    worst = worst_ratio(real, emulated, list(selections), region, *choice)
    if worst:
        result["selected_fraction"] = {"interval": None, **worst}
    else:
        logger.warning(
            "counts after a selection are not judged: hardly a test row passes %s",
            " or ".join(selections),
        )
    if here.redshift is not None and null.redshift is not None:
        both = []
        for side, redshift in ((here, here.redshift), (null, null.redshift)):
            both.append({
                name: shift_statistic(
                    redshift, passes(cuts, names, side.real),
                    passes(cuts, names, side.emulated), side.bootstrap)
                for name, cuts in selections.items()
            })  # fmt: skip
        result["redshift_shift"] = beside(*both)
    return result


def _sky(evaluation: Evaluation, here: _Side, null: _Side, seed: int) -> dict[str, Any]:
    if here.position is None or null.position is None:
        return {}
    names = _names(evaluation)
    own = sky_statistics(here.position, here.a, here.b, names)
    # Fewer rows would be given larger pixels, in which there is less noise.
    other = sky_statistics(null.position, null.a, null.b, names, own["nside"])
    scatter = beside(scatter_between_pixels(own, seed), scatter_between_pixels(other, seed))
    return {"sky": own, "sky_scatter": scatter}
