"""Train and score specs, each in a process of its own, and keep what is done.

A directory holds ``models/KEY`` (the trained system, its spec and training.json) and
``results/KEY.json`` (training record and scores). What is there is not made again, so that an
interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fidelity_parts import data, systems
from fidelity_parts.spec import Spec, pin

from data_prep.errors import BalrogError
from data_prep.files import write_json
from data_prep.manifest import Manifest

__all__ = ["SCREEN", "Runner", "Scoring", "score_here", "train_here", "validate_here"]

logger = logging.getLogger(__name__)

_SCRIPT = Path(__file__).parents[1] / "fidelity.py"


@dataclass(frozen=True)
class Scoring:
    """How thoroughly systems are scored; see :func:`fidelity_parts.scores.score`.

    Parameters
    ----------
    draws, calibration_rows : int
        Of the calibration.
    classifier_draws : int
        Draws that the classifiers judge.
    max_rows : int, optional
        Test rows; all by default.
    """

    draws: int = 200
    calibration_rows: int = 20_000
    classifier_draws: int = 4
    max_rows: int | None = None


SCREEN = Scoring(draws=100, calibration_rows=10_000, classifier_draws=1, max_rows=60_000)


class Runner:
    """Trains and scores specs on the benchmark's data.

    Parameters
    ----------
    directory : path
        Of models, results and caches.
    shards : path
        Training and test data.
    screen : bool
        Score with `SCREEN`; the results are kept apart.
    """

    def __init__(self, directory: Path, shards: Path, screen: bool = False) -> None:
        self.directory, self.shards, self.screen = directory, shards, screen
        self.results = directory / ("results-screen" if screen else "results")
        self.scoring = SCREEN if screen else Scoring()

    def trained(self, spec: Spec) -> dict[str, Any]:
        """Record of the training of a spec, which is run if it was not yet."""
        directory = self.model(spec)
        record = directory / "training.json"
        if not record.is_file():
            plan = spec
            if spec.system == "ours" and "steps" not in spec.settings:
                from fidelity_parts.ours import planned

                plan = planned(spec, self.trained, self.directory / "pilots")
            logger.info("train %s", spec.key)
            plan.save(directory / "spec.json")
            self._run("train-one", directory)
        return json.loads(record.read_text())

    def scored(self, spec: Spec) -> dict[str, Any]:
        """Training record and scores of a spec."""
        self.trained(spec)
        path = self.results / f"{spec.key}.json"
        if not path.is_file() or not self._as_now(json.loads(path.read_text())):
            logger.info("score %s", spec.key)
            options = [self.model(spec), "--out", path, *(["--screen"] if self.screen else [])]
            self._run("score-one", *options)
        return json.loads(path.read_text())

    def validation_auc(self, spec: Spec, validation: Path) -> float:
        """AUC of the boosted trees on the validation rows of the shards `validation`."""
        path = self.results / f"{spec.key}-validation.json"
        self.trained(spec)
        if not path.is_file():
            self._run("validate-one", self.model(spec), "--out", path, shards=validation)
        return json.loads(path.read_text())["auc"]

    def speed(self, models: dict[str, Path], cores: int, compiled: bool) -> None:
        """Measure the draws per second of models, together, and keep them by label."""
        listing, fresh = self.directory / "speed-models.json", self.directory / "speed-new.json"
        write_json(listing, {label: str(path) for label, path in models.items()})
        options = ["--out", fresh, "--cores", cores, *(["--compile"] if compiled else [])]
        self._run("speed-one", listing, *options)
        write_json(self.speed_file, self.speeds() | json.loads(fresh.read_text()))

    def speeds(self) -> dict[str, Any]:
        """Draws per second measured so far."""
        return json.loads(self.speed_file.read_text()) if self.speed_file.is_file() else {}

    @property
    def speed_file(self) -> Path:
        """Where they are kept."""
        return self.directory / "speed.json"

    def kept(self) -> list[dict[str, Any]]:
        """Every result there is, oldest first, but those that were scored in another way."""
        paths = sorted(self.results.glob("*.json"), key=lambda path: path.stat().st_mtime)
        results = [json.loads(path.read_text()) for path in paths]
        results = [result for result in results if "statistics" in result]
        same = [result for result in results if self._as_now(result)]
        if len(same) < len(results):
            number = len(results) - len(same)
            logger.warning("%d results of an earlier scoring are left out: run them again", number)
        return same

    def _as_now(self, result: dict[str, Any]) -> bool:
        return result.get("scoring") == asdict(self.scoring)

    def model(self, spec: Spec) -> Path:
        """Where a trained spec is kept."""
        return self.directory / "models" / spec.key

    def _run(self, command: str, *options: object, shards: Path | None = None) -> None:
        words = [sys.executable, _SCRIPT, "--directory", self.directory,
                 "--data", shards or self.shards, command, *options]  # fmt: skip
        if subprocess.run(list(map(str, words))).returncode:
            raise BalrogError(f"{' '.join(map(str, words))} failed; its message is above")


def train_here(directory: Path, shards: Path, root: Path) -> None:
    """Train the spec of a model's directory in this process; training.json is written last."""
    spec = Spec.load(directory / "spec.json")
    pin(spec.cores)
    if spec.rows is not None:
        shards = data.shards_with_rows(shards, spec.rows, root / "shards-rows" / str(spec.rows))
    record = systems.train(spec, shards, directory)
    write_json(directory / "training.json", record)


def score_here(
    directory: Path, shards: Path, cache: Path, out: Path, scoring: Scoring
) -> dict[str, Any]:
    """Score the trained spec of a directory in this process, and write the result."""
    from fidelity_parts.reference import Reference
    from fidelity_parts.scores import score

    spec = Spec.load(directory / "spec.json")
    # First: a missing reference is fitted with TensorFlow, and PyTorch crashes if it comes second.
    emulator = systems.load(spec.system, directory)
    reference = Reference.of(shards, cache, max_rows=scoring.max_rows)
    statistics, energy = score(
        emulator,
        reference,
        draws=scoring.draws,
        calibration_rows=scoring.calibration_rows,
        classifier_draws=scoring.classifier_draws,
    )
    result = {
        "group": directory.name.rsplit("-seed", 1)[0],
        "spec": asdict(spec),
        "data": data.checksum(Manifest.load(shards)),
        "scoring": asdict(scoring),
        "training": json.loads((directory / "training.json").read_text()),
        "statistics": statistics,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    np.save(out.with_suffix(".npy"), energy)
    write_json(out, result)
    return result


def validate_here(directory: Path, shards: Path, cache: Path, out: Path) -> None:
    """Boosted-tree AUC of a trained spec on validation rows, in this process."""
    from fidelity_parts.reference import Reference

    from balrog_keras.two_sample import auc, out_of_fold_scores

    spec = Spec.load(directory / "spec.json")
    emulator = systems.load(spec.system, directory)
    reference = Reference.of(shards, cache, "validation")
    held_out = reference.held_out
    emulated = emulator.draw(held_out.condition, held_out.row_id, 0)
    both = reference.features(held_out.measured), reference.features(emulated)
    write_json(out, {"auc": float(auc(*out_of_fold_scores(*both, "boosted trees"))[0])})
