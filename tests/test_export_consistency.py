"""Measured values of one draw agree in every unit, and are finite wherever a condition is."""

import numpy as np
import pandas as pd
import pytest
from mixed_world import SOFTENING, ZERO_POINT, mixed_rows, mixed_schema
from shard_files import write_shards
from toy_detection import MANIFEST
from untrained import export_untrained

from balrog_keras.emulator import Emulator
from data_prep.photometry import flux_to_asinh_mag, flux_to_mag, mag_to_flux

SCHEMA = mixed_schema()
CONDITIONS = SCHEMA.truth + SCHEMA.survey
BRIGHT = ("meas_r", "meas_i")
ROWS = 5_000


@pytest.fixture(scope="module")
def emulator(tmp_path_factory, toy_settings):
    """Of asinh magnitudes, a flux, a size and more; its networks are random."""
    home = tmp_path_factory.mktemp("mixed")
    splits = {name: mixed_rows(500, seed) for seed, name in enumerate(("train", "validation"))}
    write_shards(home / "shards", splits, SCHEMA, MANIFEST, shards=1)
    return Emulator.load(export_untrained(home / "mixed", home / "shards", toy_settings))


def _from_latent(emulator, condition, latent):
    import tensorflow as tf

    columns = dict(zip(SCHEMA.condition_names, condition.T.copy(), strict=True))
    drawn = emulator._call._model.signatures["from_latent"](
        latent=tf.constant(latent), **{name: tf.constant(v) for name, v in columns.items()}
    )
    return np.stack([drawn[name].numpy() for name in SCHEMA.measured_names], axis=1)


def _legal_conditions(rng):
    """Each value at an end of its legal range, far out where it has none, or in the middle."""
    columns = []
    for column in CONDITIONS:
        low = -1e6 if column.minimum is None else column.minimum
        high = 1e6 if column.maximum is None else column.maximum
        middle = rng.uniform(low, high, ROWS)
        columns.append(np.choose(rng.integers(0, 3, ROWS), [np.full(ROWS, low), middle, high]))
    return np.stack(columns, axis=1).astype("float32")


def test_finite_for_any_legal_condition_and_latents_of_ten_sigma(emulator):
    rng = np.random.default_rng(0)
    latent = rng.uniform(-10, 10, (ROWS, emulator.info["latent_dim"])).astype("float32")
    latent[: ROWS // 2] = np.sign(latent[: ROWS // 2]) * 10
    drawn = _from_latent(emulator, _legal_conditions(rng), latent)
    assert np.isfinite(drawn).all()


@pytest.fixture(scope="module")
def drawn(emulator):
    """Extreme conditions, drawn in every unit."""
    condition = _legal_conditions(np.random.default_rng(1))
    table = pd.DataFrame(condition, columns=SCHEMA.condition_names)
    return emulator.emulate(table, units=("flux", "nJy", "mag"), in_domain=True)


def test_units_agree(drawn):
    for name in BRIGHT:
        flux, mag = drawn[f"{name}_flux"], drawn[f"{name}_mag"]
        assert np.isfinite(flux).all()
        positive = flux > 0
        np.testing.assert_array_equal(np.isnan(mag), ~positive)
        representable = np.abs(drawn[name]) < 700
        assert representable.sum() > 100
        again = flux_to_asinh_mag(flux[representable], ZERO_POINT, SOFTENING)
        np.testing.assert_allclose(again, drawn[name][representable], atol=1e-4)
        np.testing.assert_allclose(mag[positive], flux_to_mag(flux[positive], ZERO_POINT))
        bright = positive & (np.abs(mag) < 700)
        np.testing.assert_allclose(drawn[f"{name}_nJy"][bright], mag_to_flux(mag[bright], 31.4))
    njy = drawn["meas_flux"]
    assert np.isfinite(njy).all()
    np.testing.assert_array_equal(np.isnan(drawn["meas_flux_mag"]), njy <= 0)
    np.testing.assert_allclose(drawn["meas_flux_flux"], njy, rtol=1e-6)


def test_extreme_conditions_are_flagged_not_clipped(emulator, drawn):
    assert not drawn["in_domain"].any()
    near = _legal_conditions(np.random.default_rng(2))[:200]
    near[:, 0], near[:, 1] = 29.5, 29.5
    far = near.copy()
    far[:, 0] = 30.0
    ids = np.zeros(200, np.int64)
    assert (emulator.draw(near, ids, 0) != emulator.draw(far, ids, 0)).any(axis=1).all()


def test_typical_rows_are_inside_and_have_both_signs_of_flux(emulator):
    table = pd.DataFrame(mixed_rows(2_000, 3)["condition"], columns=SCHEMA.condition_names)
    drawn = emulator.emulate(table, units=("mag",))
    assert drawn["meas_r"].notna().all()
    assert 0 < drawn["meas_flux_mag"].isna().mean() < 1
