import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
from toy import write_toy_shards


@pytest.fixture(scope="session")
def toy_shards(tmp_path_factory):
    """Shards of rows from a known distribution."""
    return write_toy_shards(tmp_path_factory.mktemp("toy") / "shards")


@pytest.fixture(scope="session")
def toy_settings():
    """Small and quick, but every part is in use."""
    from balrog_keras.config import Settings

    return Settings(
        width=16, depth=2, latent_dim=4, steps=60, batch_size=256, critic_steps=2,
        location_scale_steps=200, detection_steps=500, validation_interval=20, validation_draws=4,
        xla=False, seed=3,
    )  # fmt: skip


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory, toy_shards, toy_settings):
    """Directory that holds runs/toy and saved_models/toy of one whole training run."""
    from balrog_keras.training import train

    home = tmp_path_factory.mktemp("toy_run")
    train(toy_shards, "toy", toy_settings, home / "runs", home / "saved_models")
    return home


@pytest.fixture(scope="session")
def toy_ensemble(tmp_path_factory, toy_settings):
    """Directory that holds shards, runs/pair and saved_models/pair: two members and detection."""
    from dataclasses import replace

    from toy_detection import write_detection_shards

    from balrog_keras.training import train

    home = tmp_path_factory.mktemp("toy_ensemble")
    shards = write_detection_shards(home / "shards")
    settings = replace(toy_settings, steps=40)
    train(shards, "pair", settings, home / "runs", home / "saved_models", members=2)
    return home


@pytest.fixture(scope="session")
def toy_bundle(toy_run):
    """The emulator that the toy run exported."""
    return toy_run / "saved_models" / "toy"
