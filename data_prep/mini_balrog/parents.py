"""The limited number of galaxies that are injected over and over: drawn, or from a catalogue."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import numpy as np

from data_prep.catalogs import Catalog, Element, open_catalog
from data_prep.errors import BalrogError
from data_prep.mini_balrog.population import (
    BANDS,
    T_OF_HALF_LIGHT,
    Sources,
    detectability,
    draw_galaxies,
    draw_morphology,
)
from data_prep.splits import SPLITS

__all__ = ["ParentPools", "make_parents"]

logger = logging.getLogger(__name__)

_BATCH_ROWS = 500_000
_FEWEST, _BRIGHTEST, _LEAST_WEIGHT = 30, 14.0, 1e-6
_LARGEST_SHEAR = 0.9
_MAG_NAMES = ("true_bdf_mag_deredden[{b}]", "bdf_mag_deredden[{b}]", "true_mag_{b}", "mag_{b}")
_SHAPE_NAMES = {
    "id": ("true_id", "ID", "id"),
    "T": ("true_bdf_T", "bdf_T", "BDF_T"),
    "bulge_fraction": ("true_bdf_fracdev", "bdf_fracdev", "BDF_FRACDEV"),
    "g1": ("true_bdf_g[0]", "bdf_g[0]", "BDF_G_0"),
    "g2": ("true_bdf_g[1]", "bdf_g[1]", "BDF_G_1"),
}
# r - i redder than this counts as passive where colours must tell.
_VALLEY, _VALLEY_WIDTH = 0.55, 0.12


@dataclass(frozen=True)
class ParentPools:
    """Parents, and which of them each split may use.

    Attributes
    ----------
    sources : Sources
        The parents.
    true_id : int64 array, shape (P,)
        Their ids.
    pools : dict of str to int64 array
        Split -> rows of `sources`. No parent is in two.
    notes : tuple of str
        What was drawn because a catalogue did not say.
    """

    sources: Sources
    true_id: np.ndarray
    pools: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def make_parents(
    count: int,
    shares: dict[str, float],
    rng: np.random.Generator,
    truth_file: str | os.PathLike[str] | None = None,
) -> ParentPools:
    """Draw parents from the population, or pick them from a truth catalogue.

    Parameters
    ----------
    count : int
        How many parents in all.
    shares : dict of str to float
        Split -> its share of the parents; sums to 1.
    rng : numpy.random.Generator
        Source of randomness.
    truth_file : path, optional
        FITS or Parquet with r, i, z magnitudes (``mag_r`` or ``true_mag_r`` or an element of
        ``true_bdf_mag_deredden`` or ``bdf_mag_deredden``). T, bulge fraction and shape are taken
        from DES's bdf columns if there, else drawn.

    Returns
    -------
    ParentPools

    Raises
    ------
    BalrogError
        If the catalogue lacks magnitudes or has too few galaxies of use.
    """
    if truth_file is None:
        sources, true_id = draw_galaxies(count, rng, weighted=True), np.arange(count) + 1
        notes: tuple[str, ...] = ()
    else:
        sources, true_id, notes = _from_catalog(truth_file, count, rng)
    order = rng.permutation(len(true_id))
    stops = np.round(np.cumsum([shares[split] for split in SPLITS]) * len(order)).astype(int)
    parts = np.split(order, stops[:-1])
    pools = {split: np.sort(part) for split, part in zip(SPLITS, parts, strict=True)}
    if min(len(pool) for pool in pools.values()) < 1:
        raise BalrogError(
            f"every split needs parents of its own; {len(order)} are too few for shares "
            f"{shares}; give more --parents"
        )
    return ParentPools(sources, true_id, pools, notes)


def _from_catalog(
    path: str | os.PathLike[str], count: int, rng: np.random.Generator
) -> tuple[Sources, np.ndarray, tuple[str, ...]]:
    catalog = open_catalog(path)
    columns = _read(catalog, _find_columns(catalog))
    i_mag = columns["mag_i"]
    finite = np.isfinite([columns[f"mag_{band}"] for band in ("r", "i", "z")]).all(axis=0)
    weight = np.where(finite & (i_mag > _BRIGHTEST), detectability(i_mag), 0.0)
    usable = np.flatnonzero(weight > _LEAST_WEIGHT)
    if len(usable) < _FEWEST:
        raise BalrogError(
            f"{path}: at least {_FEWEST} galaxies with finite r, i, z and {_BRIGHTEST} < i < 25.5 "
            f"are needed as parents; found {len(usable)} in {catalog.rows:,} rows"
        )
    # A weighted draw without replacement: the shortest of exponential races (Efraimidis &
    # Spirakis 2006).
    race = rng.exponential(size=len(usable)) / weight[usable]
    rows = np.sort(usable[np.argsort(race, kind="stable")[:count]])
    columns = {name: values[rows] for name, values in columns.items()}
    notes = [f"{len(rows):,} of {len(usable):,} usable of {catalog.rows:,} rows of {path}"]
    sources = _fill(columns, rng, notes)
    for note in notes:
        logger.info("parents: %s", note)
    return sources, columns.get("id", rows).astype(np.int64), tuple(notes)


def _find_columns(catalog: Catalog) -> dict[str, Element]:
    """Columns that the catalogue has, by our names for them."""
    found = {}
    for band in BANDS:
        names = [name.format(b=band) for name in _MAG_NAMES]
        element = catalog.find(names, BANDS)
        if element is None and band != "g":
            element = catalog.require(names, f"the true {band} magnitude", BANDS)
        found[f"mag_{band}"] = element
    for name, alternatives in _SHAPE_NAMES.items():
        found[name] = catalog.find(alternatives)
    return {name: element for name, element in found.items() if element is not None}


def _read(catalog: Catalog, elements: dict[str, Element]) -> dict[str, np.ndarray]:
    names = sorted({element.column for element in elements.values()})
    parts: dict[str, list[np.ndarray]] = {name: [] for name in elements}
    for batch in catalog.batches(names, _BATCH_ROWS):
        for name, element in elements.items():
            values = batch[element.column]
            parts[name].append(values if element.index is None else values[:, element.index])
    read = {name: np.concatenate(values) for name, values in parts.items()}
    return {n: v if n == "id" else v.astype(np.float64) for n, v in read.items()}


def _fill(columns: dict[str, np.ndarray], rng: np.random.Generator, notes: list[str]) -> Sources:
    """Take what the catalogue has, draw what it lacks, and say so in `notes`."""
    r_i = columns["mag_r"] - columns["mag_i"]
    passive = 1 / (1 + np.exp(-(r_i - _VALLEY) / _VALLEY_WIDTH))
    g_mag = columns.get("mag_g", columns["mag_r"] + 0.4 + 0.9 * passive)
    mag = np.stack([g_mag] + [columns[f"mag_{band}"] for band in BANDS[1:]], axis=1)
    drawn = draw_morphology(mag, passive, rng)
    radius, bulge, g1, g2 = (columns.get(name) for name in ("T", "bulge_fraction", "g1", "g2"))
    lacking = [name for name in ("mag_g", "T", "bulge_fraction", "g1") if name not in columns]
    if lacking:
        notes.append(f"not in the catalogue and drawn: {', '.join(lacking)}")
    if radius is not None:
        radius = np.sqrt(np.clip(radius, 1e-3, 100.0) / T_OF_HALF_LIGHT)
    return Sources(
        mag,
        drawn.half_light_radius if radius is None else radius,
        drawn.bulge_fraction if bulge is None else np.clip(bulge, 0.0, 1.0),
        *((drawn.g1, drawn.g2) if g1 is None or g2 is None else _bounded(g1, g2)),
    )


def _bounded(g1: np.ndarray, g2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shear = g1 + 1j * g2
    shear *= np.minimum(1.0, _LARGEST_SHEAR / np.maximum(np.abs(shear), 1e-12))
    return shear.real, shear.imag
