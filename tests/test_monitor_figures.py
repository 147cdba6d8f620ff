import sys

import numpy as np
import pytest
from toy import toy_rows, toy_schema

from balrog_keras.monitor_figures import validation_figures
from balrog_keras.networks import Generator
from balrog_keras.standardizer import Standardizer
from balrog_keras.validation import Validator
from data_prep.errors import MissingExtraError


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


def test_without_matplotlib_the_extra_is_named(validator, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"balrog-keras\[report\]"):
        validation_figures(validator, Generator(3, width=8, depth=1), "a label")
