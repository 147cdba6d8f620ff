import subprocess
import sys

import numpy as np
import pytest
from toy import toy_rows, toy_schema

from balrog_keras.monitor_figures import validation_figures
from balrog_keras.networks import Generator
from balrog_keras.standardizer import Standardizer
from balrog_keras.validation import Validator


@pytest.fixture(scope="module")
def validator():
    rows = toy_rows(500, 1)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    return Validator(standardizer, toy_schema(), rows["condition"], rows["measured"], 2, 4, 0)


def test_colour_figures_are_images(validator):
    images = validation_figures(validator, Generator(3, width=8, depth=1), "a label")
    image = images["colours"]
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 4
    assert image.std() > 10


def test_without_matplotlib_the_extra_is_named():
    """In a process of its own: a half-unloaded matplotlib would spoil the tests after it."""
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np\n"
        "from balrog_keras.plots import colour_magnitude_figure\n"
        "colour_magnitude_figure(np.zeros((5, 3)), np.zeros((5, 3)), ('r', 'i', 'z'), 'a label')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in done.stderr
    assert "balrog-keras[report]" in done.stderr
