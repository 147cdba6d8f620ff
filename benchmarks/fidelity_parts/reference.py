"""What every system is scored with: one conditional location and scale, one oracle.

The location and scale of the residuals (features of the classifiers, unit of the energy score)
come from one standardizer, fitted once, whichever system is scored. The oracle's classifier test
and distances do not depend on the system either. All are kept beside the results.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from fidelity_parts.data import checksum
from fidelity_parts.distances import TwoSample

from balrog_keras.bootstrap import RegionBootstrap
from balrog_keras.classifier_features import features
from balrog_keras.comparison import statistic
from balrog_keras.held_out import HeldOut
from balrog_keras.two_sample import auc_table
from data_prep.errors import BalrogError
from data_prep.files import atomic_path, write_json
from data_prep.manifest import Manifest
from data_prep.schema import Schema
from data_prep.shards import read_split

__all__ = ["REPLICATES", "Reference", "classifier_test", "fitted_standardizer"]

logger = logging.getLogger(__name__)

REPLICATES = 200
SWAPS = 100


@dataclass(frozen=True)
class Reference:
    """Held-out rows of one split with their reference location and scale.

    Parameters
    ----------
    schema : Schema
        Of the shards.
    held_out : HeldOut
        The N rows.
    location, scale : float32 arrays, shape (N, M)
        Of the transformed measured columns.
    oracle : dict or None
        What can be measured of the oracle: ``c2st`` (``classifiers``, ``larger``) and
        ``two_sample`` (distance -> ``value`` and ``null``); None for a split that has no oracle.
    """

    schema: Schema
    held_out: HeldOut
    location: np.ndarray
    scale: np.ndarray
    oracle: dict[str, Any] | None

    @classmethod
    def of(
        cls, shards: Path, cache: Path, split: str = "test", max_rows: int | None = None
    ) -> Reference:
        """Read a split; fit and test what is not in the directory `cache` yet."""
        manifest = Manifest.load(shards)
        tests = split == "test" and "oracle" in manifest.splits
        oracle = read_split(shards, "oracle") if tests else None
        held_out = HeldOut.of(read_split(shards, split), oracle, max_rows)
        name = f"{checksum(manifest)[:12]}-{split}-{len(held_out)}"
        location, scale = _location_scale(manifest, held_out.condition, cache / f"{name}.npz")
        reference = cls(manifest.schema, held_out, location, scale, None)
        return reference if oracle is None else reference._with_oracle(cache / name)

    def _with_oracle(self, prefix: Path) -> Reference:
        held_out, at = self.held_out, self.held_out.paired
        if held_out.oracle is None:
            raise BalrogError("expected oracle rows of these test rows, found none: prepare anew")
        path = prefix.with_name(f"{prefix.name}-oracle.json")
        if not path.is_file():
            logger.info("classifier test of the oracle, %s rows", f"{len(at):,}")
            real, other = (
                features(self.schema, held_out.condition[at], values, self.location[at],
                         self.scale[at])
                for values in (held_out.measured[at], held_out.oracle)
            )  # fmt: skip
            write_json(path, classifier_test(real, [other], held_out.region[at]))
        classifiers = json.loads(path.read_text())
        path = prefix.with_name(f"{prefix.name}-null.json")
        if not path.is_file():
            logger.info("null of the two-sample distances, %d simulations", SWAPS)
            two_sample = TwoSample(self.schema, held_out.condition[at])
            pair = held_out.measured[at], held_out.oracle
            null = two_sample.null(*pair, SWAPS)
            distances = two_sample.distances(*pair).items()
            write_json(path, {name: {"value": v, "null": null[name]} for name, v in distances})
        larger = max(classifiers.values(), key=lambda entry: entry["value"])
        oracle = {
            "two_sample": json.loads(path.read_text()),
            "c2st": {"classifiers": classifiers, "larger": larger, "oracle": larger},
        }
        return replace(self, oracle=oracle)

    def features(self, measured: np.ndarray) -> np.ndarray:
        """What the classifiers see of measured columns, shape (N, M), of these rows."""
        condition = self.held_out.condition
        return features(self.schema, condition, measured, self.location, self.scale)


def _location_scale(
    manifest: Manifest, condition: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():
        values = fitted_standardizer(manifest).location_scale(condition)
        location, scale = (np.asarray(value, np.float32) for value in values)
        with atomic_path(path) as partial:
            np.savez(partial, location=location, scale=scale)
    with np.load(path) as kept:
        return kept["location"], kept["scale"]


def fitted_standardizer(manifest: Manifest, seed: int = 0) -> Any:
    """A standardizer fitted to the shards as train.py does it."""
    from balrog_keras.config import Settings
    from balrog_keras.standardizer import Standardizer
    from balrog_keras.standardizer_fit import fit_standardizer

    logger.info("fitting location and scale")
    standardizer = Standardizer.for_schema(manifest.schema, seed=seed)
    train, validation = (read_split(manifest.directory, name) for name in ("train", "validation"))
    fit_standardizer(standardizer, train, validation, Settings(seed=seed))
    return standardizer


def classifier_test(
    real: np.ndarray, others: Sequence[np.ndarray], region: np.ndarray
) -> dict[str, Any]:
    """AUC of each classifier with its interval over regions, the mean over some samples.

    Parameters
    ----------
    real : float array, shape (N, F)
        Features of the real rows.
    others : sequence of float arrays, shape (N, F)
        Those of samples of the same conditions. The luck of one sample of 100,000 rows moves the
        AUC by 0.002 however good it is, and every classifier is trained anew on each.
    region : int array, shape (N,)
        Of each row.

    Returns
    -------
    dict
        Of each classifier ``value`` and ``interval`` of the mean, and ``samples``, the AUC of each.
    """
    bootstrap = RegionBootstrap(region, REPLICATES)
    tables = [auc_table(real, other, bootstrap) for other in others]
    result = {}
    for name in tables[0]:
        aucs = [float(table[name]["value"]) for table in tables]
        replicates = np.mean([table[name]["replicates"] for table in tables], axis=0)
        interval = bootstrap.interval(replicates)
        result[name] = statistic(np.mean(aucs), interval, rows=len(real), samples=aucs)
    return result
