"""Emulation from end to end: speed, memory, first progress, and two yardsticks.

    python benchmarks/emulate.py saved_models/mini-balrog [--full] [--quick]
        [--only draws flow command dask start injections]

- serving_default of the SavedModel in plain TensorFlow, on one core and on two.
- The command `emulate` from Parquet, with every survey property looked up in maps of nside 4096,
  to Parquet: rows/s and peak memory for 10^6 and 10^7 rows (--full: 10^8).
- Dask: one worker and two, each of one thread, from Parquet to Parquet; and as many plain processes
  that do the same work without Dask, which is what the machine allows.
- Seconds until the command shows progress, beside what `import tensorflow` takes; `info`, `--help`.
- Neural spline flows (zuko on PyTorch, autoregressive and coupling, each by the fastest of eager,
  traced and compiled) drawing on the same core in the same run. --quick does not compile, which
  takes minutes.
- The mini-Balrog's seconds per injection, measured on a small simulation.

Every part prints the seconds it took; all of them follow each other without --only.

Rates by the clock are what a user waits for on a quiet machine; by processor time (per core) they
hardly feel what else runs. Conditions lie inside the training range.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from machine import machine, print_table  # noqa: I001  (first, so that data_prep is the package)

import data_prep  # noqa: F401  (before the benchmarks' folder is on the path again)

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from emulate_parts.processes import first_progress, import_seconds, run
from emulate_parts.world import FILE_ROWS, catalog_of, conditions, write_world

from balrog_keras.bundle import read_description
from data_prep.schema import Schema

PARTS = Path(__file__).resolve().parent / "emulate_parts"
PARTS_OF_TABLE = ("draws", "flow", "command", "dask", "start", "injections")
CALL_ROWS, FLOW_ROWS = 262_144, 131_072
Rows = list[tuple[str, str]]


def script(name: str, arguments: Sequence[Any], cores: Sequence[int]) -> Any:
    """What a script of emulate_parts prints, run on these cores."""
    command = [sys.executable, PARTS / name, *map(str, arguments)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def saved_model(bundle: Path, place: Path, cores: Sequence[int], quick: bool) -> dict[str, float]:
    """Median rates of serving_default."""
    rows = CALL_ROWS * (1 if quick else 4)
    np.savez(place / "conditions.npz", **conditions(read_description(bundle), rows))
    return medians(
        script("saved_model_once.py", [bundle, place / "conditions.npz", CALL_ROWS, 5], cores)
    )


def medians(rates: Sequence[dict[str, float]]) -> dict[str, float]:
    """Median rate by each clock."""
    return {clock: statistics.median(each[clock] for each in rates) for clock in ("wall", "cpu")}


def draws(bundle: Path, place: Path, cores: Sequence[int], quick: bool) -> Rows:
    """The SavedModel on one core and on two."""
    found = {n: saved_model(bundle, place, cores[:n], quick) for n in (1, len(cores))}
    return [(f"serving_default, {n} core(s)", rate(each)) for n, each in found.items()]


def flow(bundle: Path, place: Path, cores: Sequence[int], quick: bool) -> Rows:
    """The fastest flow of each kind beside ours on one core; benchmarks/fidelity.py judges them."""
    if importlib.util.find_spec("zuko") is None:
        return [("spline flow", 'not measured: pip install -e ".[benchmark]"')]
    schema = Schema.from_dict(read_description(bundle)["schema"])
    sizes = [len(schema.condition_names), len(schema.measured_names)]
    ours = saved_model(bundle, place, cores[:1], quick)
    found = script("flow_once.py", [*sizes, FLOW_ROWS // (8 if quick else 1), 3, quick], cores[:1])
    table = [("serving_default, 1 core, in the run of the flows", rate(ours))]
    for kind in dict.fromkeys(name.split(",")[0] for name in found):
        name = max((each for each in found if each.startswith(kind)),
                   key=lambda each: found[each]["cpu"])  # fmt: skip
        best = found[name]
        table += [
            (f"fastest spline flow: {name}", rate(best)),
            ("  ratio", f"{ours['wall'] / best['wall']:.1f} by the clock, "
                        f"{ours['cpu'] / best['cpu']:.1f} by processor time"),
        ]  # fmt: skip
    return table


def rate(found: dict[str, float]) -> str:
    """Rows per second by both clocks."""
    return f"{found['wall']:,.0f} rows/s, {found['cpu']:,.0f} per core of processor time"


def emulate_arguments(bundle: Path, place: Path, rows: int) -> list[str | Path]:
    """Arguments of Python for the command over a catalogue of so many rows."""
    return ["-m", "balrog_keras", "emulate", bundle, "--catalog", catalog_of(place, rows),
            "--maps", place / "maps", "--out", place / "out.parquet"]  # fmt: skip


def command(bundle: Path, place: Path, sizes: Sequence[int]) -> Rows:
    """Rows/s and memory of the command."""
    maps = len(list((place / "maps").iterdir()))
    found, table = {}, []
    for rows in sizes:
        found[rows] = run(emulate_arguments(bundle, place, rows))
        if rows > sizes[0]:
            # Without what every process takes to start.
            more = rows - sizes[0]
            rates = {"wall": more / (found[rows].wall - found[sizes[0]].wall),
                     "cpu": more / (found[rows].cpu - found[sizes[0]].cpu)}  # fmt: skip
            table.append((f"emulate, Parquet + {maps} maps -> Parquet, {rows:,} rows", rate(rates)))
        table.append((f"  peak memory, {rows:,} rows", f"{found[rows].peak_bytes / 1e9:.2f} GB"))
    growth = found[sizes[-1]].peak_bytes / found[sizes[0]].peak_bytes - 1
    table.append(("  memory at the largest over the smallest", f"{100 * growth:+.1f} %"))
    return table


def dask_workers(bundle: Path, place: Path, cores: Sequence[int], quick: bool) -> Rows:
    """One Dask worker and two, and beside them as many plain processes; in turn, again and again.

    The ratios are medians of those of each turn, so that what else runs is in both of a ratio.
    """
    if importlib.util.find_spec("distributed") is None:
        return [("Dask", 'not measured: pip install -e ".[distributed]"')]
    files = place / "conditions"
    files.mkdir()
    columns = pd.DataFrame(conditions(read_description(bundle), CALL_ROWS))
    for number in range(8 if quick else 32):
        columns.to_parquet(files / f"{number:02d}.parquet")
    ways = {"Dask, {} worker(s) of one thread": "dask_once.py",
            "  the same without Dask, {} process(es)": "plain_once.py"}  # fmt: skip
    found: dict[str, list[list[dict[str, float]]]] = {name: [] for name in ways}
    for _ in range(1 if quick else 5):
        for name, part in ways.items():
            pair = [script(part, [bundle, files, place / "measured", n], cores) for n in (1, 2)]
            found[name].append(pair)
    table = []
    for name, pairs in found.items():
        for n, rates in enumerate(zip(*pairs, strict=True), start=1):
            table.append((name.format(n), rate(medians(rates))))
        wall, cpu = (statistics.median(two[clock] / one[clock] for one, two in pairs)
                     for clock in ("wall", "cpu"))  # fmt: skip
        table.append(("  two against one", f"{wall:.2f} by the clock, {2 * cpu:.2f} if both had "
                                           "a core each"))  # fmt: skip
    return table


def start_up(bundle: Path, place: Path, repeats: int) -> Rows:
    """First progress beside what importing TensorFlow takes; commands that need none."""
    arguments = emulate_arguments(bundle, place, FILE_ROWS)
    pairs = [(import_seconds("tensorflow"), first_progress(arguments)) for _ in range(repeats)]
    alone, shown = (statistics.median(column) for column in zip(*pairs, strict=True))
    table = [("first progress; import tensorflow alone; difference",
              f"{shown:.1f} s; {alone:.1f} s; {shown - alone:.1f} s")]  # fmt: skip
    for words in (["info", bundle], ["--help"], ["emulate", "--help"]):
        runs = [run(["-m", "balrog_keras", *words]) for _ in range(repeats)]
        wall, cpu = min(each.wall for each in runs), min(each.cpu for each in runs)
        name = " ".join(Path(word).name for word in words)
        table.append((f"python -m balrog_keras {name}", f"{wall:.2f} s, {cpu:.2f} s of processor"))
    return table


def injections(bundle: Path, place: Path, cores: Sequence[int], quick: bool) -> Rows:
    """The mini-Balrog's seconds per injection, and what is drawn in that time."""
    if importlib.util.find_spec("galsim") is None or importlib.util.find_spec("sep") is None:
        return [("mini-Balrog", 'not measured: pip install -e ".[sim]"')]
    import pyarrow.parquet as pq

    ours = saved_model(bundle, place, cores[:1], quick)
    simulate = ["-m", "data_prep", "simulate", "--workers", "1", "--tiles", "4"]
    few = run([*simulate, "--realizations", "1", "--out", place / "few"])
    many = run([*simulate, "--realizations", "6", "--out", place / "many"])
    rows = [
        pq.read_metadata(place / name / "balrog_detection_catalog.parquet").num_rows
        for name in ("few", "many")
    ]
    seconds = (many.cpu - few.cpu) / (rows[1] - rows[0])
    return [
        ("mini-Balrog, processor seconds per injection", f"{1e3 * seconds:.2f} ms"),
        ("  draws in that time, processor time", f"{seconds * ours['cpu']:,.0f}"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("emulator", type=Path)
    parser.add_argument("--full", action="store_true", help="10^8 rows too")
    parser.add_argument("--quick", action="store_true", help="fewer rows and repeats, for a look")
    parser.add_argument("--only", nargs="+", choices=PARTS_OF_TABLE, default=PARTS_OF_TABLE)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    bundle, quick = options.emulator, options.quick
    sizes = [FILE_ROWS, (3 if quick else 10) * FILE_ROWS]
    sizes += [100 * FILE_ROWS] if options.full else []
    print_table([("machine", machine()), ("emulator", str(bundle))])
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_world(read_description(bundle), place)
        parts = {
            "draws": lambda: draws(bundle, place, cores, quick),
            "flow": lambda: flow(bundle, place, cores, quick),
            "command": lambda: command(bundle, place, sizes),
            "dask": lambda: dask_workers(bundle, place, cores, quick),
            "start": lambda: start_up(bundle, place, 1 if quick else 3),
            "injections": lambda: injections(bundle, place, cores, quick),
        }
        for part in options.only:
            start = time.monotonic()
            table = parts[part]()
            print_table([*table, (f"({part} took)", f"{time.monotonic() - start:.0f} s")])


if __name__ == "__main__":
    sys.exit(main())
