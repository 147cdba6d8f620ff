from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from toy import toy_rows, toy_schema

from balrog_keras import generator_fit
from balrog_keras.config import Settings
from balrog_keras.generator import Generator
from balrog_keras.generator_fit import fit_generator
from balrog_keras.standardizer import Standardizer

SETTINGS = Settings(batch_size=250, likelihood_steps=400, xla=False, seed=1)


def _standardizer(rows):
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    return standardizer


def _fitted(settings, rows, validation):
    generator = Generator(3, width=16, depth=2, seed=2)
    generator.build(((None, 9), (None, 3)))
    fit_generator(generator, _standardizer(rows), rows, validation, settings)
    return generator


@pytest.fixture(scope="module")
def fit():
    rows, validation = toy_rows(8_000, 1), toy_rows(4_000, 2)
    return _fitted(SETTINGS, rows, validation), rows, validation


def test_latents_of_held_out_rows_are_normal(fit):
    """What a likelihood fit promises: the map takes the data to independent normals."""
    generator, rows, validation = fit
    standardizer = _standardizer(rows)
    condition = standardizer.standardize_condition(validation["condition"])
    measured = standardizer.standardize(validation["condition"], validation["measured"])
    latents = generator.inverse(measured, condition)[0].numpy().T
    for latent in latents:
        assert stats.kstest(latent, "norm").statistic < 0.045
    assert np.abs(np.corrcoef(latents) - np.eye(3)).max() < 0.08


def test_same_seed_same_weights_other_seed_others(fit):
    generator, rows, validation = fit
    again = _fitted(SETTINGS, rows, validation)
    other = _fitted(replace(SETTINGS, seed=2), rows, validation)
    for a, b in zip(generator.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    pairs = zip(generator.get_weights(), other.get_weights(), strict=True)
    assert any((a != b).any() for a, b in pairs)


def test_steps_are_bounded_by_epochs(fit, caplog):
    _, rows, validation = fit
    few = {name: values[:300] for name, values in rows.items()}
    with caplog.at_level("INFO"):
        _fitted(replace(SETTINGS, likelihood_steps=100_000), few, validation)
    epochs = int(caplog.text.split("started by ")[1].split()[0])
    assert epochs == 40


@pytest.mark.parametrize(
    ("rows", "decay", "epochs"), [(8_000, 0.5, 5), (80_000, 0.25, 5), (40_000, 0.5, 1)]
)
def test_decay_follows_the_rows_and_ends_before_the_fit(rows, decay, epochs, monkeypatch):
    made = []
    averaging_muon = generator_fit.averaging_muon

    def watched(*arguments):
        made.append(averaging_muon(*arguments))
        return made[-1]

    seen = []

    class Watch(generator_fit._Advance):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(made[0].weight_decay.numpy()))

    monkeypatch.setattr(generator_fit, "averaging_muon", watched)
    monkeypatch.setattr(generator_fit, "_Advance", Watch)
    steps = rows // 2_000 * epochs
    settings = replace(SETTINGS, batch_size=1_000, likelihood_steps=steps)
    _fitted(settings, toy_rows(rows, 1), toy_rows(100, 2))
    np.testing.assert_allclose(seen, np.repeat([decay, 0.0], [steps * 4 // 5, steps // 5]))
