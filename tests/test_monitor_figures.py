import subprocess
import sys

import numpy as np
import pytest
from toy import toy_rows, toy_schema

from balrog_keras.generator import Generator
from balrog_keras.monitor_figures import bins_figure, validation_figures
from balrog_keras.standardizer import Standardizer
from balrog_keras.validation import Validation, Validator


@pytest.fixture(scope="module")
def validator():
    rows = toy_rows(500, 1)
    standardizer = Standardizer.for_schema(toy_schema(), width=8, depth=1)
    standardizer.adapt(rows["condition"], rows["measured"])
    return Validator(standardizer, toy_schema(), rows["condition"], rows["measured"], 4, 0)


def _generator():
    generator = Generator(3, width=8, depth=1)
    generator.build(((None, 9), (None, 3)))
    return generator


def test_figures_are_images(validator):
    result = validator.validate(_generator())
    images = validation_figures(validator, result, "a label")
    assert set(images) == {"pit", "bins", "colours"}
    for image in images.values():
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 4
        assert image.std() > 10


def test_bins_figure_shows_every_cell_in_per_cent():
    rng = np.random.default_rng(0)
    bias, ratio = rng.uniform(-0.3, 0.3, (2, 4, 5, 3))
    ratio[1, 2, 0] = np.nan
    result = Validation({}, np.empty((0, 3)), np.empty((0, 3)), bias, 1 + ratio)
    names = ("meas_mag_r", "meas_mag_i", "meas_mag_z")
    figure = bins_figure(result, ("true_mag_r", "fwhm_r", "fwhm_i", "fwhm_z"), names, "a label")
    assert len(figure.axes) == 6
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert len(shown) == 19
    assert shown[0] == f"{round(100 * ratio[0, 0, 0]):+d}"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()][1] == "fwhm r"


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
