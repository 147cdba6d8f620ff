"""Light stand-ins for slow parts that a test is not about."""

import base64
import fcntl
import os
from contextlib import contextmanager
from functools import partial, wraps

import pytest

# One transparent pixel.
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)


def made_once(tmp_path_factory, name, make):
    """Directory NAME that ``make(directory)`` fills, once for all workers of a test session."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    directory = root / name
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "made").exists():
            directory.mkdir()
            make(directory)
            (directory / "made").touch()
    return directory


@contextmanager
def training_figures(wanted):
    """Whether training draws figures for TensorBoard: half the time of a run of a few steps."""
    from balrog_keras.monitor import Monitor

    original = getattr(Monitor._due, "__wrapped__", Monitor._due)

    @wraps(original)
    def due(monitor, step):
        return wanted and original(monitor, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "_due", due)
        yield


@contextmanager
def quick_classifiers():
    """A tenth of the trees, a fifth of the network's passes: enough to see a factor of two."""
    from balrog_keras import two_sample

    with pytest.MonkeyPatch.context() as patch:
        for name, build in list(two_sample.CLASSIFIERS.items()):
            patch.setitem(two_sample.CLASSIFIERS, name, partial(_shorter, build))
        yield


def _shorter(build):
    model = build()
    steps = getattr(model, "steps", None)
    if steps is None:
        return model.set_params(max_iter=30)
    return model.set_params(**{f"{steps[-1][0]}__max_iter": 3})


@contextmanager
def unrendered_figures():
    """Figures are made but not drawn; each is saved as one pixel."""
    from matplotlib.figure import Figure

    def save(figure, file, **options):
        file.write(_PNG)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save)
        yield
