"""Scores of a generator on the validation split, in the same noise every time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from balrog_keras import metrics
from balrog_keras.calibration import CalibrationBins, ks_uniform, pit
from balrog_keras.residuals import binned_spread, residuals, standardized
from balrog_keras.standardizer import Standardizer
from balrog_keras.transforms import restored, transforms_of
from data_prep.schema import Schema

__all__ = ["Validation", "Validator", "selection_score"]

# Quintiles of every condition: a bin must hold enough rows for its spread to mean something.
_BINS = 5
# Bias and spread are smooth in the draws; using all of them would cost more than drawing them.
_RESIDUAL_DRAWS = 4


def selection_score(scores: dict[str, float]) -> float:
    """What decides which generator is kept: energy score + mean PIT KS of all bins.

    The energy score alone does not rank calibration: an under-dispersed generator can have the
    lowest. The second term is the KS distance of the PIT from uniform, averaged over the
    measured columns and quintile bins of every condition. Generators of one run differ in either
    term by some thousandths to hundredths, so both have a say.

    Parameters
    ----------
    scores : dict of str to float
        At least ``energy_score`` and ``pit_ks/mean_bin``.

    Returns
    -------
    float
    """
    return scores["energy_score"] + scores["pit_ks/mean_bin"]


@dataclass(frozen=True)
class Validation:
    """What one validation found.

    Parameters
    ----------
    scores : dict of str to float
        See :meth:`Validator.scores`.
    pit : float64 array, shape (N, M)
        Randomised rank of each measured value among its draws.
    realization : float array, shape (N, M)
        One draw per row, physical units.
    bias, spread_ratio : float64 arrays, shape (C, K, M)
        In K quantile bins of each of the C conditions: emulated minus real median of the
        residual in units of the bin's real spread, and emulated over real spread. NaN where a
        bin has no rows or no spread.
    """

    scores: dict[str, float]
    pit: np.ndarray
    realization: np.ndarray
    bias: np.ndarray
    spread_ratio: np.ndarray


class Validator:
    """Energy score, calibration, bias and spread ratio of a generator on held-out rows.

    Parameters
    ----------
    standardizer : Standardizer
        Fitted.
    schema : Schema
        Names of the measured columns, and their references.
    condition, measured : float32 arrays, shapes (N, C) and (N, M)
        Validation rows in physical units.
    draws, seed : int
        Draws per row, seed of the latents.
    """

    def __init__(
        self,
        standardizer: Standardizer,
        schema: Schema,
        condition: np.ndarray,
        measured: np.ndarray,
        draws: int,
        seed: int,
    ) -> None:
        self.schema = schema
        self.condition, self.measured = condition, measured
        self._standardizer = standardizer
        self._context = standardizer.context(condition)
        location, scale = standardizer.location_scale(condition)
        self._location, self._scale = np.asarray(location), np.asarray(scale)
        self._standard_measured = standardized(schema, measured, self._location, self._scale)
        # Of the rows, not of the fit: else a run with wider scales would have the lower score.
        spread = binned_spread(schema, condition, measured).astype(np.float32)
        self._per_spread = self._scale / spread
        self._latents = tf.random.stateless_normal(
            (draws, *measured.shape), tf.constant([seed, -2], tf.int64)
        )
        self._uniform = np.random.default_rng([seed, 2]).random(measured.shape)
        self._bins = CalibrationBins.of(condition, schema.condition_names, _BINS)
        self._residuals = residuals(schema, condition, measured)
        self._real_bins = [_median_spread(self._residuals[rows]) for *_, rows in self._cells()]
        self._draw = tf.function(_draw, autograph=False)

    def scores(self, generator: Any) -> dict[str, float]:
        """The numbers of :meth:`validate`.

        Parameters
        ----------
        generator : Generator
            Maps ``(condition, latent)`` to standardized residuals.

        Returns
        -------
        dict of str to float
            ``selection_score`` and ``energy_score`` on residuals in units of
            :func:`~balrog_keras.residuals.binned_spread` (lower is better; the same units for any
            generator and standardizer on the same rows). Per measured column ``bias/NAME``, median
            of emulated minus median of real residuals (unit of the transformed column),
            ``spread_ratio/NAME``, half the 16-84 % range of the residuals, emulated over real, and
            ``pit_ks/NAME``, KS distance of the PIT from uniform; ``pit_ks/mean_bin`` and
            ``pit_ks/worst_bin`` of the quintile bins of every condition. Per condition
            ``worst_bin/bias/NAME`` and ``worst_bin/spread_ratio/NAME``, the values furthest from 0
            and 1 of its quintile bins and all columns, the bias in units of the bin's real spread.
        """
        return self.validate(generator).scores

    def energy_score(self, generator: Any, draws: int = 4) -> float:
        """Energy score alone, from the first `draws` latents of :meth:`validate`.

        Unbiased for any number of draws, so comparable with the score from all of them.
        """
        return self._energy_score(self._draws(generator, self._latents[:draws]))

    def validate(self, generator: Any) -> Validation:
        """Draw with `generator`, and compare with the measured values.

        Parameters
        ----------
        generator : Generator
            Maps ``(condition, latent)`` to standardized residuals.

        Returns
        -------
        Validation
        """
        draws = self._draws(generator, self._latents)
        ranks = pit(draws, self._standard_measured, self._uniform)
        emulated = [self._physical(draw) for draw in draws[:_RESIDUAL_DRAWS]]
        fake = np.stack([residuals(self.schema, self.condition, values) for values in emulated])
        bias, ratio = self._binned(fake)
        scores = {
            "energy_score": self._energy_score(draws),
            **self._column_scores(fake.reshape(-1, fake.shape[-1]), ranks),
            **self._bin_scores(bias, ratio, ranks),
        }
        scores = {"selection_score": selection_score(scores), **scores}
        return Validation(scores, ranks, emulated[0], bias, ratio)

    def _draws(self, generator: Any, latents: Any) -> np.ndarray:
        """Deviations of draws in scales: float32 array, shape (draws, N, M)."""
        inputs = generator, self._context, latents
        # One graph for each generator is what is wanted; called directly, TensorFlow would warn.
        drawn = self._draw.get_concrete_function(*inputs)(*inputs).numpy()
        return np.asarray(self._standardizer.deviations(self.condition, drawn))

    def _energy_score(self, draws: np.ndarray) -> float:
        observed = self._per_spread * self._standard_measured
        return float(metrics.energy_score(self._per_spread * draws, observed).mean())

    def _physical(self, standardized: np.ndarray) -> np.ndarray:
        values = self._location + self._scale * standardized
        return np.asarray(restored(values, transforms_of(self.schema.measured)))

    def _binned(self, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bias over real spread, and spread ratio, of residuals (D, N, M): two (C, K, M)."""
        shape = (len(self._bins.names), self._bins.bins, fake.shape[-1])
        bias, ratio = np.full(shape, np.nan), np.full(shape, np.nan)
        for (index, k, rows), real in zip(self._cells(), self._real_bins, strict=True):
            median, spread = _median_spread(fake[:, rows].reshape(-1, shape[-1]))
            # A discrete column can have a bin without spread: its ratio is unknown, not huge.
            unit = np.where(real[1] > 0, real[1], np.nan)
            bias[index, k], ratio[index, k] = (median - real[0]) / unit, spread / unit
        return bias, ratio

    def _cells(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Condition, bin and row numbers of every bin that has rows."""
        for index, label in enumerate(self._bins.labels):
            for k in np.unique(label):
                yield index, int(k), np.flatnonzero(label == k)

    def _column_scores(self, fake: np.ndarray, ranks: np.ndarray) -> dict[str, float]:
        columns = {
            "bias": metrics.bias(self._residuals, fake),
            "spread_ratio": metrics.spread_ratio(self._residuals, fake),
            "pit_ks": np.array([ks_uniform(values)[0] for values in ranks.T]),
        }
        return {
            f"{quantity}/{name}": float(value)
            for quantity, values in columns.items()
            for name, value in zip(self.schema.measured_names, values, strict=True)
        }

    def _bin_scores(
        self, bias: np.ndarray, ratio: np.ndarray, ranks: np.ndarray
    ) -> dict[str, float]:
        cells = self._bins.ks(ranks)
        scores = {
            "pit_ks/mean_bin": float(np.nanmean(cells)),
            "pit_ks/worst_bin": float(np.nanmax(cells)),
        }
        for index, name in enumerate(self._bins.names):
            scores[f"worst_bin/bias/{name}"] = _furthest(bias[index], np.abs(bias[index]))
            # A generator that has collapsed has no spread: infinitely far.
            with np.errstate(divide="ignore"):
                distance = np.abs(np.log(ratio[index]))
            scores[f"worst_bin/spread_ratio/{name}"] = _furthest(ratio[index], distance)
        return scores


def _median_spread(values: np.ndarray) -> np.ndarray:
    """Median and half the 16-84 % range along the first axis: (2, M)."""
    low, middle, high = np.quantile(values, [0.16, 0.5, 0.84], axis=0, method="hazen")
    return np.stack([middle, 0.5 * (high - low)])


def _furthest(values: np.ndarray, distance: np.ndarray) -> float:
    """The value of greatest distance; NaN only where all are."""
    return float(values.flat[np.argmax(np.where(np.isnan(distance), -1.0, distance))])


def _draw(generator: Any, condition: Any, latents: Any) -> Any:
    """Draws per row, standardized: float32 tensor, shape (draws, N, M)."""
    # A loop in the graph: each generator has a graph of its own, which should be quick to build.
    return tf.map_fn(lambda latent: generator((condition, latent)), latents, parallel_iterations=1)
