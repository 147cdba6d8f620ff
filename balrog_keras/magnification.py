r"""Response of the number of selected galaxies to magnification by lensing.

A convergence kappa magnifies by mu = 1 + 2 kappa: fluxes grow by mu, solid angles by mu, and
surface brightness stays. The truth galaxies are lensed so, drawn with the same noise as without
(common random numbers), and selected. With the expected number of selected galaxies
N(kappa) = sum_k P(detected | condition_k(kappa)) * [cuts(measured_k(kappa))],

    C_sample = d ln N / d kappa = (ln N(+dk) - ln N(-dk)) / (2 dk)

is the response of a fixed set of galaxies. The same patch of sky shows a smaller patch behind the
lens, which dilutes any number density by C_area = -2, stated apart; together
delta_N / N = (C_sample + C_area) kappa = 2 (alpha - 1) kappa with alpha = C_sample / 2, as in
Elvin-Poole et al. 2023 (arXiv:2209.09782), who inject magnified galaxies with Balrog. For
counts N(> flux) ~ flux^-alpha and a sharp cut it is this alpha.

The galaxies' density (per area behind the lens) is that of the catalogue. Errors are a bootstrap
over what is independent in it, see :class:`balrog_keras.galaxy_groups.GalaxyGroups`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.condition_reader import ConditionReader
from balrog_keras.conditions import log_unusable
from balrog_keras.draw_keys import whole_number
from balrog_keras.galaxy_groups import GalaxyGroups
from balrog_keras.lensing import lensed
from balrog_keras.measured_cuts import MeasuredCut, passes
from data_prep.catalogs import Catalog, open_catalog
from data_prep.errors import BalrogError
from data_prep.progress import Progress

if TYPE_CHECKING:
    from balrog_keras.emulator import Emulator

__all__ = ["AREA_RESPONSE", "Response", "Sample", "magnification_responses"]

AREA_RESPONSE = -2.0

_BATCH_ROWS = 262_144
_REPLICATES = 1_000


@dataclass(frozen=True)
class Sample:
    """A selection of detected galaxies.

    Attributes
    ----------
    label : str
        Its name.
    cuts : tuple of MeasuredCut
        What the measured columns must pass; none: detection alone.
    """

    label: str
    cuts: tuple[MeasuredCut, ...] = ()


@dataclass(frozen=True)
class Response:
    """How a sample's number responds to convergence; errors are standard deviations.

    Attributes
    ----------
    label : str
        Of the sample.
    selected : float
        Expected number of selected galaxies without lensing.
    c_sample, c_sample_error : float
        d ln N / d kappa of a fixed set of galaxies, and its bootstrap error.
    bootstrap : str
        What was resampled.
    """

    label: str
    selected: float
    c_sample: float
    c_sample_error: float
    bootstrap: str

    @property
    def alpha(self) -> float:
        """``c_sample / 2``."""
        return self.c_sample / 2

    @property
    def alpha_error(self) -> float:
        """``c_sample_error / 2``."""
        return self.c_sample_error / 2

    @property
    def c_total(self) -> float:
        """With dilution, ``c_sample - 2``: the response of the number on the sky."""
        return self.c_sample + AREA_RESPONSE

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the error of ``c_total`` is that of ``c_sample``. None is an unknown error."""
        c_sample_error = self.c_sample_error if np.isfinite(self.c_sample_error) else None
        return {
            "label": self.label,
            "selected": self.selected,
            "c_sample": self.c_sample,
            "c_sample_error": c_sample_error,
            "alpha": self.alpha,
            "alpha_error": None if c_sample_error is None else self.alpha_error,
            "c_area": AREA_RESPONSE,
            "c_total": self.c_total,
            "c_total_error": c_sample_error,
            "bootstrap": self.bootstrap,
        }


def magnification_responses(
    emulator: Emulator,
    catalog: Path,
    samples: Sequence[Sample],
    *,
    columns: CatalogColumns | None = None,
    maps: Path | None = None,
    delta_kappa: float = 0.02,
    seed: int = 0,
    member: int = 0,
    allow_pickle: bool = False,
    batch_rows: int = _BATCH_ROWS,
) -> list[Response]:
    """Draw a truth catalogue at convergences -dk, 0 and +dk, and count what is selected.

    Parameters
    ----------
    emulator : Emulator
        With a detection model.
    catalog : path
        Truth galaxies with survey properties, or with positions for the maps. Any number of rows:
        they are read in batches.
    samples : sequence of Sample
        Selections to count.
    columns : CatalogColumns, optional
        Names in the catalogue, by default the emulator's own, with ``ra`` and ``dec``.
    maps : path, optional
        Directory of survey property maps, for survey properties that are no columns.
    delta_kappa : float
        Half the difference of convergence, in (0, 0.2].
    seed, member : int
        As for :meth:`balrog_keras.emulator.Emulator.draw`.
    allow_pickle : bool
        Whether a pickled catalogue may be opened, which runs any code that is in it.
    batch_rows : int
        Rows in memory at a time.

    Returns
    -------
    list of Response
        One for each sample.

    Raises
    ------
    BalrogError
        If a column is missing, a sample is empty, the emulator has no such member, no detection
        model or no truth column that magnification changes, or the seed has more than 64 bits.
    """
    whole_number("seed", seed)
    if not 0 <= member < emulator.members:
        raise BalrogError(
            f"--member of {emulator.info['name']} must be from 0 to {emulator.members - 1}, found "
            f"{member}"
        )
    if not 0 < delta_kappa <= 0.2:
        raise BalrogError(f"--delta-kappa must be in (0, 0.2], found {delta_kappa}")
    table = open_catalog(catalog, allow_pickle=allow_pickle)
    columns = columns or CatalogColumns()
    groups = GalaxyGroups.of(table, columns)
    reader = ConditionReader(emulator, table, columns, maps, groups.kind == "region")
    counter = _Counter(emulator, samples, (-delta_kappa, 0.0, delta_kappa), seed, member)
    _count(counter, reader, table, groups, batch_rows)
    return [
        _response(sample.label, counts, delta_kappa, seed, groups.describe())
        for sample, counts in zip(samples, counter.counts(), strict=True)
    ]


def _count(
    counter: _Counter, reader: ConditionReader, table: Catalog, groups: GalaxyGroups,
    batch_rows: int,
) -> None:  # fmt: skip
    done, unusable = 0, Counter[str]()
    with Progress("magnify", table.rows, "galaxies") as progress:
        for batch in table.batches(groups.needed(reader), batch_rows):
            ids = reader.row_ids(batch, done)
            condition = reader.conditions(batch, done)
            known = np.isfinite(condition).all(axis=1)
            group = groups.numbers(batch, reader, ids, done)
            counter.add(condition[known], ids[known], group[known])
            unusable += reader.take_unusable()
            done += len(ids)
            progress.update(len(ids))
    log_unusable(unusable, done)


class _Counter:
    """Expected counts of each sample, group of rows and convergence."""

    def __init__(
        self, emulator: Emulator, samples: Sequence[Sample], kappas: Sequence[float], seed: int,
        member: int,
    ) -> None:  # fmt: skip
        self._emulator, self._samples, self._kappas = emulator, samples, kappas
        self._seed, self._member = seed, member
        self._sums: dict[int, np.ndarray] = {}

    def add(self, condition: np.ndarray, ids: np.ndarray, groups: np.ndarray) -> None:
        distinct, index = np.unique(groups, return_inverse=True)
        shape = (len(self._samples), len(self._kappas))
        sums = np.zeros((len(distinct), *shape))
        for column, kappa in enumerate(self._kappas):
            for row, weight in enumerate(self._weights(condition, ids, kappa)):
                sums[:, row, column] = np.bincount(index, weight, len(distinct))
        for group, values in zip(distinct.tolist(), sums, strict=True):
            self._sums[group] = self._sums.get(group, np.zeros(shape)) + values

    def _weights(self, condition: np.ndarray, ids: np.ndarray, kappa: float) -> list[np.ndarray]:
        """Expected number of each galaxy in each sample."""
        emulator, schema = self._emulator, self._emulator.schema
        magnified = lensed(condition, schema, kappa)
        p_detect = emulator.p_detect(magnified).astype(np.float64)
        if not any(sample.cuts for sample in self._samples):
            return [p_detect for _ in self._samples]
        measured = emulator.draw(magnified, ids, self._seed, self._member)
        return [
            p_detect * passes(sample.cuts, schema.measured_names, measured)
            for sample in self._samples
        ]

    def counts(self) -> np.ndarray:
        """Float64, shape (samples, groups, convergences)."""
        ordered = [self._sums[group] for group in sorted(self._sums)]
        return np.stack(ordered, axis=1) if ordered else np.zeros((len(self._samples), 0, 3))


def _response(
    label: str, counts: np.ndarray, delta_kappa: float, seed: int, bootstrap: str
) -> Response:
    """Response of one sample from its counts (groups, 3)."""

    def slope(numbers: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = np.log(numbers[..., 2]) - np.log(numbers[..., 0])
            per_kappa: np.ndarray = rise / (2 * delta_kappa)
        return per_kappa

    total = counts.sum(axis=0)
    if not (total > 0).all():
        raise BalrogError(f"the sample {label!r} must have galaxies; none of the catalogue's is in")
    resampled = RegionBootstrap(np.arange(len(counts)), _REPLICATES, seed % 2**32)
    replicates = slope(resampled.replicate(lambda weights: weights @ counts))
    error = float(np.std(replicates[np.isfinite(replicates)])) if len(counts) > 1 else np.nan
    return Response(label, float(total[1]), float(slope(total)), error, bootstrap)
