"""An exported emulator on the held-out splits of a directory of shards."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.catalogue_counts import Injections, catalogue_counts
from balrog_keras.count_statistics import default_selections
from balrog_keras.detection_evaluation import DetectionRows, evaluate_detection
from balrog_keras.detection_statistics import DetectionSample
from balrog_keras.evaluation import Evaluation, evaluate
from balrog_keras.held_out import HeldOut
from balrog_keras.measured_cuts import MeasuredCut, preset_cuts, read_cuts
from balrog_keras.member_spread import member_spread
from balrog_keras.metrics_schema import check_metrics
from balrog_keras.output_place import require_other
from balrog_keras.report import metrics_document, only_writer, write_report
from balrog_keras.row_sample import RowSample, sample_split
from balrog_keras.science_statistics import evaluate_science
from balrog_keras.sky_statistics import density_statistics
from balrog_keras.true_redshift import RedshiftSource
from data_prep.errors import BalrogError, require
from data_prep.manifest import Manifest
from data_prep.preset import load_preset

__all__ = ["MOST_ROWS", "evaluate_bundle"]

logger = logging.getLogger(__name__)

# The ranks of 200 draws of so many rows are 600 MB for three columns; errors fall with the root.
MOST_ROWS = 250_000
_FEWEST_ROWS = 100

Selections = dict[str, list[MeasuredCut]]


def evaluate_bundle(
    bundle: Path,
    shards: Path,
    out: Path,
    *,
    draws: int = 200,
    seed: int = 0,
    max_rows: int | None = None,
    cuts: Sequence[str] = (),
    compare: Sequence[Path] | None = None,
    tensorboard: Path | None = None,
    redshift: RedshiftSource | None = None,
) -> dict[str, Any]:
    """Evaluate an exported emulator on the test split of a directory of shards.

    Parameters
    ----------
    bundle : pathlib.Path
        ``saved_models/NAME``.
    shards : pathlib.Path
        Written by ``python -m data_prep prepare``.
    out : pathlib.Path
        Where report.html and metrics.json go; older ones stay until both are finished.
    draws : int
        Draws per row for calibration and energy score.
    seed : int
        Seed of draws, folds, bootstrap and of the choice of rows.
    max_rows : int, optional
        Use at most this many test rows; :data:`MOST_ROWS` by default.
    cuts : sequence of str
        Selections, as ``"meas_mag_i < 22.5"``, instead of those chosen from the rows.
    compare : sequence of pathlib.Path, optional
        Other exported emulators; they and models of photometric errors are put side by side. None
        compares nothing, an empty sequence the photometric-error models alone.
    tensorboard : pathlib.Path, optional
        Write the metrics and figures for TensorBoard there too.
    redshift : RedshiftSource, optional
        Where the true redshifts of the injections are, for the mean redshift of what is selected.
        A truth column that is one needs none.

    Returns
    -------
    dict
        Content of metrics.json.

    Raises
    ------
    BalrogError
        Schemas that differ, missing or damaged files, fewer than 100 test rows, a malformed cut,
        another process that writes `out`; metrics that do not follow their JSON Schema, which are
        written to ``out/invalid``.
    MissingExtraError
        If what the extras ``cpu`` and ``report`` bring is not installed.
    """
    from balrog_keras.emulator import Emulator

    if max_rows is not None and max_rows < 1:
        raise BalrogError(f"expected --max-rows of at least 1, found {max_rows}")
    if out.exists() and not out.is_dir():
        raise BalrogError(f"--out must be a directory, found a file: {out}; give another")
    for option, place in (("--out", out), ("--tensorboard", tensorboard)):
        if place is not None:  # An emulator has a metrics.json too.
            require_other(place, [bundle, shards, *(compare or ())], option)
    for module in ("sklearn", "matplotlib", "jsonschema"):
        require(module, "report")
    start, most = time.monotonic(), max_rows or MOST_ROWS
    manifest, emulator = Manifest.load(shards), Emulator.load(bundle)
    emulator.schema.require_same(manifest.schema, f"shards {shards}, emulator {bundle}")
    others = _others(compare, manifest, str(emulator.info["name"]))
    test, held_out = _held_out(manifest, most, seed)
    selections = _selections(manifest, held_out.measured, cuts)
    settings: dict[str, Any] = {"draws": draws, "seed": seed, "max_rows": max_rows}
    settings["cuts"] = list(cuts)
    if redshift is not None:
        held_out = replace(held_out, redshift=redshift.read(test.rows))
        settings["redshift"] = " ".join(map(str, astuple(redshift)))
    provenance = _provenance(bundle, manifest, emulator.info, settings)
    with only_writer(out):
        evaluation = evaluate(
            emulator, held_out, draws=draws, seed=seed, label=_label(emulator, manifest)
        )
        evaluation = replace(
            evaluation,
            rows={**evaluation.rows, "in_shards": test.total},
            members=member_spread(emulator, held_out, seed) if emulator.members > 1 else None,
            science=evaluate_science(
                evaluation, emulator.location_scale(evaluation.held_out.condition), selections,
                seed=seed,
            ),
        )  # fmt: skip
        evaluation = _with_detection(evaluation, emulator, manifest, test, selections, (most, seed))
        if others is not None:
            from balrog_keras.peer_comparison import compare_peers

            peers = compare_peers({emulator.info["name"]: emulator, **others}, manifest,
                                  evaluation.held_out, seed)  # fmt: skip
            evaluation = replace(evaluation, peers=peers)
        document = _write(evaluation, provenance, out, tensorboard)
    logger.info("%s in %.0f s", out / "report.html", time.monotonic() - start)
    return document


def _write(
    evaluation: Evaluation, provenance: dict[str, Any], out: Path, tensorboard: Path | None
) -> dict[str, Any]:
    """Report, metrics and TensorBoard's events; gives the content of metrics.json."""
    document = metrics_document(evaluation, provenance)
    fault = None
    try:
        check_metrics(document)
    except RuntimeError as error:
        # Hours of work are not thrown away for it, but an older metrics.json that is right stays.
        fault, out = error, out / "invalid"
    write_report(evaluation, provenance, out)
    if tensorboard is not None:
        from balrog_keras.evaluation_events import write_events

        write_events(evaluation, document, tensorboard)
    _log_verdict(evaluation)
    if fault is not None:
        raise BalrogError(
            f"metrics.json must follow its JSON Schema, found {fault}: a fault of this package, "
            f"please report it. What was measured is in {out}"
        ) from fault
    return document


def _others(
    compare: Sequence[Path] | None, manifest: Manifest, first: str
) -> dict[str, Any] | None:
    """Other emulators by name (by path if the name is taken), checked before hours of work."""
    from balrog_keras.emulator import Emulator

    if compare is None:
        return None
    others: dict[str, Any] = {}
    for path in compare:
        other = Emulator.load(path)
        other.schema.require_same(manifest.schema, f"shards {manifest.directory}, emulator {path}")
        name = str(other.info["name"])
        others[str(path) if name in (first, *others) else name] = other
    return others


def _held_out(manifest: Manifest, most: int, seed: int) -> tuple[RowSample, HeldOut]:
    """At most so many test rows, and their redraws."""
    test = sample_split(manifest.directory, "test", most, seed)
    if len(test.rows["row_id"]) < _FEWEST_ROWS:
        raise BalrogError(
            f"{manifest.directory} must have at least {_FEWEST_ROWS} test rows for statistics to "
            f"mean anything, found {len(test.rows['row_id'])}: prepare a larger catalogue or a "
            "larger --test-fraction, or leave out --max-rows"
        )
    oracle = None
    if "oracle" in manifest.splits:
        redrawn = sample_split(manifest.directory, "oracle", None, seed, test.limit)
        # Of a few chosen rows none may have been detected again.
        if len(redrawn.rows["row_id"]) or not redrawn.total:
            oracle = redrawn.rows
    if not test.whole:
        logger.info("%s of %s test rows, chosen at random", f"{len(test.rows['row_id']):,}",
                    f"{test.total:,}")  # fmt: skip
    return test, HeldOut.of(test.rows, oracle)


def _label(emulator: Any, manifest: Manifest) -> str:
    if emulator.label == manifest.label:
        return manifest.label
    return f"{manifest.label}; emulator trained on {emulator.label}"


def _selections(manifest: Manifest, measured: np.ndarray, cuts: Sequence[str]) -> Selections:
    """Those given, or chosen from the rows, and the preset's own."""
    schema = manifest.schema
    if cuts:
        selections = {cut.text: [cut] for cut in read_cuts(cuts, schema)}
    else:
        selections = default_selections(schema, measured)
    try:
        preset = load_preset(str(manifest.content["preset"]))
    except BalrogError as error:
        logger.info("no cuts of a preset: %s", error)
        return selections
    own, _ = preset_cuts(preset, schema)
    return selections | ({f"cuts of {preset.schema.name}": own} if own else {})


def _with_detection(
    evaluation: Evaluation,
    emulator: Any,
    manifest: Manifest,
    test: RowSample,
    selections: Selections,
    choice: tuple[int, int],
) -> Evaluation:
    """With the detection model judged too, if it and the rows are there."""
    if not emulator.has_detection or evaluation.science is None:
        return evaluation
    if not manifest.splits.get("detection-test", {"rows": 0})["rows"]:
        logger.warning("detection is not evaluated: the shards have no detection-test rows")
        return evaluation
    most, seed = choice
    chosen = sample_split(manifest.directory, "detection-test", most, seed)
    try:
        rows = DetectionRows.of(chosen.rows)
    except BalrogError as error:  # what took minutes must not be lost for it
        logger.warning("detection is not evaluated: %s", error)
        return evaluation
    probability = emulator.p_detect(rows.condition)
    detection = evaluate_detection(emulator.schema, rows, probability, seed=seed)
    sample = DetectionSample(
        np.asarray(probability, np.float64), rows.detected, rows.weight,
        detection.bootstrap, seed=seed,
    )  # fmt: skip
    more: dict[str, Any] = {"density": density_statistics(emulator.schema, rows.condition, sample)}
    # Rows below the smaller limit were chosen in both splits.
    limit = min(chosen.limit, test.limit)
    injections = Injections.of(chosen.below(limit), test.below(limit))
    if injections is not None:
        more["catalogue"] = catalogue_counts(emulator, injections, selections, seed=seed)
    detection.rows["in_shards"] = chosen.total
    science = replace(evaluation.science, statistics={**evaluation.science.statistics, **more})
    return replace(evaluation, detection=detection, science=science)


def _log_verdict(evaluation: Evaluation) -> None:
    for bar in evaluation.all_bars:
        verdict = "pass" if bar["passed"] else "FAIL"
        logger.info("%s: %.4f, bar %.4f: %s", bar["title"], bar["value"], bar["limit"], verdict)


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
