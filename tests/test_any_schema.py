"""Other bands and more measured columns train, export, draw and are evaluated as riz is."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from band_world import band_rows, band_schema, shapes_schema
from shard_files import write_shards

from balrog_keras.catalog_emulation import emulate_catalog
from balrog_keras.emulator import Emulator
from balrog_keras.evaluation import evaluate
from balrog_keras.held_out import HeldOut
from balrog_keras.report import write_report
from balrog_keras.training import train
from data_prep.shards import read_split

CONTENT = {
    "preset": "any", "label": "a known distribution", "dropped": {}, "rows_read": 8_000,
    "regions": {}, "parents": {}, "map_patterns": {}, "provenance": {"sources": []},
}  # fmt: skip
SCHEMAS = {"griz": band_schema("griz"), "ugrizy": band_schema("ugrizy"), "shapes": shapes_schema()}


@pytest.fixture(scope="module", params=SCHEMAS)
def world(request, tmp_path_factory, toy_settings, no_training_figures):
    """A schema, its shards and its emulator."""
    home, schema = tmp_path_factory.mktemp(request.param), SCHEMAS[request.param]
    (home / "shards").mkdir()
    sizes = {"train": 6_000, "validation": 1_000, "test": 1_000}
    splits = {name: band_rows(schema, rows, k) for k, (name, rows) in enumerate(sizes.items())}
    write_shards(home / "shards", splits, schema, CONTENT)
    settings = dataclasses.replace(toy_settings, location_scale_steps=400)
    if request.param != "shapes":
        settings = dataclasses.replace(settings, likelihood_steps=0)
    bundle = train(home / "shards", "any", settings, home / "runs", home / "saved_models")
    return SimpleNamespace(schema=schema, home=home, emulator=Emulator.load(bundle))


def test_draws_have_each_columns_place_and_the_valid_range(world):
    real = band_rows(world.schema, 4_000, 8)
    drawn = world.emulator.draw(real["condition"], np.arange(4_000), seed=1)
    assert drawn.shape == real["measured"].shape
    assert np.isfinite(drawn).all()
    for column, a, b in zip(world.schema.measured, real["measured"].T, drawn.T, strict=True):
        spread = np.subtract(*np.quantile(a, [0.84, 0.16])) / 2
        assert abs(np.median(a) - np.median(b)) < 0.5 * spread, column.name
        if column.transform == "log10":
            assert (b > 0).all(), column.name


def test_draws_follow_the_condition(world):
    real = band_rows(world.schema, 4_000, 9)
    drawn = world.emulator.draw(real["condition"], np.arange(4_000), seed=2)
    names = world.schema.condition_names
    for column, values in zip(world.schema.measured, drawn.T, strict=True):
        if column.reference:
            truth = real["condition"][:, names.index(column.reference)]
            assert np.corrcoef(truth, values)[0, 1] > 0.8, column.name


def test_catalogue_has_every_measured_column(world, tmp_path):
    truth = band_rows(world.schema, 50, 3)["condition"]
    table = pd.DataFrame(truth, columns=list(world.schema.condition_names))
    table.to_parquet(tmp_path / "truth.parquet")
    emulate_catalog(world.emulator, tmp_path / "truth.parquet", tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert set(world.schema.measured_names) <= set(found.columns)
    assert found[list(world.schema.measured_names)].notna().all(axis=None)


@pytest.mark.slow
def test_evaluation_judges_every_column_and_every_colour(
    world, tmp_path, quick_classifiers, unrendered_figures
):
    held_out = HeldOut.of(read_split(world.home / "shards", "test"))
    evaluation = evaluate(world.emulator, held_out, draws=20, replicates=20, least_draws=1)
    for group in ("wasserstein", "bias", "spread_ratio", "outlier_fraction"):
        assert set(evaluation.statistics[group]) >= set(world.schema.measured_names), group
    assert len(evaluation.statistics["colour_ks"]) == len(world.schema.bands) - 1
    page = write_report(evaluation, {"created": "today"}, tmp_path).read_text("utf-8")
    assert all(name in page for name in world.schema.measured_names)
    json.loads((tmp_path / "metrics.json").read_text())
