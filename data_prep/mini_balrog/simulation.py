"""A whole mini-Balrog: maps, tiles, parents, one job per tile over the cores, catalogues."""

from __future__ import annotations

import logging
import multiprocessing
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BalrogError
from data_prep.mini_balrog.balrog_tables import detection_table, matched_table, write_table
from data_prep.mini_balrog.given_maps import LABEL_MOCK, read_given_maps, write_maps
from data_prep.mini_balrog.images import PIXEL_SCALE
from data_prep.mini_balrog.mock_maps import NSIDE, PropertyMaps, mock_maps
from data_prep.mini_balrog.parents import ParentPools, make_parents
from data_prep.mini_balrog.population import Sources
from data_prep.mini_balrog.simulate_settings import SimulateSettings
from data_prep.mini_balrog.tile_image import TileJob, generator
from data_prep.mini_balrog.tile_job import MARGIN, Injections, run_tile
from data_prep.mini_balrog.tile_layout import Tile, contiguous_regions, injection_grid, place_tiles
from data_prep.progress import Progress
from data_prep.splits import REGION_NSIDE, SPLITS, assign_splits

__all__ = ["simulate_into"]

logger = logging.getLogger(__name__)

# Middle of the default patch: inside DES's footprint, far from the Galaxy.
_CENTRE_RA, _CENTRE_DEC = 30.0, -38.0
_PACKAGES = ("balrog-keras", "galsim", "sep", "numpy", "scipy", "healpy", "healsparse")

Table = dict[str, np.ndarray]


def simulate_into(directory: Path, settings: SimulateSettings) -> dict[str, Any]:
    """Simulate and write maps and catalogues.

    Parameters
    ----------
    directory : pathlib.Path
        Where to write.
    settings : SimulateSettings
        What to simulate.

    Returns
    -------
    dict
        Label, splits, counts, rate and versions, for the record.
    """
    survey, label = _observe_sky(settings)
    tiles = place_tiles(
        settings.tiles,
        settings.tile_pixels,
        PIXEL_SCALE,
        survey.pixels,
        NSIDE,
        generator(settings.seed, "tiles"),
    )
    splits = assign_splits(
        [tile.region for tile in tiles],
        settings.split_seed,
        settings.validation_fraction,
        settings.test_fraction,
    )
    names = [splits[tile.region] for tile in tiles]
    shares = {split: names.count(split) / len(names) for split in SPLITS}
    rng = generator(settings.seed, "parents")
    parents = make_parents(settings.parents, shares, rng, settings.truth)
    write_maps(directory / "maps", survey, label)
    jobs = [
        _job(settings, draw, tile, parents.pools[split], survey)
        for draw in range(1 + settings.replicate)
        for tile, split in zip(tiles, names, strict=True)
        if draw == 0 or split == "test"
    ]
    start = time.monotonic()
    results = _run_all(jobs, parents.sources, settings.workers)
    seconds = time.monotonic() - start
    counts = _write_catalogs(directory, jobs, results, parents, splits, label)
    return {
        "label": label,
        "notes": list(parents.notes),
        "counts": counts,
        "seconds": round(seconds, 1),
        "injections_per_second": round(counts["drawn"] / seconds, 1),
        "workers": settings.workers,
        "regions": {split: [r for r, s in splits.items() if s == split] for split in SPLITS},
        "versions": {"python": platform.python_version()} | _versions(),
    }


def _observe_sky(settings: SimulateSettings) -> tuple[PropertyMaps, str]:
    rng = generator(settings.seed, "maps")
    if settings.maps is not None:
        return read_given_maps(Path(settings.maps), rng)
    regions = contiguous_regions(settings.tiles, _CENTRE_RA, _CENTRE_DEC)
    children = (NSIDE // REGION_NSIDE) ** 2
    pixels = (regions[:, None] * children + np.arange(children)).ravel()
    return mock_maps(pixels, rng), LABEL_MOCK


def _job(
    settings: SimulateSettings, draw: int, tile: Tile, pool: np.ndarray, survey: PropertyMaps
) -> TileJob:
    """Job with the maps around the tile."""
    import healpy

    towards = healpy.ang2vec(tile.ra_deg, tile.dec_deg, lonlat=True)
    radius = np.radians(0.75 * tile.pixels * tile.scale / 3600)
    around = healpy.query_disc(NSIDE, towards, radius, inclusive=True, nest=True)
    around = np.sort(around)
    row = np.minimum(np.searchsorted(survey.pixels, around), len(survey.pixels) - 1)
    row = row[survey.pixels[row] == around]
    return TileJob(settings.seed, draw, tile, settings.realizations, pool, survey.take(row))


# The parents of a worker process, sent once rather than with every job.
_parents: Sources


def _set_parents(parents: Sources) -> None:
    global _parents
    _parents = parents


def _run_one(job: TileJob) -> Injections:
    return Injections.concatenate(run_tile(job, _parents))


def _run_all(jobs: Sequence[TileJob], parents: Sources, workers: int) -> list[Injections]:
    """Run all jobs, in this process or in others; results in the order of the jobs."""
    results = []
    expected = sum(_grid_size(job, number) for job in jobs for number in range(job.realizations))
    with Progress("simulate", expected, "injections") as progress:
        for number, injections in enumerate(_results(jobs, parents, workers), 1):
            results.append(injections)
            progress.update(len(injections.bal_id), f"tile {number} of {len(jobs)}")
    return results


def _grid_size(job: TileJob, realization: int) -> int:
    rng = generator(job.seed, "injections", job.tile.index, realization)
    return len(injection_grid(job.tile, MARGIN, rng)[0])


def _results(jobs: Sequence[TileJob], parents: Sources, workers: int) -> Iterator[Injections]:
    workers = min(workers, len(jobs))
    if workers == 1:
        _set_parents(parents)
        yield from map(_run_one, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _set_parents, (parents,)) as pool:
        try:
            yield from pool.map(_run_one, jobs)
        except BrokenProcessPool as error:
            raise BalrogError(
                "a worker process died, probably of too little memory; give fewer --workers or "
                "smaller --tile-pixels"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_catalogs(
    directory: Path,
    jobs: Sequence[TileJob],
    results: Sequence[Injections],
    parents: ParentPools,
    splits: dict[int, str],
    label: str,
) -> dict[str, int]:
    """Write the catalogues of every draw; count rows."""
    counts = {"tiles": sum(job.draw == 0 for job in jobs), "parents": len(parents.true_id)}
    counts |= dict.fromkeys(("drawn", "injections", "detected", *SPLITS, "replicate"), 0)
    for job, result in zip(jobs, results, strict=True):
        found = int((result.meas_id >= 0).sum())
        counts["drawn"] += len(result.bal_id)
        if job.draw == 0:
            counts["injections"] += len(result.bal_id)
            counts["detected"] += found
        counts["replicate" if job.draw else splits[job.tile.region]] += found
    for draw, prefix in enumerate(("balrog", "replicate")[: 1 + max(job.draw for job in jobs)]):
        pairs = [pair for pair in zip(jobs, results, strict=True) if pair[0].draw == draw]
        for kind, build in (("detection", detection_table), ("matched", matched_table)):
            tables = [
                build(result, job.tile.name, parents.sources, parents.true_id)
                for job, result in pairs
            ]
            write_table(directory / f"{prefix}_{kind}_catalog", _stack(tables), label)
    return counts


def _stack(tables: Sequence[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed as a package"
    return versions
