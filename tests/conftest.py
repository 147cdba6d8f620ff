import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker for each core: further threads would only wait for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")

from dataclasses import replace

import light
import pytest
from toy import write_toy_shards
from toy_detection import write_detection_shards


def pytest_collection_modifyitems(items):
    """Files with slow tests first, so that workers end together (--no-loadscope-reorder)."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def toy_shards(tmp_path_factory):
    """Shards of rows from a known distribution."""

    def make(home):
        write_toy_shards(home / "shards")

    return light.made_once(tmp_path_factory, "toy", make) / "shards"


@pytest.fixture(scope="session")
def toy_settings():
    """Small and quick, but every part is in use."""
    from balrog_keras.config import Settings

    return Settings(
        width=16, depth=2, generator_width=8, generator_depth=1, likelihood_steps=30, steps=60,
        batch_size=256, critic_steps=2,
        location_scale_steps=200, detection_steps=500, validation_interval=20, validation_draws=4,
        xla=False, seed=3,
    )  # fmt: skip


@pytest.fixture(scope="session")
def hasty_settings(toy_settings):
    """The least to start with: for tests of what comes before, around and after the fit."""
    return replace(toy_settings, likelihood_steps=0, location_scale_steps=50)


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory, toy_shards, toy_settings):
    """Directory that holds runs/toy and saved_models/toy of one whole training run."""

    def make(home):
        from balrog_keras.training import train

        with light.training_figures(True):
            train(toy_shards, "toy", toy_settings, home / "runs", home / "saved_models")

    return light.made_once(tmp_path_factory, "toy_run", make)


@pytest.fixture(scope="session")
def toy_ensemble(tmp_path_factory, hasty_settings):
    """Directory that holds shards, runs/pair and saved_models/pair: two members and detection."""

    def make(home):
        from balrog_keras.training import train

        shards = write_detection_shards(home / "shards")
        settings = replace(hasty_settings, steps=40)
        with light.training_figures(False):
            train(shards, "pair", settings, home / "runs", home / "saved_models", members=2)

    return light.made_once(tmp_path_factory, "toy_ensemble", make)


@pytest.fixture(scope="session")
def toy_bundle(toy_run):
    """The emulator that the toy run exported."""
    return toy_run / "saved_models" / "toy"


@pytest.fixture(scope="module")
def no_training_figures():
    """Training without TensorBoard's figures, which are half the time of a short run."""
    with light.training_figures(False):
        yield


@pytest.fixture(scope="module")
def quick_classifiers():
    """Two-sample test with fewer trees and passes."""
    with light.quick_classifiers():
        yield


@pytest.fixture(scope="session")
def untrained_bundle(tmp_path_factory, toy_shards, toy_settings):
    """Two members and a detection model, never trained; see ``bundle_copy`` to change it."""
    from untrained import untrained_pair

    return untrained_pair(tmp_path_factory, toy_shards, toy_settings)


@pytest.fixture
def bundle_copy(untrained_bundle, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(untrained_bundle, tmp_path / "copy")


@pytest.fixture
def unrendered_figures():
    """Figures of reports are made but not drawn."""
    with light.unrendered_figures():
        yield
