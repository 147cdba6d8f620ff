"""The command line of evaluate.py: an exported emulator and held-out shards -> report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from balrog_keras.threads import draw_on_all_cores
from balrog_keras.true_redshift import REDSHIFT_KEYS, RedshiftSource
from data_prep.command_line import CommandParser, add_verbosity, user_path
from data_prep.console import run_command

__all__ = ["evaluate_bundle", "main"]

_DESCRIPTION = """\
Compare an exported emulator with the test split of a directory of shards; writes report.html and
metrics.json. If the shards hold an oracle (prepare --replicate), it is the null of every
two-sample statistic. An emulator with a detection model is also judged on the detection-test
split, and the members of an ensemble are compared. The exit code is 0 whether or not the bars are
met; they are in the report.

With --compare, several emulators, Gaussian photometric errors, the LSST error model at the depth of
the training rows and errors of the nearest training galaxies are put side by side.

examples:
  python evaluate.py saved_models/first --data shards --out evaluation
  python evaluate.py saved_models/first --data shards --out evaluation --cut 'meas_mag_i < 22.5'
  python evaluate.py saved_models/first --data shards --out evaluation \\
      --redshift injected.fits Z_TRUE bal_id
  python evaluate.py --compare saved_models/first saved_models/second --data shards --out both
"""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("evaluate.py", _DESCRIPTION)
    add = parser.add_argument
    add(
        "emulator",
        type=user_path,
        nargs="?",
        help="saved_models/NAME; left out, the first of --compare",
    )
    add("--data", type=user_path, required=True, help="shards made by python -m data_prep prepare")
    add("--out", type=user_path, required=True, help="directory of report.html and metrics.json")
    add("--draws", type=int, default=200, help="draws per row for calibration (default 200)")
    add("--seed", type=int, default=0, help="seed of draws, folds and bootstrap (default 0)")
    add("--max-rows", type=int, help="use at most this many test rows, chosen at random (default "
        "250,000); memory grows with them, not with the shards")  # fmt: skip
    add("--cut", action="append", default=[], metavar="EXPRESSION", dest="cuts",
        help="count what passes, as 'meas_mag_i < 22.5' (default: magnitude and colour limits at "
        "quantiles of the test rows); can be given more than once")  # fmt: skip
    add("--compare", type=user_path, nargs="*", metavar="EMULATOR",
        help="put other emulators and models of photometric errors beside it")  # fmt: skip
    add("--redshift", nargs=3, metavar=("CATALOG", "COLUMN", "ID"),
        help="true redshifts in a catalogue, by the ids of the injections: what is selected must "
        "have the right mean redshift (a truth column that is one needs no option)")  # fmt: skip
    add("--redshift-key", choices=list(REDSHIFT_KEYS), default="injection",
        help="whose ids those are (default injection)")  # fmt: skip
    add("--tensorboard", type=user_path, metavar="DIRECTORY",
        help="write the metrics and figures for TensorBoard too")  # fmt: skip
    add("--record", action="store_true",
        help="also write the verdict into the emulator's metrics.json and model card")  # fmt: skip
    add_verbosity(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run evaluate.py; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    parser = _parser()
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    draw_on_all_cores()
    emulators = [path for path in (options.emulator, *(options.compare or ())) if path]
    if not emulators:
        parser.error("an emulator is needed: saved_models/NAME, or --compare with at least one")

    def command() -> int:
        redshift = None
        if options.redshift:
            catalog, column, identity = options.redshift
            redshift = RedshiftSource(Path(catalog), column, identity, options.redshift_key)
        document = evaluate_bundle(
            emulators[0],
            options.data,
            options.out,
            draws=options.draws,
            seed=options.seed,
            max_rows=options.max_rows,
            cuts=options.cuts,
            compare=None if options.compare is None else emulators[1:],
            tensorboard=options.tensorboard,
            redshift=redshift,
        )
        if options.record:
            from balrog_keras.model_card import record_evaluation

            record_evaluation(emulators[0], document)
        print(options.out / "report.html")
        return 0

    return run_command(command, options.quiet, verbose=options.verbose)


def evaluate_bundle(*paths: Path, **options: Any) -> dict[str, Any]:
    """The same as :func:`balrog_keras.bundle_evaluation.evaluate_bundle`, imported when called."""
    from balrog_keras.bundle_evaluation import evaluate_bundle as evaluated

    return evaluated(*paths, **options)
