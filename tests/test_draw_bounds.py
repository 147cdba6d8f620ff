import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from toy import toy_conditions, toy_measured, toy_schema
from untrained import export_untrained

from balrog_keras.draw_bounds import DrawBounds
from balrog_keras.emulator import Emulator
from balrog_keras.generator import Generator
from balrog_keras.members import Member
from balrog_keras.standardizer import Standardizer
from data_prep.preset import load_preset
from data_prep.shards import read_split

SCHEMA = toy_schema()


def _rows(count=500, seed=0):
    condition = toy_conditions(count, seed)
    return condition, toy_measured(condition, seed + 1)


def test_residuals_reach_their_span_beyond_the_rows():
    condition, measured = _rows()
    residual = measured.astype("float64") - condition[:, :3]
    bounds = DrawBounds.of_rows(SCHEMA, condition, measured)
    span = residual.max(axis=0) - residual.min(axis=0)
    np.testing.assert_allclose(bounds.residual[0], residual.min(axis=0) - span, rtol=1e-5)
    np.testing.assert_allclose(bounds.residual[1], residual.max(axis=0) + span, rtol=1e-5)


def test_values_have_the_schema_s_limits_transformed_but_for_magnitudes():
    schema = load_preset("mini-balrog-shapes").schema
    rows = np.ones((2, 12)), np.ones((2, 9))
    value = DrawBounds.of_rows(schema, *rows).value
    limits = dict(zip(schema.measured_names, value.T.tolist(), strict=True))
    assert limits["meas_g1"] == [-1, 1]
    assert limits["meas_flux_err_i"] == pytest.approx([-6, np.inf])
    assert limits["meas_T"] == limits["meas_mag_r"] == [-np.inf, np.inf]


def test_description_gives_the_same_bounds():
    bounds = DrawBounds.of_rows(SCHEMA, *_rows())
    described = json.loads(json.dumps(bounds.describe(SCHEMA), sort_keys=True))
    again = DrawBounds.of_description(SCHEMA, described)
    for one, other in zip(bounds, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert DrawBounds.of_description(SCHEMA, None) is None


@pytest.fixture(scope="module")
def emulator(tmp_path_factory, toy_shards, toy_settings):
    home = tmp_path_factory.mktemp("bounds")
    return Emulator.load(export_untrained(home / "toy", toy_shards, toy_settings))


def test_exported_draws_are_within(emulator, toy_shards):
    rows = read_split(toy_shards, "train")
    bounds = DrawBounds.of_rows(SCHEMA, rows["condition"], rows["measured"])
    assert emulator.info["draw_bounds"] == bounds.describe(SCHEMA)
    condition = rows["condition"][:200]
    columns = dict(zip(SCHEMA.condition_names, condition.T.copy(), strict=True))
    latent = np.random.default_rng(0).choice([-30.0, -1.0, 1.0, 30.0], (200, 3)).astype("float32")
    drawn = emulator._call._model.signatures["from_latent"](
        latent=tf.constant(latent), **{name: tf.constant(v) for name, v in columns.items()}
    )
    residual = np.stack([drawn[name] for name in SCHEMA.measured_names], 1) - condition[:, :3]
    slack = 1e-4
    assert (residual >= bounds.residual[0] - slack).all()
    assert (residual <= bounds.residual[1] + slack).all()
    # Both sides of every column were reached, and most draws were not touched.
    at_ends = [np.isclose(residual, end, atol=slack) for end in bounds.residual]
    assert all(ends.any(axis=0).all() for ends in at_ends)
    assert not np.any(at_ends, axis=0)[np.abs(latent).max(axis=1) == 1].any()


def test_a_condition_without_a_value_draws_none(emulator, toy_shards):
    condition = read_split(toy_shards, "train")["condition"][:4].copy()
    condition[1] = np.nan
    drawn = emulator.draw(condition, np.arange(4), seed=0)
    assert np.isnan(drawn).all(axis=1).tolist() == [False, True, False, False]


def test_drawn_values_keep_the_schema_s_limits(tmp_path, toy_shards, toy_settings):
    """As ellipticities, of a size that the residuals' bounds let through."""
    rows = read_split(toy_shards, "train")
    condition, measured = rows["condition"][:500], rows["measured"][:500]
    columns = [replace(column, unit="1", minimum=23.0, maximum=23.5) for column in SCHEMA.measured]
    schema = replace(SCHEMA, columns=(*SCHEMA.truth, *SCHEMA.survey, *columns))
    standardizer = Standardizer.for_schema(schema, width=8, depth=1)
    standardizer.adapt(condition, measured)
    generator = Generator(3, width=8, depth=1)
    generator.build(((None, 9), (None, 3)))
    bounds = DrawBounds.of_rows(schema, condition, measured)
    latent = np.random.default_rng(0).normal(size=(500, 3)).astype("float32")
    free = Member(generator, standardizer).measured(condition, latent)
    kept = Member(generator, standardizer, bounds).measured(condition, latent)
    assert np.ptp(free) > 1
    np.testing.assert_allclose(kept, np.clip(free, 23.0, 23.5), rtol=1e-5)
