"""Emulators whose networks were never trained: every endpoint in a moment."""

from dataclasses import replace

import light
import numpy as np

from balrog_keras.building import gan_of_schema
from balrog_keras.detection import DetectionModel
from balrog_keras.domain import DomainModel
from balrog_keras.draw_bounds import DrawBounds
from balrog_keras.export import export_emulator
from balrog_keras.members import TrainedMember
from balrog_keras.standardizer import Standardizer
from data_prep.manifest import Manifest
from data_prep.shards import read_split


def export_untrained(destination, shards, settings, members=1, detection=False):
    """Write a bundle: random weights, but columns standardized by those of the shards."""
    manifest, rows = Manifest.load(shards), read_split(shards, "train")
    schema, condition, measured = manifest.schema, rows["condition"], rows["measured"]
    size = len(schema.condition_names)
    trained = []
    for seed in range(members):
        gan = gan_of_schema(replace(settings, seed=seed), schema)
        standardizer = Standardizer.for_schema(schema, settings.width, settings.depth, seed)
        standardizer.adapt(condition, measured)
        # Random scales would be anywhere from e^-8 to e^8.
        head = standardizer.location_scale_network.head
        head.set_weights([0.1 * weights for weights in head.get_weights()])
        parts = gan.generator, standardizer, gan.critic
        trained.append(TrainedMember(*parts, seed, {"step": 0}, {}, 0, 0.0))
    model = None
    if detection:
        model = DetectionModel.for_schema(schema, settings.width, settings.depth)
        model.adapt(condition)
    one = np.ones(1), np.zeros((1, size)), np.eye(size)[None]
    transforms = ["identity"] * size
    domain = DomainModel(transforms, condition.mean(axis=0), condition.std(axis=0), *one)
    bounds = DrawBounds.of_rows(schema, condition, measured)
    place = destination, trained, manifest, settings, shards
    return export_emulator(*place, domain, model, bounds=bounds)


def untrained_pair(tmp_path_factory, shards, settings):
    """Bundle of two members and a detection model, made once for all test files."""

    def make(home):
        export_untrained(home / "pair", shards, settings, members=2, detection=True)

    return light.made_once(tmp_path_factory, "untrained", make) / "pair"
