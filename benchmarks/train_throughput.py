"""Training speed of the default settings, and its share of the machine's matrix-product peak.

    python benchmarks/train_throughput.py [--rows 100000 1700000 10000000] [--galaxies 2000000]
        [--set batch_size=2048 critic_steps=1 stream=true]

For each number of rows, shards are written and a fresh process trains on them as train.py does:
same reading, same batches, same compiled step. Rows have the default schema's shape; values do not
matter for speed. One galaxy is one training row that visits the critic once. FLOPs are those of
the matrix products in the program that XLA compiled. Peak: the best of 128-wide and square float32
products through XLA, measured before and after every 200,000 galaxies, so that a busy machine
shows in both. The share is given by the clock, which is what a user waits for on a quiet machine,
and by processor time, which hardly feels what else runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import machine, print_table

from balrog_keras.allocator import keep_freed_memory
from balrog_keras.config import Settings
from data_prep.errors import BalrogError

PARTS = Path(__file__).resolve().parent / "throughput_parts"


def settings_of(pairs: list[str]) -> Settings:
    """Defaults, with what NAME=VALUE says."""
    try:
        return Settings(**{k: json.loads(v) for k, v in (pair.split("=", 1) for pair in pairs)})
    except (TypeError, ValueError, BalrogError) as error:
        sys.exit(f"--set takes NAME=VALUE of balrog_keras.config.Settings: {error}")


def measure(rows: int, galaxies: int, settings: Settings) -> dict[str, Any]:
    """Write shards of that many rows and train on them in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        shards = Path(directory) / "shards"
        make = "import sys; from rows import write_random_shards as w; from pathlib import Path; "
        make += "w(Path(sys.argv[1]), int(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", make, shards, str(rows)], cwd=PARTS, check=True)
        command = [sys.executable, PARTS / "train_once.py", shards, str(galaxies)]
        found = subprocess.run(
            [*command, json.dumps(settings.to_dict())], check=True, stdout=subprocess.PIPE
        )
    return json.loads(found.stdout.splitlines()[-1])


def table_of(rows: int, found: dict[str, Any]) -> list[tuple[str, str]]:
    """What to print of one process."""
    rates = [galaxies / wall for galaxies, wall, _ in found["chunks"]]
    galaxies, wall, cpu = (sum(column) for column in zip(*found["chunks"], strict=True))
    shares = []
    for clock in (0, 1):
        peaks = [peak[clock] for peak in found["peaks"]]
        best = [max(pair) for pair in zip(peaks, peaks[1:], strict=False)]
        done = [chunk[0] * found["flops"] / chunk[1 + clock] for chunk in found["chunks"]]
        shares.append(statistics.median(a / b for a, b in zip(done, best, strict=True)))
    peaks = [statistics.median(peak[clock] for peak in found["peaks"]) / 1e9 for clock in (0, 1)]
    return [
        (f"{rows:,} rows", ""),
        ("  time to first step, from the start of Python",
         "{:.1f} s, {:.1f} s of processor time".format(*found["first_step"])),
        ("  peak memory", f"{found['memory'] / 1e9:.2f} GB"),
        ("  training galaxies/s, median (range)",
         f"{statistics.median(rates):,.0f} ({min(rates):,.0f} - {max(rates):,.0f})"),
        ("  per galaxy over all of it, shuffling included",
         f"{1e6 * wall / galaxies:.2f} us, {1e6 * cpu / galaxies:.2f} us of processor time"),
        ("  FLOP per galaxy (matrix products)", f"{found['flops'] / 1e6:.3f} M"),
        ("  matrix-product peak, median", f"{peaks[0]:.0f} GFLOP/s, {peaks[1]:.0f} per core"),
        ("  share of peak, by the clock and by processor time",
         f"{100 * shares[0]:.0f} %, {100 * shares[1]:.0f} %"),
        ("  1.7 million galaxies", f"{1.7e6 * wall / galaxies:.0f} s"),
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_700_000])
    parser.add_argument("--galaxies", type=int, default=2_000_000, help="to train on, each time")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", dest="settings")
    options = parser.parse_args()
    settings = settings_of(options.settings)
    keep_freed_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    print_table([
        ("machine", machine()),
        ("networks", f"{settings.depth} x {settings.width}, batch {settings.batch_size}, "
                     f"{settings.critic_steps} critic steps"),
        ("rows", "streamed from the shards" if settings.stream else "in memory"),
    ])  # fmt: skip
    for rows in options.rows:
        print_table(table_of(rows, measure(rows, options.galaxies, settings)))


if __name__ == "__main__":
    sys.exit(main())
