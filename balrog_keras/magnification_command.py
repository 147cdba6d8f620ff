"""The command line of ``python -m balrog_keras magnification``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from balrog_keras.measured_cuts import MeasuredCut, read_cuts
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
from data_prep.files import atomic_path, write_json
from data_prep.inspection.sky_plot import PLOT_SUFFIXES
from data_prep.locks import locked
from data_prep.schema import Schema

__all__ = ["main"]

_FORMAT_VERSION = 1
_CONVENTION = (
    "mu = 1 + 2 kappa; c_sample = d ln N / d kappa of a fixed set of galaxies (fluxes, and sizes "
    "where they are a condition); alpha = c_sample / 2; c_area = -2 (dilution); c_total = "
    "c_sample + c_area = 2 alpha - 2; errors are standard deviations"
)
_DESCRIPTION = """\
Response of the number of selected galaxies to magnification: the truth catalogue is drawn at
convergences -dk and +dk with the same noise. Prints C_sample = d ln N / d kappa = 2 alpha, and
C_total = C_sample - 2 with the dilution of the area. docs/maps.md has the convention.

examples:
  python -m balrog_keras magnification saved_models/mini-balrog --catalog truth.parquet \\
      --maps maps --cut "meas_mag_i < 22.5" --out response.json
  python -m balrog_keras magnification saved_models/mini-balrog --catalog detection.parquet \\
      --preset des-y3-sof --maps maps --limits meas_mag_i 21 21.5 22 22.5 23 \\
      --out response.json --plot response.png
"""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m balrog_keras magnification", _DESCRIPTION)
    add_truth_options(parser)
    add = parser.add_argument
    add("--maps", type=user_path, help="directory of survey property maps")
    add("--ra", help="column of right ascension, degrees (default ra)")
    add("--dec", help="column of declination, degrees (default dec)")
    add("--row-id", help="column of whole numbers; the row number if not given")
    add("--limits", nargs="+", default=[], metavar="X", help="a measured column and values: one "
        "sample for each value, with the column below it")  # fmt: skip
    add("--delta-kappa", type=float, default=0.02,
        help="half the difference of convergence (default 0.02)")  # fmt: skip
    add("--out", type=user_path, required=True, help="the responses, .json")
    add("--plot", type=user_path, help="figure of the responses at --limits, .png, .pdf or .svg")
    return parser


def _limits(given: Sequence[str], plot: Path | None) -> tuple[str, list[float]]:
    """Column and ascending values of ``--limits``."""
    column, *texts = given or [""]
    try:
        values = sorted({float(text) for text in texts})
    except ValueError:
        values = []
    if given and not values:
        raise BalrogError(
            f"--limits takes a measured column and numbers, as meas_mag_i 21 22; found "
            f"{' '.join(given)}"
        )
    if plot is not None and (len(values) < 2 or plot.suffix not in PLOT_SUFFIXES):
        raise BalrogError(
            f"--plot needs at least two --limits and a file name ending in "
            f"{', '.join(PLOT_SUFFIXES)}; found {len(values)} and {plot}"
        )
    return column, values


def _require_free(options: argparse.Namespace) -> None:
    """Refuse to replace what is read, or a file that is no table of responses."""
    read = [options.catalog, options.maps, options.emulator]
    require_apart(options.out, read)
    if options.plot is not None:
        require_apart(options.plot, [*read, options.out], "--plot")
    if options.out.exists() and not _is_record(options.out):
        raise BalrogError(
            f"--out must be new or an earlier table of responses; {options.out} is something else, "
            "which is not replaced: give another --out"
        )


def _is_record(path: Path) -> bool:
    """Whether a file is what this command writes."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        if file.read(1) != b"{":
            return False
    try:
        return {"convention", "responses"} <= set(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return False


def _samples(
    column: str, limits: Sequence[float], cuts: list[MeasuredCut], schema: Schema
) -> list[Any]:
    from balrog_keras.magnification import Sample

    if not limits:
        return [Sample(" & ".join(["detected", *(cut.text for cut in cuts)]), tuple(cuts))]
    texts = [f"{column} < {limit:g}" for limit in limits]
    return [
        Sample(text, (*cuts, cut))
        for text, cut in zip(texts, read_cuts(texts, schema), strict=True)
    ]


def _magnification(options: argparse.Namespace, arguments: list[str]) -> int:
    column, limits = _limits(options.limits, options.plot)
    _require_free(options)
    if options.plot is not None:
        require("matplotlib", "report")
    from balrog_keras.emulator import Emulator
    from balrog_keras.lensing import magnified_columns
    from balrog_keras.magnification import magnification_responses
    from data_prep.provenance import provenance

    emulator = Emulator.load(options.emulator)
    cuts = selection_cuts(options, emulator.schema)
    changed, kept = magnified_columns(emulator.schema)
    responses = magnification_responses(
        emulator, options.catalog, _samples(column, limits, cuts, emulator.schema),
        columns=truth_columns(options),
        maps=options.maps, delta_kappa=options.delta_kappa, seed=options.seed,
        member=options.member, allow_pickle=options.allow_pickle,
    )  # fmt: skip
    command = shlex.join(["python", "-m", "balrog_keras", "magnification", *arguments])
    record = {
        "format_version": _FORMAT_VERSION,
        "label": emulator.label,
        "emulator": emulator_record(options.emulator, emulator),
        "convention": _CONVENTION,
        "magnified": changed,
        "not_magnified": kept,
        "delta_kappa": options.delta_kappa,
        "seed": options.seed,
        "member": options.member,
        "cuts": [cut.text for cut in cuts],
        "responses": [response.to_dict() for response in responses],
        "provenance": provenance(command, [options.catalog]),
    }
    with ExitStack() as stack:
        if options.plot is not None:
            from balrog_keras.magnification_figures import response_figure

            stack.enter_context(locked(options.plot, "give another --plot"))
            partial = stack.enter_context(atomic_path(options.plot))
            response_figure(column, limits, responses, emulator.label).savefig(partial, dpi=130)
        stack.enter_context(locked(options.out, "give another --out"))
        write_json(options.out, record)
    print(f"magnified: {', '.join(changed)}; not: {', '.join(kept) or 'none'}")
    print(f"errors: bootstrap over {responses[0].bootstrap}")
    for response in responses:
        print(
            f"  {response.label:24} N {response.selected:12,.1f}   "
            f"C_sample {response.c_sample:7.3f} ± {response.c_sample_error:.3f}   "
            f"alpha {response.alpha:6.3f}   C_total {response.c_total:7.3f}"
        )
    print(f"-> {options.out} ({emulator.label})")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Measure responses; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    draw_on_all_cores()
    return run_command(
        lambda: _magnification(options, arguments), options.quiet, verbose=options.verbose
    )
