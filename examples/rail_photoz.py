"""Photometric redshifts after an emulated survey: a RAIL pipeline from truth to figure.

    python examples/rail_photoz.py saved_models/mini-balrog --out demo/photoz

RAIL's own example galaxies (DC2, redshifts and LSST magnitudes) are taken as truth and given a
seeing each. BalrogSelector draws which of them are detected and BalrogNoisifier what is measured;
nearest neighbours (RAIL's KNearNeigh) learn redshifts from one half and estimate them for the
other, from measured and, for comparison, from true magnitudes. demo/photoz gets the pipeline
(pipeline.yml, which `ceci pipeline.yml` runs again), all of its files, and photoz.png.

Needs the extras rail and report. DC2 has LSST's errors, small beside those of the mini-Balrog's
survey; its magnitudes count as true ones here.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
from ceci import Pipeline, PipelineStage
from rail.core.stage import RailPipeline
from rail.estimation.algos.k_nearneigh import KNearNeighEstimator, KNearNeighInformer
from rail.tools.table_tools import TableConverter
from rail.utils.path_utils import find_rail_file
from scipy.stats import median_abs_deviation

from balrog_keras.bundle import read_description
from balrog_keras.plots import COLOURS, new_figure
from balrog_keras.rail import BalrogNoisifier, BalrogSelector

DC2 = {"train": "test_dc2_training_9816.hdf5", "test": "test_dc2_validation_9816.hdf5"}
BANDS = ("r", "i", "z")
MEASURED = [f"meas_mag_{band}" for band in BANDS]
TRUE = [f"mag_{band}_lsst" for band in BANDS]
ZMAX, OUTLIER = 3.0, 0.15
# A bin with fewer galaxies is left out.
FEWEST = 15


def truth(name: str, emulator: Path, rows: int | None, seed: int) -> pd.DataFrame:
    """DC2 galaxies with ids, and survey properties within what the emulator was trained on."""
    import h5py

    rng = np.random.default_rng(seed)
    with h5py.File(find_rail_file(f"examples_data/testdata/{DC2[name]}")) as file:
        group = file["photometry"]
        table = pd.DataFrame({key: group[key][:] for key in ("redshift", *TRUE)})
    # Ids of the two halves differ, and so do their draws.
    table.insert(0, "object_id", np.arange(len(table)) + (10**9 if name == "test" else 0))
    if rows is not None:
        table = table.iloc[np.sort(rng.permutation(len(table))[:rows])]
    domain = read_description(emulator)["domain"]
    night = rng.uniform(0.01, 0.99, len(table))
    for band in BANDS:
        table[f"fwhm_{band}"] = at_quantile(domain[f"fwhm_{band}"], night)
        table[f"sky_noise_{band}"] = at_quantile(domain[f"sky_noise_{band}"], 0.5)
    return table


def at_quantile(described: dict[str, Any], level: Any) -> Any:
    """Value of a training column at a quantile."""
    known = sorted((float(key), value) for key, value in described["quantiles"].items())
    return np.interp(level, *zip(*known, strict=True))


class PhotozPipeline(RailPipeline):
    """Detected, measured, converted; then learned from one half and estimated for the other."""

    default_input_dict = {"truth_train": "truth_train.pq", "truth_test": "truth_test.pq"}

    def __init__(self, emulator: Path, seed: int) -> None:
        super().__init__()
        names = {f"true_mag_{band}": f"mag_{band}_lsst" for band in BANDS}
        drawn = {"emulator": str(emulator.resolve()), "columns": names, "seed": seed,
                 "row_id_col": "object_id"}  # fmt: skip
        knn = {"hdf5_groupname": "", "zmax": ZMAX, "nondetect_val": np.nan}
        search = {"nneigh_min": 10, "nneigh_max": 14, "ngrid_sigma": 3}
        for half in DC2:
            self.add("select", half, BalrogSelector, aliases={"input": f"truth_{half}"}, **drawn)
            self.add("measure", half, BalrogNoisifier, self.made("select", half), **drawn)
            self.add("convert", half, TableConverter, self.made("measure", half),
                     output_format="numpyDict")  # fmt: skip
        for kind, bands in {"measured": MEASURED, "true": TRUE}.items():
            used = {**knn, "bands": bands, "ref_band": bands[BANDS.index("i")],
                    "mag_limits": dict.fromkeys(bands, 26.0)}  # fmt: skip
            self.add("learn", kind, KNearNeighInformer, self.made("convert", "train"),
                     **used, **search)  # fmt: skip
            both = self.made("convert", "test") | {"model": self[f"learn_{kind}"].io.model}
            self.add("estimate", kind, KNearNeighEstimator, both, **used)

    def add(self, step: str, of: str, stage: Any, connections: Any = None, **config: Any) -> None:
        """Add the stage STEP_OF."""
        setattr(self, f"{step}_{of}", stage.build(connections=connections or {}, **config))

    def made(self, step: str, of: str) -> dict[str, Any]:
        """The output of a stage as another's input."""
        return {"input": self[f"{step}_{of}"].io.output}


def run_here(pipeline: Pipeline) -> None:
    """Run the stages' own commands one after the other in this process; no start of each."""
    before = sys.argv
    for name in pipeline.stage_names:
        command = shlex.split(pipeline.generate_stage_command(name))
        sys.argv = ["ceci", *command[command.index("ceci") + 1 :]]
        try:
            PipelineStage.main()
        finally:
            sys.argv = before


@dataclass(frozen=True)
class Binned:
    """Scatter of redshifts in bins of true magnitude."""

    centres: np.ndarray
    scatter: np.ndarray
    error: np.ndarray
    outliers: np.ndarray


def binned(magnitude: np.ndarray, off: np.ndarray, edges: np.ndarray) -> Binned:
    """Normalized median absolute deviation with bootstrap errors, and the share of outliers."""
    rng, scatter, error, outliers = np.random.default_rng(0), [], [], []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        within = off[(magnitude >= low) & (magnitude < high)]
        if len(within) < FEWEST:
            within = np.full(1, np.nan)
        again = rng.choice(within, (100, len(within)))
        scatter.append(nmad(within))
        error.append(np.std([nmad(each) for each in again]))
        outliers.append(np.mean(np.abs(within) > OUTLIER))
    return Binned((edges[1:] + edges[:-1]) / 2, *map(np.array, (scatter, error, outliers)))


def nmad(off: np.ndarray) -> float:
    """Median absolute deviation from the median, scaled to a normal's standard deviation."""
    return float(median_abs_deviation(off, scale="normal"))


def read_results(place: Path) -> dict[str, pd.DataFrame]:
    """All test galaxies, and the detected ones with their redshifts."""
    import qp

    detected = pd.read_parquet(place / "output_measure_test.pq")
    for kind in ("measured", "true"):
        estimated = qp.read(str(place / f"output_estimate_{kind}.hdf5"))
        mode = np.ravel(estimated.ancil["zmode"])
        detected[f"z_{kind}"] = mode
        detected[f"off_{kind}"] = (mode - detected.redshift) / (1 + detected.redshift)
    return {"all": pd.read_parquet(place / "truth_test.pq"), "detected": detected}


def summary(found: dict[str, pd.DataFrame], edges: np.ndarray) -> dict[str, Any]:
    """Numbers of the figure."""
    detected, everything = found["detected"], found["all"]
    best, worst = detected.fwhm_i.quantile([1 / 3, 2 / 3])
    samples = {
        "true magnitudes": ("true", np.ones(len(detected), bool)),
        "measured, best third of seeing": ("measured", detected.fwhm_i.to_numpy() < best),
        "measured, worst third": ("measured", detected.fwhm_i.to_numpy() > worst),
    }
    i = detected.mag_i_lsst.to_numpy()
    return {
        "binned": {name: binned(i[rows], detected[f"off_{kind}"].to_numpy()[rows], edges)
                   for name, (kind, rows) in samples.items()},
        "detected": len(detected) / len(everything),
        "scatter": {kind: nmad(detected[f"off_{kind}"]) for kind in ("true", "measured")},
        "outliers": {kind: float(np.mean(np.abs(detected[f"off_{kind}"]) > OUTLIER))
                     for kind in ("true", "measured")},
        "mean_redshift": {"all": float(everything.redshift.mean()),
                          "detected": float(detected.redshift.mean()),
                          "estimated": float(detected.z_measured.mean())},
    }  # fmt: skip


def figure(found: dict[str, pd.DataFrame], numbers: dict[str, Any], label: str) -> Any:
    """Estimated against true redshift; scatter against magnitude; what was selected."""
    made, axes = new_figure(1, 3, label, "Photometric redshifts after an emulated survey (RAIL, "
                            "DC2 galaxies)", width=3.8, height=3.4)  # fmt: skip
    detected, (left, middle, right) = found["detected"], axes[0]
    left.hexbin(detected.redshift, detected.z_measured, gridsize=60, bins="log", cmap="Greys",
                extent=(0, 2, 0, 2), mincnt=1)  # fmt: skip
    left.plot([0, 2], [0, 2], lw=0.8, color=COLOURS["emulated"])
    left.set(xlabel="redshift", ylabel="estimated from measured r, i, z", xlim=(0, 2), ylim=(0, 2))
    colours = (COLOURS["real"], COLOURS["null"], COLOURS["emulated"])
    for (name, line), colour in zip(numbers["binned"].items(), colours, strict=True):
        middle.errorbar(line.centres, line.scatter, line.error, fmt="o-", ms=3, lw=1, capsize=2,
                        color=colour, label=name)  # fmt: skip
    middle.set(xlabel="true i magnitude", ylabel="scatter (NMAD) of Δz / (1 + z)", ylim=(0, None))
    middle.legend(fontsize=7, frameon=False, loc="upper left")
    bins = np.linspace(0, 2.5, 41)
    shown = {"all galaxies": (found["all"].redshift, colours[1]),
             "detected": (detected.redshift, colours[0]),
             "detected, estimated": (detected.z_measured, colours[2])}  # fmt: skip
    for name, (redshift, colour) in shown.items():
        right.hist(redshift, bins, histtype="step", color=colour, lw=1.2,
                   label=f"{name}: mean {np.mean(redshift):.3f}")  # fmt: skip
    right.set(xlabel="redshift", ylabel="galaxies", ylim=(0, 1.35 * right.get_ylim()[1]))
    right.legend(fontsize=7, frameon=False, loc="upper right")
    return made


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Make the inputs, save and run the pipeline, draw the figure; gives its numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("emulator", type=Path)
    parser.add_argument("--out", type=Path, default=Path("demo/photoz"))
    parser.add_argument("--rows", type=int, help="galaxies of each half (default all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-process", action="store_true", help="one process for all stages")
    options = parser.parse_args(arguments)
    place = options.out.resolve()
    place.mkdir(parents=True, exist_ok=True)
    for number, half in enumerate(DC2):
        table = truth(half, options.emulator, options.rows, options.seed + number)
        table.to_parquet(place / f"truth_{half}.pq")
    inputs = {f"truth_{half}": str(place / f"truth_{half}.pq") for half in DC2}
    written = PhotozPipeline(options.emulator, options.seed)
    where = {"output_dir": str(place), "log_dir": str(place), "resume": False}
    written.initialize(inputs, where, None)
    written.save(str(place / "pipeline.yml"))
    pipeline = Pipeline.read(str(place / "pipeline.yml"))
    if options.in_process:
        run_here(pipeline)
    elif pipeline.run():
        raise SystemExit(f"a stage failed: see the .out files in {place}")
    found = read_results(place)
    numbers = summary(found, np.arange(19.5, 24.1, 0.5))
    label = read_description(options.emulator)["label"]
    figure(found, numbers, label).savefig(place / "photoz.png", dpi=130)
    shown = {name: value for name, value in numbers.items() if name != "binned"}
    print(json.dumps(shown, indent=2))
    return numbers


if __name__ == "__main__":
    main()
