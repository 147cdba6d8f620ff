"""Rows per second of neural spline flows, eager, traced and compiled, as JSON.

Arguments: conditions, measured columns, rows, repeats, True to leave out compiling. The flows are
those of benchmarks/fidelity.py with weights as they are made: these do not matter for speed, nor
do the values of the rows.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import data_prep  # noqa: F401  (before the benchmarks' folder is on the path)

sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch
from fidelity_parts.flow import DEFAULTS, FlowEmulator, build

PASSES = {"autoregressive": None, "coupling": 2}


def ways(conditions: int, measured: int, quick: bool) -> dict[str, FlowEmulator]:
    """Flow and way of running it -> what draws."""
    names = SimpleNamespace(condition_names=range(conditions), measured_names=range(measured))
    scaling: Any = SimpleNamespace(
        schema=names, label="", condition=lambda rows: rows, restore=lambda rows, drawn: drawn
    )
    found = {}
    for name, passes in PASSES.items():
        flow = build(DEFAULTS | {"passes": passes}, measured, conditions)
        plain = FlowEmulator(flow, scaling)
        found[f"{name}, eager"] = plain
        found[f"{name}, traced"] = plain.traced()
        if quick:
            continue
        try:
            found[f"{name}, compiled"] = plain.compiled()
        except (RuntimeError, AttributeError, TypeError) as error:
            logging.warning("torch.compile of the %s flow failed: %s", name, error)
    return found


def main() -> None:
    """Draw the same number of rows in every way; the best of the repeats counts."""
    conditions, measured, rows, repeats = map(int, sys.argv[1:5])
    quick = sys.argv[5] == "True"
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
    torch.manual_seed(0)
    condition = np.random.default_rng(0).normal(size=(rows, conditions)).astype("float32")
    row_id, best = np.arange(rows), {}
    for name, emulator in ways(conditions, measured, quick).items():
        emulator.draw(condition, row_id, 0)
        rates = []
        for repeat in range(repeats):
            start, cpu = time.perf_counter(), time.process_time()
            emulator.draw(condition, row_id, repeat)
            rates.append((rows / (time.perf_counter() - start), rows / (time.process_time() - cpu)))
        wall, processor = max(rates)
        best[name] = {"wall": wall, "cpu": processor}
    print(json.dumps(best))


if __name__ == "__main__":
    main()
