"""Train, export, emulate and evaluate columns of every kind, with transforms and weights."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mixed_world import mixed_conditions, mixed_measured, mixed_rows, mixed_schema
from shard_files import write_shards

from balrog_keras.catalog_emulation import emulate_catalog
from balrog_keras.count_statistics import default_selections
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.emulator import Emulator
from balrog_keras.evaluation import evaluate
from balrog_keras.held_out import HeldOut
from balrog_keras.info import describe
from balrog_keras.metrics_schema import check_metrics
from balrog_keras.report import write_report
from balrog_keras.science_statistics import evaluate_science
from balrog_keras.training import train
from data_prep.errors import BalrogError
from data_prep.shards import read_split

SCHEMA = mixed_schema()
CONTENT = {
    "preset": "mixed", "label": "mixed: a known distribution", "dropped": {}, "rows_read": 8_000,
    "regions": {}, "parents": {}, "map_patterns": {}, "provenance": {"sources": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory, toy_settings, no_training_figures):
    """Directory with shards and saved_models/mixed."""
    home = tmp_path_factory.mktemp("mixed")
    (home / "shards").mkdir()
    splits = {"train": 6_000, "validation": 1_000, "test": 1_000}
    rows = {name: mixed_rows(count, k) for k, (name, count) in enumerate(splits.items())}
    write_shards(home / "shards", rows, SCHEMA, CONTENT)
    settings = dataclasses.replace(toy_settings, use_weights=True, location_scale_steps=400)
    train(home / "shards", "mixed", settings, home / "runs", home / "saved_models")
    return home


@pytest.fixture(scope="module")
def emulator(home):
    return Emulator.load(home / "saved_models" / "mixed")


def test_draws_are_physical(emulator):
    condition = mixed_conditions(4_000, 8)
    drawn = emulator.draw(condition, np.arange(4_000), seed=1)
    real = mixed_measured(condition, 8)
    assert np.isfinite(drawn).all()
    for name, a, b in zip(SCHEMA.measured_names, real.T, drawn.T, strict=True):
        spread = np.subtract(*np.quantile(a, [0.84, 0.16])) / 2
        assert abs(np.median(a) - np.median(b)) < 0.5 * spread, name
    assert (drawn[:, SCHEMA.measured_names.index("meas_size")] > 0).all()


def test_saved_model_needs_no_transform_from_outside(home, emulator):
    """Its own location, scale and latents give the draws back through the inverse transforms."""
    model = tf.saved_model.load(str(home / "saved_models" / "mixed" / "1"))
    condition = mixed_conditions(200, 9)
    columns = dict(zip(SCHEMA.condition_names, condition.T.copy(), strict=True))
    at_zero = model.signatures["from_latent"](latent=tf.zeros((200, 8)), **columns)
    location, scale = emulator.location_scale(condition)
    size = SCHEMA.measured_names.index("meas_size")
    z = (np.log10(at_zero["meas_size"]) - location[:, size]) / scale[:, size]
    assert np.abs(z).max() < 5
    assert np.abs(location[:, size] - np.log10(condition[:, 2])).max() < 1


def test_bad_rows_stay_alone(emulator):
    condition = mixed_conditions(300, 2)
    row_id = np.arange(300)
    expected = emulator.draw(condition, row_id, seed=3)
    condition[[5, 70], 2] = [0.0, np.nan]
    found = emulator.draw(condition, row_id, seed=3)
    good = ~np.isin(row_id, [5, 70])
    np.testing.assert_array_equal(found[good], expected[good])
    assert np.isnan(found[70]).all()


def test_value_without_a_logarithm_is_null(emulator, tmp_path, caplog):
    table = pd.DataFrame(mixed_conditions(100, 3), columns=list(SCHEMA.condition_names))
    table.loc[4, "true_size"] = -1.0
    table.to_parquet(tmp_path / "truth.parquet")
    emulate_catalog(
        emulator, tmp_path / "truth.parquet", tmp_path / "out.parquet", plan=DrawPlan(seed=1)
    )
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert found["meas_size"].isna().to_numpy().nonzero()[0].tolist() == [4]
    assert "1 of 100 rows: no usable true_size" in caplog.text


def test_evaluation_reports_every_column(
    home, emulator, tmp_path, quick_classifiers, unrendered_figures
):
    held_out = HeldOut.of(read_split(home / "shards", "test"))
    evaluation = evaluate(emulator, held_out, draws=20, replicates=20, least_draws=1)
    for group in ("wasserstein", "bias", "spread_ratio", "outlier_fraction"):
        values = [evaluation.statistics[group][name]["value"] for name in SCHEMA.measured_names]
        assert np.isfinite(values).all(), group
    assert list(evaluation.statistics["colour_ks"]) == ["meas_r - meas_i"]
    assert evaluation.statistics["energy_score"]["emulator"]["value"] < 3
    scales = emulator.location_scale(evaluation.held_out.condition)
    cuts = default_selections(SCHEMA, held_out.measured)
    science = evaluate_science(evaluation, scales, cuts, simulations=5, replicates=5)
    assert set(science.statistics["grids"]) == set(SCHEMA.measured_names)
    evaluation = dataclasses.replace(evaluation, science=science)
    page = write_report(evaluation, {"created": "today"}, tmp_path).read_text("utf-8")
    assert "meas_r, meas_i" in page
    check_metrics(json.loads((tmp_path / "metrics.json").read_text()))


def test_units_and_transforms_are_described(home, emulator):
    card = (home / "saved_models" / "mixed" / "README.md").read_text()
    for text in (card, describe(emulator.info, {})):
        assert "asinh mag (b = 25, zero point 30)" in text
        assert "arcsec (log10)" in text


def test_weights_need_shards_that_have_them(toy_shards, toy_settings, tmp_path):
    settings = dataclasses.replace(toy_settings, use_weights=True)
    with pytest.raises(BalrogError, match="use_weights"):
        train(toy_shards, "none", settings, tmp_path / "runs", tmp_path / "saved_models")
