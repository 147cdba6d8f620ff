"""Write a trained generator as a bundle: SavedModel, emulator.json, metrics, model card."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from balrog_keras.bundle import FORMAT_VERSION, MODEL_VERSION, checksums
from balrog_keras.config import Settings
from balrog_keras.keyed_noise import keyed_normals
from balrog_keras.model_card import model_card
from balrog_keras.networks import Generator
from balrog_keras.standardizer import Standardizer
from data_prep.files import atomic_directory, write_json
from data_prep.manifest import MANIFEST_NAME, Manifest
from data_prep.provenance import provenance
from data_prep.schema import Schema

__all__ = ["EmulatorModule", "export_emulator"]

logger = logging.getLogger(__name__)

_BLOCK_ROWS = 1024
_PARALLEL_BLOCKS = 4


class EmulatorModule(tf.Module):
    """Named physical columns in, named physical columns out: what the SavedModel holds.

    Parameters
    ----------
    generator : Generator
        Maps standardized conditions and latents to standardized residuals.
    standardizer : Standardizer
        Fitted.
    schema : Schema
        Names and order of the columns.
    latent_dim : int
        Length of the latent vector.
    """

    def __init__(
        self, generator: Generator, standardizer: Standardizer, schema: Schema, latent_dim: int
    ) -> None:
        super().__init__(name="balrog_emulator")
        self.generator, self.standardizer = generator, standardizer
        self.schema, self.latent_dim = schema, latent_dim

    def emulate(self, row_id: Any, seed: Any, **columns: Any) -> dict[str, Any]:
        """Draw measured columns; the noise is a function of (seed, row_id).

        The batch is cut into blocks of one fixed size, the last one padded. Matrix products and
        vector instructions of another shape may differ in the last bit, so without this a row's
        draw would depend on the batch it is in. It also keeps the layers in the cache.
        """
        condition = self._condition(columns)
        rows = tf.shape(condition)[0]
        missing = -rows % _BLOCK_ROWS
        blocks = (
            tf.reshape(tf.pad(condition, [[0, missing], [0, 0]]), (-1, _BLOCK_ROWS, self._width)),
            tf.reshape(tf.pad(row_id, [[0, missing]]), (-1, _BLOCK_ROWS)),
        )
        measured = tf.map_fn(
            lambda block: self._draw_block(block[0], block[1], seed),
            blocks,
            fn_output_signature=tf.TensorSpec(
                [_BLOCK_ROWS, len(self.schema.measured_names)], tf.float32
            ),
            parallel_iterations=_PARALLEL_BLOCKS,
        )
        flat = tf.reshape(measured, (-1, len(self.schema.measured_names)))
        return self._named(flat[:rows])

    def _draw_block(self, condition: Any, row_id: Any, seed: Any) -> Any:
        return self._measured(condition, keyed_normals(seed, row_id, self.latent_dim))

    def from_latent(self, latent: Any, **columns: Any) -> dict[str, Any]:
        """Measured columns for given standard-normal latents ``(N, latent_dim)``."""
        return self._named(self._measured(self._condition(columns), latent))

    def location_scale(self, **columns: Any) -> dict[str, Any]:
        """Conditional location and scale of each transformed measured column (Student-t)."""
        location, scale = self.standardizer.location_scale(self._condition(columns))
        return {**self._named(location, "location_"), **self._named(scale, "scale_")}

    @property
    def _width(self) -> int:
        return len(self.schema.condition_names)

    def _condition(self, columns: dict[str, Any]) -> Any:
        return tf.stack([columns[name] for name in self.schema.condition_names], axis=1)

    def _measured(self, condition: Any, latent: Any) -> Any:
        standard = self.standardizer.standardize_condition(condition)
        return self.standardizer.destandardize(condition, self.generator((standard, latent)))

    def _named(self, values: Any, prefix: str = "") -> dict[str, Any]:
        names = self.schema.measured_names
        return {f"{prefix}{name}": values[:, index] for index, name in enumerate(names)}

    def signatures(self) -> dict[str, Any]:
        """Endpoints of the SavedModel with dynamic batch."""
        columns = {
            name: tf.TensorSpec([None], tf.float32, name) for name in self.schema.condition_names
        }
        row_id = tf.TensorSpec([None], tf.int64, "row_id")
        seed = tf.TensorSpec([], tf.int64, "seed")
        latent = tf.TensorSpec([None, self.latent_dim], tf.float32, "latent")
        endpoints = {
            "serving_default": (self.emulate, {"row_id": row_id, "seed": seed}),
            "from_latent": (self.from_latent, {"latent": latent}),
            "location_scale": (self.location_scale, {}),
        }
        return {
            name: tf.function(function).get_concrete_function(**inputs, **columns)
            for name, (function, inputs) in endpoints.items()
        }


def export_emulator(
    destination: Path,
    generator: Generator,
    standardizer: Standardizer,
    manifest: Manifest,
    settings: Settings,
    validation: dict[str, Any],
    shards: Path,
) -> Path:
    """Write ``saved_models/NAME``, whole or not at all; an older one is replaced.

    Parameters
    ----------
    destination : path
        ``saved_models/NAME``.
    generator, standardizer : Generator, Standardizer
        Trained.
    manifest : Manifest
        Of the shards it was trained on.
    settings : Settings
        Hyper-parameters of the run.
    validation : dict
        Scores on the validation split.
    shards : path
        Named in the provenance.

    Returns
    -------
    pathlib.Path
        `destination`.

    Raises
    ------
    OSError
        If it cannot be written; an older bundle is untouched.
    """
    module = EmulatorModule(generator, standardizer, manifest.schema, settings.latent_dim)
    with atomic_directory(destination) as partial:
        tf.saved_model.save(module, str(partial / MODEL_VERSION), signatures=module.signatures())
        description = _description(destination.name, manifest, settings, shards)
        description["files"] = checksums(partial)
        write_json(partial / "emulator.json", description)
        write_json(partial / "metrics.json", {"validation": validation})
        card = model_card(description, {"validation": validation})
        (partial / "README.md").write_text(card, encoding="utf-8")
    return destination


def _description(name: str, manifest: Manifest, settings: Settings, shards: Path) -> dict[str, Any]:
    """Content of emulator.json, without the checksums."""
    made = provenance(f"python {' '.join(sys.argv)}", [Path(shards) / MANIFEST_NAME])
    # The distribution may be tensorflow or tensorflow-cpu; the library is one.
    versions = {k: v for k, v in made["versions"].items() if not k.startswith("tensorflow")}
    versions |= {"keras": keras.__version__, "tensorflow": tf.__version__}
    conditions = manifest.schema.condition_names
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "label": manifest.label,
        "created": made["created"],
        "command": made["command"],
        "schema": manifest.schema.to_dict(),
        "fingerprint": manifest.schema.fingerprint,
        "map_patterns": dict(manifest.map_patterns),
        "latent_dim": settings.latent_dim,
        "domain": {column: manifest.statistics[column] for column in conditions},
        "settings": settings.to_dict(),
        "training_data": {
            "shards": Path(shards).name,
            "rows": {split: entry["rows"] for split, entry in manifest.splits.items()},
            "provenance": dict(manifest.provenance),
        },
        "versions": versions,
    }
