"""The command line of ``python -m balrog_keras maps``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from balrog_keras.map_files import MAP_FORMATS, require_free
from balrog_keras.output_place import require_apart
from balrog_keras.threads import draw_on_all_cores
from balrog_keras.truth_options import (
    add_truth_options,
    emulator_record,
    selection_cuts,
    truth_columns,
)
from data_prep.command_line import CommandParser, user_path
from data_prep.console import run_command
from data_prep.errors import BalrogError, require
from data_prep.locks import locked

if TYPE_CHECKING:
    from balrog_keras.maps import PaintedMaps

__all__ = ["main"]

_DESCRIPTION = """\
Paint a truth catalogue over the footprint of the survey property maps: maps of completeness, and
of the 10 sigma depth, mean bias and scatter of every magnitude, each with its Monte Carlo error.
Positions in the catalogue are ignored. docs/maps.md defines each map.

examples:
  python -m balrog_keras maps saved_models/mini-balrog --catalog truth.parquet --maps maps \\
      --nside 128 --out painted
  python -m balrog_keras maps saved_models/mini-balrog --catalog detection.parquet \\
      --preset des-y3-sof --maps maps --nside 64 --cut "meas_mag_i < 22.5" --out painted
"""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m balrog_keras maps", _DESCRIPTION)
    add_truth_options(parser)
    add = parser.add_argument
    add("--maps", type=user_path, required=True, help="directory of survey property maps")
    add("--out", type=user_path, required=True, help="directory for the painted maps")
    add("--nside", type=int, required=True, help="resolution of the painted maps, a power of 2")
    add("--draws", type=int, default=2_000, help="galaxies drawn in each pixel (default 2000); "
        "errors fall with its square root")  # fmt: skip
    add("--truth-rows", type=int, default=1_000_000, help="most galaxies to keep of the catalogue, "
        "a random subset (default 1,000,000)")  # fmt: skip
    add("--overwrite", action="store_true", help="replace older maps")
    add("--format", nargs="+", choices=list(MAP_FORMATS), default=["healsparse"],
        help="format of the maps, one or both (default healsparse)")  # fmt: skip
    return parser


def _maps(options: argparse.Namespace, arguments: list[str]) -> int:
    require_apart(options.out, [options.catalog, options.maps, options.emulator])
    require_free(options.out, options.overwrite)
    with locked(options.out, "give another --out"):
        return _painted(options, arguments)


def _painted(options: argparse.Namespace, arguments: list[str]) -> int:
    require("matplotlib", "report")
    from balrog_keras.conditions import open_maps
    from balrog_keras.emulator import Emulator
    from balrog_keras.map_files import write_maps
    from balrog_keras.maps import MapSettings, paint_maps
    from balrog_keras.truth_sample import TruthSample
    from data_prep.provenance import provenance

    settings = MapSettings(
        nside=options.nside, draws=options.draws, seed=options.seed, member=options.member
    )
    emulator = Emulator.load(options.emulator)
    cuts = selection_cuts(options, emulator.schema)
    maps = open_maps(options.maps, emulator.info)
    if maps is None:
        raise BalrogError(f"emulator {emulator.info['name']} has no survey property in a map")
    truth = TruthSample.read(
        emulator, options.catalog, truth_columns(options), options.truth_rows, options.seed,
        options.allow_pickle,
    )  # fmt: skip
    painted = paint_maps(emulator, truth, maps, settings, cuts)
    record = {
        "label": emulator.label,
        "emulator": emulator_record(options.emulator, emulator),
        "draws": settings.draws,
        "seed": settings.seed,
        "member": settings.member,
        "truth": {"galaxies": len(truth), "unusable": truth.unusable},
        "cuts": [cut.text for cut in cuts],
        "provenance": provenance(
            shlex.join(["python", "-m", "balrog_keras", "maps", *arguments]),
            [options.catalog, *maps.paths],
        ),
    }
    write_maps(options.out, painted, record, options.format, options.overwrite)
    print(_summary(painted, options.out))
    return 0


def _summary(painted: PaintedMaps, out: Path) -> str:
    import numpy as np

    lines = []
    for name, values in painted.values.items():
        error = painted.values.get(f"{name}_error")
        known = np.isfinite(values)
        if error is not None and known.any():
            low, median, high = np.quantile(values[known], [0.16, 0.5, 0.84])
            lines.append(
                f"  {name:24} median {median:8.4f}, 16-84 % of the sky {low:.4f} to {high:.4f}, "
                f"Monte Carlo error {np.median(error[known]):.4f}"
            )
    lines.append(f"{len(painted.pixels):,} pixels of nside {painted.nside} -> {out}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Paint maps; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    draw_on_all_cores()
    return run_command(lambda: _maps(options, arguments), options.quiet, verbose=options.verbose)
