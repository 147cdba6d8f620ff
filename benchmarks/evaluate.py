"""Memory and time of evaluate.py as the held-out splits grow.

    python benchmarks/evaluate.py saved_models/mini-balrog --data shards
        [--rows 1000000 10000000] [--max-rows 20000] [--draws 50]

The test, oracle and detection-test splits of `--data` are repeated, with new row ids, until the
test split has so many rows; each size is evaluated in a process of its own. Repeated rows make the
statistics meaningless; what is measured is memory, which should depend on --max-rows alone.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import machine, print_table  # noqa: I001  (first, so that data_prep is the package)

from data_prep.manifest import Manifest, write_manifest
from data_prep.shards import PieceWriter, read_split

SPLITS = ("test", "oracle", "detection-test")


def repeat_shards(source, directory, rows):
    """Shards whose test split has so many rows, made of those of `source`."""
    manifest = Manifest.load(source)
    splits = dict(manifest.splits)
    times = -(-rows // splits["test"]["rows"])
    for name in (name for name in SPLITS if name in splits):
        features = read_split(source, name)
        if "weight" in features:
            features["weight"] = features["weight"][:, None]
        # Rows of one injection keep one id in all splits.
        step = 1 + int(max(np.abs(features["row_id"]).max(), 2**40))
        path = directory / f"{name}-00000-of-00001.tfrecord"
        with PieceWriter.open(path) as writer:
            for number in range(times):
                writer.write({**features, "row_id": features["row_id"] + number * step})
        shard = {"file": path.name, **writer.describe()}
        splits[name] = {**splits[name], "rows": shard["rows"], "shards": [shard]}
    kept = {name: splits[name] for name in SPLITS if name in splits}
    content = {k: v for k, v in manifest.content.items() if k not in ("schema", "sha256")}
    write_manifest(directory, manifest.schema, {**content, "splits": kept})
    return kept["test"]["rows"]


def evaluated(bundle, shards, out, options):
    """Seconds and the peak of resident memory (GiB) of one evaluation."""
    command = [sys.executable, "evaluate.py", bundle, "--data", shards, "--out", out]
    command += ["--max-rows", options.max_rows, "--draws", options.draws, "--quiet"]
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in command])
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(re.search(r"VmHWM:\s+(\d+)", status)[1]))
        except (OSError, TypeError):
            pass
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"evaluate.py failed with code {process.returncode}")
    return time.monotonic() - start, peak / 2**20


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("emulator", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--max-rows", type=int, default=20_000)
    parser.add_argument("--draws", type=int, default=50)
    options = parser.parse_args()
    options.emulator, options.data = options.emulator.resolve(), options.data.resolve()
    os.chdir(Path(__file__).resolve().parents[1])
    table = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as directory:
            shards = Path(directory) / "shards"
            shards.mkdir()
            found = repeat_shards(options.data, shards, rows)
            seconds, peak = evaluated(options.emulator, shards, Path(directory) / "out", options)
        print(f"{found:,} test rows: {seconds:.0f} s, {peak:.2f} GiB", flush=True)
        table.append((f"{found:,} test rows", f"{seconds:.0f} s, {peak:.2f} GiB"))
    print(machine())
    print_table(table)


if __name__ == "__main__":
    main()
