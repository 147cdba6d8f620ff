"""The command line of evaluate.py: an exported emulator and held-out shards -> report."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.command_line import CommandParser, add_verbosity
from data_prep.console import run_command

__all__ = ["evaluate_bundle", "main"]

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Compare an exported emulator with the test split of a directory of shards; writes report.html and
metrics.json. If the shards hold an oracle (prepare --replicate), it is the null of every
two-sample statistic. An emulator with a detection model is also judged on the detection-test
split, and the members of an ensemble are compared. The exit code is 0 whether or not the bars are
met; they are in the report.

examples:
  python evaluate.py saved_models/first --data shards --out evaluation
"""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("evaluate.py", _DESCRIPTION)
    add = parser.add_argument
    add("emulator", type=Path, help="saved_models/NAME")
    add("--data", type=Path, required=True, help="shards made by python -m data_prep prepare")
    add("--out", type=Path, required=True, help="directory of report.html and metrics.json")
    add("--draws", type=int, default=200, help="draws per row for calibration (default 200)")
    add("--seed", type=int, default=0, help="seed of draws, folds and bootstrap (default 0)")
    add("--max-rows", type=int, help="use at most this many test rows, chosen at random")
    add("--record", action="store_true",
        help="also write the verdict into the emulator's metrics.json and model card")  # fmt: skip
    add_verbosity(parser)
    return parser


def evaluate_bundle(
    bundle: Path,
    shards: Path,
    out: Path,
    *,
    draws: int = 200,
    seed: int = 0,
    max_rows: int | None = None,
) -> dict[str, Any]:
    """Evaluate an exported emulator on the test split of a directory of shards.

    Parameters
    ----------
    bundle : pathlib.Path
        ``saved_models/NAME``.
    shards : pathlib.Path
        Written by ``python -m data_prep prepare``.
    out : pathlib.Path
        Where report.html and metrics.json go.
    draws : int
        Draws per row for calibration and energy score.
    seed : int
        Seed of draws, folds and bootstrap.
    max_rows : int, optional
        Use at most this many test rows.

    Returns
    -------
    dict
        Content of metrics.json.

    Raises
    ------
    BalrogError
        Schemas that differ, missing or damaged files, no test rows.
    """
    from balrog_keras.emulator import Emulator
    from balrog_keras.evaluation import evaluate
    from balrog_keras.held_out import HeldOut
    from balrog_keras.member_spread import member_spread
    from balrog_keras.report import metrics_document, write_report
    from data_prep.errors import BalrogError
    from data_prep.manifest import Manifest
    from data_prep.shards import read_split

    if max_rows is not None and max_rows < 1:
        raise BalrogError(f"expected --max-rows of at least 1, found {max_rows}")
    start = time.monotonic()
    manifest, emulator = Manifest.load(shards), Emulator.load(bundle)
    emulator.schema.require_same(manifest.schema, f"shards {shards}, emulator {bundle}")
    oracle = read_split(shards, "oracle") if "oracle" in manifest.splits else None
    held_out = HeldOut.of(read_split(shards, "test"), oracle, max_rows, seed)
    label = manifest.label
    if emulator.label != label:
        label = f"{label}; emulator trained on {emulator.label}"
    evaluation = replace(
        evaluate(emulator, held_out, draws=draws, seed=seed, label=label),
        detection=_detection(emulator, manifest, max_rows, seed),
        members=member_spread(emulator, held_out, seed) if emulator.members > 1 else None,
    )
    settings = {"draws": draws, "seed": seed, "max_rows": max_rows}
    provenance = _provenance(bundle, manifest, emulator.info, settings)
    page = write_report(evaluation, provenance, out)
    for bar in evaluation.all_bars:
        verdict = "pass" if bar["passed"] else "FAIL"
        logger.info("%s: %.4f, bar %.4f: %s", bar["title"], bar["value"], bar["limit"], verdict)
    logger.info("%s in %.0f s", page, time.monotonic() - start)
    return metrics_document(evaluation, provenance)


def _detection(emulator: Any, manifest: Any, max_rows: int | None, seed: int) -> Any:
    """Evaluation of the emulator's detection model, None if it or the rows are missing."""
    from balrog_keras.detection_evaluation import DetectionRows, evaluate_detection
    from data_prep.shards import read_split

    if not emulator.has_detection:
        return None
    if not manifest.splits.get("detection-test", {"rows": 0})["rows"]:
        logger.warning("detection is not evaluated: the shards have no detection-test rows")
        return None
    rows = DetectionRows.of(read_split(manifest.directory, "detection-test"), max_rows, seed)
    return evaluate_detection(emulator.schema, rows, emulator.p_detect(rows.condition), seed=seed)


def _provenance(
    bundle: Path, manifest: Any, info: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """What was evaluated with what: checksums, fingerprints, settings, versions, time."""
    from data_prep.files import sha256_of
    from data_prep.manifest import MANIFEST_NAME
    from data_prep.provenance import provenance

    made = provenance("evaluate.py", [])
    kept = ("name", "label", "created", "fingerprint", "versions")
    return {
        "created": made["created"],
        "emulator": {
            **{key: info[key] for key in kept if key in info},
            "emulator_json_sha256": sha256_of(bundle / "emulator.json"),
        },
        "shards": {
            "name": manifest.directory.name,
            "label": manifest.label,
            "fingerprint": manifest.schema.fingerprint,
            "manifest_sha256": sha256_of(manifest.directory / MANIFEST_NAME),
            "rows": {name: split["rows"] for name, split in manifest.splits.items()},
        },
        "settings": settings,
        "versions": made["versions"],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run evaluate.py; gives the exit code (0 done, 1 bad input, 2 usage, 130 Ctrl-C)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)

    def command() -> int:
        document = evaluate_bundle(
            options.emulator,
            options.data,
            options.out,
            draws=options.draws,
            seed=options.seed,
            max_rows=options.max_rows,
        )
        if options.record:
            from balrog_keras.model_card import record_evaluation

            record_evaluation(options.emulator, document)
        print(options.out / "report.html")
        return 0

    return run_command(command, options.quiet, verbose=options.verbose)
