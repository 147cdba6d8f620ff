"""How the peers see the data: conditions z-scored, measured columns less a location over a scale.

absolute  mean and standard deviation of the measured columns (the original recipe)
residual  truth + median residual, and the residual's spread, one number per column
network   location and scale of the condition, from this project's standardizer
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from balrog_keras.metrics import spread
from balrog_keras.residuals import residuals, standardized
from balrog_keras.transforms import reference_indices, restored, transformed, transforms_of
from data_prep.errors import BalrogError
from data_prep.manifest import Manifest

__all__ = ["KINDS", "Scaling"]

KINDS = ("absolute", "residual", "network")


class Scaling:
    """Invertible scaling with constants from the training rows.

    Parameters
    ----------
    manifest : Manifest
        Of the training shards.
    kind : str
        One of `KINDS`.
    constants : dict of arrays
        ``condition_mean``, ``condition_std`` (C,), ``location``, ``scale`` (M,).
    standardizer : Standardizer, optional
        For ``network``.
    """

    def __init__(
        self, manifest: Manifest, kind: str, constants: dict[str, np.ndarray], standardizer: Any
    ) -> None:
        self.schema, self.label, self.kind = manifest.schema, manifest.label, kind
        self._constants, self._standardizer = constants, standardizer

    @classmethod
    def fit(cls, manifest: Manifest, kind: str, train: dict[str, np.ndarray], seed: int) -> Scaling:
        """Constants of the training rows ``condition`` (N, C) and ``measured`` (N, M)."""
        if kind not in KINDS:
            raise BalrogError(f"expected a scaling of {', '.join(KINDS)}, found {kind!r}")
        schema, standardizer = manifest.schema, None
        condition = transformed(train["condition"], transforms_of(schema.truth + schema.survey))
        if kind == "absolute":
            values = transformed(train["measured"], transforms_of(schema.measured))
            location, scale = values.mean(axis=0), values.std(axis=0)
        else:
            values = residuals(schema, train["condition"], train["measured"])
            location, scale = np.median(values, axis=0), spread(values)
        if kind == "network":
            from fidelity_parts.reference import fitted_standardizer

            standardizer = fitted_standardizer(manifest, seed)
        constants = {
            "condition_mean": condition.mean(axis=0, dtype=np.float64),
            "condition_std": condition.std(axis=0, dtype=np.float64),
            "location": location,
            "scale": scale,
        }
        return cls(manifest, kind, constants, standardizer)

    def condition(self, condition: np.ndarray) -> np.ndarray:
        """Z-scores, float32, same shape."""
        schema = self.schema
        values = transformed(condition, transforms_of(schema.truth + schema.survey))
        mean, std = self._constants["condition_mean"], self._constants["condition_std"]
        return ((values - mean) / std).astype(np.float32)

    def _location_scale(self, condition: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._standardizer is not None:
            location, scale = self._standardizer.location_scale(condition)
            return np.asarray(location), np.asarray(scale)
        location, scale = self._constants["location"], self._constants["scale"]
        if self.kind == "residual":
            schema, index = self.schema, np.array(reference_indices(self.schema))
            values = transformed(condition, transforms_of(schema.truth + schema.survey))
            location = location + np.where(index >= 0, values[:, index], 0.0)
        return location, scale

    def standardize(self, condition: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """Measured columns (N, M), physical units, to float32 of the order of one."""
        scales = self._location_scale(condition)
        return standardized(self.schema, measured, *scales).astype(np.float32)

    def restore(self, condition: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`standardize`."""
        location, scale = self._location_scale(condition)
        result = restored(location + scale * values, transforms_of(self.schema.measured))
        return np.asarray(result, np.float32)

    def save(self, directory: Path) -> None:
        """Write constants and, if any, the location/scale network."""
        np.savez(directory / "scaling.npz", kind=self.kind, **self._constants)
        if self._standardizer is not None:
            self._standardizer.save_weights(directory / "standardizer.weights.h5")

    @classmethod
    def load(cls, manifest: Manifest, directory: Path) -> Scaling:
        """Read what :meth:`save` wrote."""
        with np.load(directory / "scaling.npz") as kept:
            constants = {name: kept[name] for name in kept.files}
        kind, standardizer = str(constants.pop("kind")), None
        if kind == "network":
            from balrog_keras.standardizer import Standardizer

            standardizer = Standardizer.for_schema(manifest.schema)
            standardizer.load_weights(directory / "standardizer.weights.h5")
        return cls(manifest, kind, constants, standardizer)
