"""Catalogues and maps -> shards, in two passes and bounded memory."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.catalogs import Catalog
from data_prep.errors import BalrogError
from data_prep.files import linked_place, replace_directory
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.partitions import Runner, open_runner
from data_prep.preparation.prepare_assemble import assemble, check_results, total
from data_prep.preparation.prepare_job import Job
from data_prep.preparation.prepare_neighbors import cell_tasks, find_neighbors
from data_prep.preparation.prepare_plan import Plan, plan_job
from data_prep.preparation.prepare_read import read_range, read_tasks
from data_prep.preparation.prepare_summary import summary
from data_prep.preparation.prepare_work import open_work
from data_prep.preparation.prepare_write import WriteTask, write_shard
from data_prep.prepare_settings import PrepareSettings, add_arguments, settings_from
from data_prep.preset import EBV
from data_prep.provenance import provenance
from data_prep.splits import (
    REGION_NEST,
    REGION_NSIDE,
    SPLITS,
    assign_splits,
    unpack_regions,
    with_neighbors,
)
from data_prep.survey_maps import SurveyMaps

__all__ = ["add_arguments", "prepare", "run"]

_BUCKET_ROWS = 650_000
_SHARD_ROWS = 2_000_000
_FEWEST_SHARDS = 8


def prepare(settings: PrepareSettings, command: str = "") -> Manifest:
    """Turn catalogues and maps into shards.

    The catalogues are read once, in batches; rows go to disk in buckets by a hash of their id.
    Then each bucket is joined, cut, looked up in the maps (of which only the pixels of occupied
    regions are kept), sorted by the hash and written. The bytes written depend on the rows, the
    preset and the seed alone, not on batches, partitions, workers or the order of the files.

    Parameters
    ----------
    settings : PrepareSettings
        What to do.
    command : str
        The command line, for the manifest.

    Returns
    -------
    Manifest
        Of the shards written.

    Raises
    ------
    BalrogError
        For bad input; nothing is left behind, shards already there stay.
    OSError
        As raised by the write (disk full); what is done can be resumed, shards already there
        stay.
    """
    settings = dataclasses.replace(settings, out=linked_place(settings.out))
    _require_free(settings)
    plan = plan_job(settings)
    maps = _find_maps(settings, plan)
    sources = [catalog.path for catalog in plan.catalogs] + maps.paths
    with (
        open_work(settings.out, _identity(settings, plan, sources), settings.resume) as work,
        open_runner(settings.workers, settings.dask) as runner,
    ):
        # Reading every source for its checksum need not hold up the passes.
        described = _in_background(provenance, command, sources)
        job = _job(settings, plan, work)
        regions = _read(job, runner)
        split_of_region = assign_splits(
            regions, settings.split_seed, settings.validation_fraction, settings.test_fraction
        )
        results = _write(job, maps, split_of_region, runner)
        maps.require_coverage(total(results, "covered"))
        check_results(results, job)
        content = _content(job, split_of_region, described.result())
        shards = work / "shards"
        shutil.rmtree(shards, ignore_errors=True)
        shards.mkdir()
        assemble(shards, results, job, content)
        replace_directory(shards, settings.out)
    return Manifest.load(settings.out)


def run(arguments: argparse.Namespace) -> None:
    """Do what the parsed options of ``python -m data_prep prepare`` say, and print a summary."""
    command = shlex.join(["python", "-m", "data_prep", *sys.argv[1:]])
    print(summary(prepare(settings_from(arguments), command)))


def _in_background(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Start a call in a thread that does not keep an interrupted process alive."""
    result: Future[Any] = Future()

    def call() -> None:
        try:
            result.set_result(function(*arguments))
        except Exception as error:
            result.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return result


def _require_free(settings: PrepareSettings) -> None:
    """Refuse to replace anything but shards, and those only with force."""
    out = settings.out
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out.is_dir() and (out / MANIFEST_NAME).is_file()):
        raise BalrogError(f"--out must be new or hold shards; {out} holds something else")
    if not settings.force:
        raise BalrogError(f"{out} holds shards already; give --force to replace them")


def _find_maps(settings: PrepareSettings, plan: Plan) -> SurveyMaps:
    sources = dict(plan.preset.map_sources)
    if not plan.needs_reddening and EBV not in plan.preset.sources:
        sources.pop(EBV, None)
    return SurveyMaps.find(
        settings.maps,
        sources,
        settings.map_nside,
        settings.map_nest,
        ranges={
            column.name: (column.minimum, column.maximum) for column in plan.preset.schema.survey
        },
    )


def _identity(settings: PrepareSettings, plan: Plan, sources: list[Path]) -> dict[str, Any]:
    """What the result depends on, for --resume."""
    ignored = {"out", "workers", "dask", "resume", "force", "strict"}
    options = {
        field.name: str(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.name not in ignored and not isinstance(getattr(settings, field.name), Catalog)
    }
    files = {str(path): _stamp(path) for path in sources if path.exists()}
    return options | files | {"content of the preset": repr(plan.preset)}


def _stamp(path: Path) -> list[int]:
    """Bytes and time of a file, or of all that is in a directory."""
    found = [each.stat() for each in (path, *path.rglob("*"))]
    return [sum(each.st_size for each in found), max(each.st_mtime_ns for each in found)]


def _job(settings: PrepareSettings, plan: Plan, work: Path) -> Job:
    rows = {role: spec.catalog.rows for role, spec in plan.tables.items()}
    shards = settings.shards or max(_FEWEST_SHARDS, -(-rows["matched"] // _SHARD_ROWS))
    per_shard = -(-sum(rows.values()) // (shards * _BUCKET_ROWS))
    return Job(work, plan, settings, shards, per_shard)


def _read(job: Job, runner: Runner) -> np.ndarray:
    """First pass, and the neighbours; gives the occupied regions, ascending."""
    tasks = read_tasks(job)
    sizes = [task.stop - task.start for task in tasks]
    results = runner.run(read_range, tasks, job.work / "read", "read", sizes)
    if job.plan.neighbors:
        cells, sizes = cell_tasks(job, results)
        runner.run(find_neighbors, cells, job.work / "neighbors", "neighbours", sizes, "objects")
    return unpack_regions(result["regions"] for result in results)


def _write(
    job: Job, maps: SurveyMaps, split_of_region: dict[int, str], runner: Runner
) -> list[dict[str, Any]]:
    regions = np.array(list(split_of_region), np.int64)
    needed = with_neighbors(regions) if job.settings.interpolate else regions
    stored = maps.build_stores(job.work / "maps", needed)
    (job.work / "pieces").mkdir(exist_ok=True)
    splits = np.zeros(12 * REGION_NSIDE**2, np.int8)
    splits[regions] = [SPLITS.index(name) for name in split_of_region.values()]
    tasks = [WriteTask(job, shard, stored, splits) for shard in range(job.shards)]
    rows = sum(spec.catalog.rows for spec in job.plan.tables.values())
    sizes = [rows // job.shards] * job.shards
    return runner.run(write_shard, tasks, job.work / "write", "write shards", sizes)


def _content(
    job: Job, split_of_region: dict[int, str], described: dict[str, Any]
) -> dict[str, Any]:
    """The part of the manifest that says where the rows came from."""
    plan, settings = job.plan, job.settings
    matched = plan.tables["matched"].catalog
    described["columns"] = {
        role: {field: str(element) for field, element in spec.elements.items()}
        for role, spec in plan.tables.items()
    }
    return {
        "preset": plan.preset.schema.name,
        "label": matched.label,
        "cuts": [str(cut) for cut in plan.preset.cuts if str(cut) not in plan.not_applied],
        "cuts_not_applied": plan.not_applied,
        "regions": {
            "nside": REGION_NSIDE,
            "nest": REGION_NEST,
            "seed": settings.split_seed,
            "splits": {
                name: [region for region, split in split_of_region.items() if split == name]
                for name in SPLITS
            },
        },
        "map_patterns": plan.preset.map_sources,
        "provenance": described,
    }
