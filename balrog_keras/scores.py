"""Many draws per row: calibration and energy score, with their nulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.calibration import exchanged_pit, pit
from balrog_keras.comparison import statistic
from balrog_keras.held_out import EmulatorLike, HeldOut
from balrog_keras.metrics import energy_terms
from balrog_keras.residuals import standardized
from data_prep.progress import Progress
from data_prep.schema import Schema

__all__ = ["DrawScores", "derived_seed", "energy_statistics", "score_draws"]

# Draws asked of the emulator in one call.
_DRAWS_PER_CALL = 131_072


def derived_seed(seed: int, purpose: int) -> int:
    """A 32-bit seed for one of the purposes of an evaluation, independent of the others."""
    return int(np.random.SeedSequence([seed, 0xE7A1, purpose]).generate_state(1)[0])


@dataclass(frozen=True)
class DrawScores:
    """What many draws per row say about each row.

    Parameters
    ----------
    pit, emulated_pit : float64 array, shape (N, M)
        Randomised ranks of the measured values, and of one more draw, among the draws.
    exchanged_pit : float32 array, shape (D, N, M)
        The same with each draw in the place of the measured value: the null.
    to_measured, between_draws : float64 array, shape (N,)
        Mean scaled distances draw-measured and draw-draw; energy score = first - second / 2.
    to_oracle : float64 array, shape (P,)
        Mean scaled distance draw-oracle of the paired rows.
    finite : bool array, shape (N,)
        Rows all of whose draws are finite.
    draws, non_finite : int
        Draws made in all, and how many of them hold a NaN or an infinity.
    """

    pit: np.ndarray
    emulated_pit: np.ndarray
    exchanged_pit: np.ndarray
    to_measured: np.ndarray
    between_draws: np.ndarray
    to_oracle: np.ndarray
    finite: np.ndarray
    draws: int
    non_finite: int

    def subset(self, keep: np.ndarray, paired: np.ndarray) -> DrawScores:
        """The rows where the mask `keep` holds; `paired` are the rows of `to_oracle`."""
        return DrawScores(
            self.pit[keep],
            self.emulated_pit[keep],
            self.exchanged_pit[:, keep],
            self.to_measured[keep],
            self.between_draws[keep],
            self.to_oracle[keep[paired]],
            self.finite[keep],
            self.draws,
            self.non_finite,
        )


def score_draws(
    emulator: EmulatorLike,
    held_out: HeldOut,
    emulated: np.ndarray,
    location_scale: tuple[np.ndarray, np.ndarray],
    draws: int,
    seed: int,
    least_draws: int,
) -> DrawScores:
    """Draw every row many times and keep only per-row scores.

    Parameters
    ----------
    emulator : EmulatorLike
        What is evaluated.
    held_out : HeldOut
        The N rows.
    emulated : float array, shape (N, M)
        A draw of each row that is none of those made here.
    location_scale : pair of float arrays, shape (N, M)
        Conditional location and scale of the transformed measured columns; distances are taken
        in units of the scale.
    draws : int
        Draws per row D.
    seed : int
        Seed of the draws and of the ranks' randomisation.
    least_draws : int
        Go on until this many draws were searched for NaN and infinity.

    Returns
    -------
    DrawScores
    """
    n, m = held_out.measured.shape
    rng, other_rng = (np.random.default_rng(derived_seed(seed, number)) for number in (1, 4))
    size = max(1, _DRAWS_PER_CALL // draws)
    location, scale = location_scale
    measured = standardized(emulator.schema, held_out.measured, location, scale)
    oracle = np.full((n, m), np.nan)
    if held_out.oracle is not None:
        at = held_out.paired
        oracle[at] = standardized(emulator.schema, held_out.oracle, location[at], scale[at])
    parts: list[tuple[np.ndarray, ...]] = []
    exchanged = np.empty((draws, n, m), np.float32)
    made = non_finite = 0
    total = max(-(-least_draws // (n * draws)), 1) * n * draws
    with Progress("draw", total, "galaxies") as progress:
        while made < total:
            start = (made // draws) % n
            rows = slice(start, min(n, start + size))
            values = _draw_block(emulator, held_out.condition[rows], made, draws, seed)
            bad = ~np.isfinite(values).all(axis=2)
            non_finite += int(np.count_nonzero(bad))
            if made < n * draws:
                exchanged[:, rows] = exchanged_pit(values, rng.random(values.shape))
                both = [
                    pit(values, observed[rows], source.random(measured[rows].shape))
                    for observed, source in ((held_out.measured, rng), (emulated, other_rng))
                ]
                z = standardized(emulator.schema, values, location[rows], scale[rows])
                to_measured, between = energy_terms(z, measured[rows])
                to_oracle = _mean_distance(z, oracle[rows])
                parts.append((*both, to_measured, between, to_oracle, ~bad.any(axis=0)))
            made += bad.size
            progress.update(bad.size)
    ranks, other, to_measured, between, to_oracle, finite = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    to_oracle = to_oracle[held_out.paired]
    return DrawScores(
        ranks, other, exchanged, to_measured, between, to_oracle, finite, made, non_finite
    )


def _draw_block(
    emulator: EmulatorLike, condition: np.ndarray, first_id: int, draws: int, seed: int
) -> np.ndarray:
    """`draws` draws of each row in one call, (D, n, M): every draw has a row id of its own."""
    n = len(condition)
    row_id = np.arange(first_id, first_id + n * draws, dtype=np.int64)
    values = emulator.draw(np.tile(condition, (draws, 1)), row_id, derived_seed(seed, 2))
    return np.asarray(values).reshape(draws, n, -1)


def _mean_distance(draws: np.ndarray, points: np.ndarray) -> np.ndarray:
    difference: Any = draws - points
    square = np.einsum("dnm,dnm->dn", difference, difference, dtype=np.float64)
    mean: np.ndarray = np.sqrt(square).mean(axis=0)
    return mean


def energy_statistics(
    schema: Schema,
    held_out: HeldOut,
    scores: DrawScores,
    location_scale: tuple[np.ndarray, np.ndarray],
    bootstrap: RegionBootstrap,
) -> dict[str, Any]:
    """Energy score in units of the conditional scale.

    Its null without an oracle is half the distance between draws: what the emulator would score
    if it were right about itself. With an oracle o and a measured value y, both redraws of one
    truth, half their distance is a perfect emulator's score, and ``excess_over_oracle``

        (|f - y| + |f - o| - |f - f'| - |o - y|) / 2

    is an unbiased estimate, row by row, of half the energy distance between emulator and truth
    (Szekely & Rizzo 2013, doi:10.1016/j.jspi.2013.03.018). It is zero for a perfect emulator if y
    and o share the condition alone. A redraw of an injection also shares what is no condition
    (the galaxy's size and shape), which no emulator of the condition can know, so there it is an
    upper bound and has no null.

    Parameters
    ----------
    schema : Schema
        Names of the columns.
    held_out : HeldOut
        The N rows.
    scores : DrawScores
        Of these rows.
    location_scale : pair of float arrays, shape (N, M)
        Conditional location and scale of the transformed measured columns.
    bootstrap : RegionBootstrap
        Over the rows; also gives the paired standard errors.

    Returns
    -------
    dict
        ``emulator``, and with an oracle ``oracle`` and ``excess_over_oracle``.
    """
    score = scores.to_measured - 0.5 * scores.between_draws
    null = 0.5 * scores.between_draws
    result = {"emulator": _mean_statistic(score, bootstrap, null=float(null.mean()))}
    if held_out.oracle is not None:
        rows = held_out.paired
        here = tuple(values[rows] for values in location_scale)
        first, second = (
            standardized(schema, values, *here).astype(np.float64)
            for values in (held_out.oracle, held_out.measured[rows])
        )
        perfect = 0.5 * np.sqrt(((first - second) ** 2).sum(axis=1))
        both = 0.5 * (scores.to_measured[rows] + scores.to_oracle)
        part = bootstrap.subset(rows)
        result["oracle"] = _mean_statistic(perfect, part)
        excess = both - 0.5 * scores.between_draws[rows] - perfect
        result["excess_over_oracle"] = _mean_statistic(
            excess, part, meaning="includes what the oracle knows beyond the condition"
        )
    return result


def _mean_statistic(values: np.ndarray, bootstrap: RegionBootstrap, **more: Any) -> dict[str, Any]:
    # A replicate in which none of these rows' regions was drawn has no mean.
    replicates = bootstrap.replicate(
        lambda w: (w @ values) / np.where(w.any(axis=1), w.sum(axis=1), np.nan)
    )
    # One region cannot be resampled.
    error = float(np.nanstd(replicates, ddof=1)) if bootstrap.regions > 1 else float("nan")
    return statistic(values.mean(), bootstrap.interval(replicates), standard_error=error, **more)
