"""Half an hour of emulate with its memory watched, and kills of every stage at random moments.

    python benchmarks/soak.py [--minutes 30] [--kills 20] [--stages simulate prepare train emulate]

- While the kills go on, another process emulates a catalogue over and over with one loaded emulator
  and samples its resident memory after each; the slope is a straight line's through the samples
  after the first fifth, with its standard error.
- Each stage is run once undisturbed, then --kills times: killed by SIGKILL, with all its children,
  at a moment drawn uniformly from its running time, and run again (with --resume once there is
  something to resume) until it ends. Its result must have the bytes of the undisturbed run.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from machine import machine, print_table  # noqa: I001  (first, so that data_prep is the package)

from balrog_keras.bundle import read_description
from data_prep.files import sha256_of
from data_prep.schema import Schema

EMULATOR = Path(__file__).resolve().parents[1] / "saved_models/mini-balrog"
STAGES = ("simulate", "prepare", "train", "emulate")
CATALOG_ROWS, REALIZATIONS = 150_000, 16
# Small networks, a few steps, checkpoints between: every part of a training run is there.
SETTINGS = [
    "--width", "16", "--depth", "2", "--generator_width", "8", "--generator_depth", "1",
    "--likelihood_steps", "30", "--location_scale_steps", "200", "--detection_steps", "200",
    "--steps", "60", "--validation_interval", "20", "--validation_draws", "4",
    "--batch_size", "64", "--critic_steps", "2", "--xla", "false",
]  # fmt: skip
# What says when, on what and how fast a result was made is not the result.
_NOT_COMPARED = {"simulation.json", "manifest.json", "README.md", "emulator.json", "metrics.json",
                 "fingerprint.pb", "saved_model.pb"}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A command, where its result goes, and how it goes on after a kill.

    Attributes
    ----------
    name : str
        Of :data:`STAGES`.
    command : callable
        Gives the arguments of Python for an output directory.
    again : callable
        Gives what is added to go on with what is in that directory.
    result : str
        Name of the result in the directory.
    """

    name: str
    command: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    result: str


def stages(world: Path) -> dict[str, Stage]:
    """The four stages over the inputs in `world`."""
    sim, maps = world / "sim", world / "sim/maps"
    simulate = ["-m", "data_prep", "simulate", "--tiles", "12", "--realizations", "1",
                "--tile-pixels", "300", "--parents", "60", "--workers", "2", "--out"]  # fmt: skip
    prepare = ["-m", "data_prep", "prepare", "--preset", "des-y3-sof", "--maps", str(maps),
               "--catalog", str(sim / "balrog_matched_catalog.parquet"), "--detection",
               str(sim / "balrog_detection_catalog.parquet"), "--shards", "16", "--batch-rows",
               "200", "--out"]  # fmt: skip
    train = ["-m", "balrog_keras", "train", "--data", str(world / "shards"), "--name", "soak"]
    emulate = ["-m", "balrog_keras", "emulate", str(EMULATOR), "--catalog",
               str(world / "truth.parquet"), "--seed", "1", "--realizations", str(REALIZATIONS),
               "--out"]  # fmt: skip

    def training(place: Path) -> list[str]:
        return [*train, "--runs", str(place / "runs"), "--saved_models", str(place / "models")]

    def train_again(place: Path) -> list[str]:
        started = (place / "runs/soak/config.yaml").is_file()
        return ["--resume"] if started else [*SETTINGS, "--overwrite"]

    return {
        "simulate": Stage("simulate", lambda p: [*simulate, str(p / "sim")], lambda p: [], "sim"),
        "prepare": Stage("prepare", lambda p: [*prepare, str(p / "s")],
                         lambda p: ["--force", "--resume"], "s"),
        "train": Stage("train", training, train_again, "models/soak"),
        "emulate": Stage("emulate", lambda p: [*emulate, str(p / "o.parquet")],
                         lambda p: ["--resume"], "o.parquet"),
    }  # fmt: skip


def run(command: list[str], kill_after: float | None = None) -> int:
    """Run Python; SIGKILL it and its children after so many seconds. Gives the exit code."""
    with subprocess.Popen(
        [sys.executable, *command, "--quiet"], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            _, said = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return -signal.SIGKILL
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{said}")
    return 0


def bytes_of(result: Path) -> dict[str, str]:
    """Checksum of each file of a result that is compared."""
    files = [result] if result.is_file() else sorted(result.rglob("*"))
    return {
        str(path.relative_to(result)): sha256_of(path)
        for path in files
        if path.is_file() and path.name not in _NOT_COMPARED
    }


def kill_stage(stage: Stage, kills: int, world: Path, rng: np.random.Generator) -> dict[str, float]:
    """Kill a stage again and again; counts of what came of it."""
    place = Path(tempfile.mkdtemp(prefix=f"{stage.name}-", dir=world))
    started = time.monotonic()
    run([*stage.command(place), *(SETTINGS if stage.name == "train" else [])])
    seconds = time.monotonic() - started
    expected = bytes_of(place / stage.result)
    found = {"seconds": seconds, "killed": 0, "same": 0, "left": 0, "files": len(expected)}
    while found["killed"] < kills:
        place = Path(tempfile.mkdtemp(prefix=f"{stage.name}-", dir=world))
        first = SETTINGS if stage.name == "train" else []
        if run([*stage.command(place), *first], rng.uniform(0, seconds)) == 0:
            continue
        found["killed"] += 1
        run([*stage.command(place), *stage.again(place)])
        found["same"] += bytes_of(place / stage.result) == expected
        found["left"] += sum(path.name.startswith(".") for path in place.rglob("*"))
        print(f"{stage.name}: {found['killed']} killed, {found['same']} same", flush=True)
    return found


def make_world(world: Path) -> None:
    """A small mini-Balrog, its shards, and a truth catalogue inside the emulator's domain."""
    run(["-m", "data_prep", "simulate", "--out", str(world / "sim"), "--tiles", "60",
         "--realizations", "1", "--parents", "600"])  # fmt: skip
    (place := stages(world)["prepare"].command(world)).pop()
    run([*place, str(world / "shards")])
    description, rng = read_description(EMULATOR), np.random.default_rng(1)
    names = Schema.from_dict(description["schema"]).condition_names
    levels = {name: description["domain"][name]["quantiles"] for name in names}
    columns = {
        name: rng.uniform(found["0.16"], found["0.84"], CATALOG_ROWS).astype(np.float32)
        for name, found in levels.items()
    }
    pd.DataFrame(columns).to_parquet(world / "truth.parquet")


def watch(world: Path, minutes: float) -> None:
    """Emulate over and over in this process; print time and resident MiB after each as JSON."""
    from balrog_keras.catalog_emulation import emulate_catalog
    from balrog_keras.draw_plan import DrawPlan
    from balrog_keras.emulator import Emulator

    emulator, plan = Emulator.load(EMULATOR), DrawPlan(seed=1, realizations=REALIZATIONS)
    page, started = os.sysconf("SC_PAGE_SIZE"), time.monotonic()
    while time.monotonic() - started < 60 * minutes:
        emulate_catalog(emulator, world / "truth.parquet", world / "watched.parquet", plan=plan)
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20
        print(json.dumps([time.monotonic() - started, resident]), flush=True)


def slope_of(samples: np.ndarray) -> tuple[float, float, int]:
    """MiB per hour of (seconds, MiB), its standard error, and the samples used."""
    late = samples[samples[:, 0] > 0.2 * samples[-1, 0]]
    hours, memory = late[:, 0] / 3600, late[:, 1]
    (slope, start), *_ = np.polyfit(hours, memory, 1, full=True)
    rest = memory - slope * hours - start
    spread = np.sqrt((rest**2).sum() / max(len(late) - 2, 1))
    return float(slope), float(spread / np.sqrt(((hours - hours.mean()) ** 2).sum())), len(late)


def memory_rows(text: str) -> list[tuple[str, str]]:
    """What the table says of the watched process."""
    samples = np.array([json.loads(line) for line in text.splitlines() if line.startswith("[")])
    if len(samples) < 5:
        return [("emulate in a loop", f"only {len(samples)} runs: give more --minutes")]
    slope, error, used = slope_of(samples)
    rows = CATALOG_ROWS * REALIZATIONS * len(samples)
    return [
        ("emulate in a loop", f"{len(samples)} runs in {samples[-1, 0] / 60:.1f} minutes, {rows:,} "
                              "rows written"),
        ("resident memory, first; median; largest",
         f"{samples[0, 1]:.0f}; {np.median(samples[:, 1]):.0f}; {samples[:, 1].max():.0f} MiB"),
        (f"slope over the last {used} runs", f"{slope:+.1f} +- {error:.1f} MiB per hour"),
    ]  # fmt: skip


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--minutes", type=float, default=30.0, help="of emulate (default 30)")
    parser.add_argument("--kills", type=int, default=20, help="of each stage (default 20)")
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=list(STAGES))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--watch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        watch(options.watch, options.minutes)
        return
    rows, rng = [("machine", machine())], np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        world = Path(name)
        make_world(world)
        command = [sys.executable, __file__, "--watch", name, "--minutes", str(options.minutes)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watched:
            found = {each: kill_stage(stages(world)[each], options.kills, world, rng)
                     for each in options.stages}  # fmt: skip
            text = watched.communicate()[0]
    for each, counts in found.items():
        said = f"{counts['killed']:.0f} kills, {counts['same']:.0f} ended with the same bytes"
        said += f" ({counts['files']:.0f} files), {counts['left']:.0f} hidden files left"
        rows.append((f"{each} ({counts['seconds']:.0f} s)", said))
    print_table(rows + memory_rows(text))
    if watched.returncode or any(each["same"] != each["killed"] for each in found.values()):
        sys.exit("error: a result differs, or emulate failed")


if __name__ == "__main__":
    main()
