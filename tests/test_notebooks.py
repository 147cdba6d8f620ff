"""The example notebooks run, cell by cell, with smaller numbers in their cell of parameters.

In this process: a kernel of their own would start TensorFlow twice more.
"""

import json
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from balrog_keras.config import Settings

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"
QUICK = Settings(
    width=8, depth=1, generator_width=4, generator_depth=1, likelihood_steps=0, steps=2,
    batch_size=64, location_scale_steps=20, detection_steps=20, validation_interval=1,
    validation_draws=2, xla=False,
)  # fmt: skip


def _read(name):
    return json.loads((NOTEBOOKS / name).read_text())


def _run(name, monkeypatch, **parameters):
    """Names that the cells leave; those of the cell of parameters have other values."""
    monkeypatch.chdir(NOTEBOOKS)
    matplotlib.use("Agg")
    names = {}
    for place, cell in enumerate(_read(name)["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}, cell {place}", "exec"), names)
            if "parameters" in cell["metadata"].get("tags", []):
                assert set(parameters) <= set(names)
                names.update(parameters)
    return names


@pytest.fixture
def figures():
    """Open figures; closed when the test ends."""
    import matplotlib.pyplot as plt

    yield lambda: [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")


def test_emulate_and_plot(monkeypatch, figures):
    names = _run("emulate_and_plot.ipynb", monkeypatch, rows=20_000)
    measured, found = names["measured"], names["measured"]["detected"]
    assert 0.5 < found.mean() < 0.99
    assert measured["meas_mag_i"].notna().equals(found)
    assert names["many"].shape[0] == 1000
    # Of the faintest those are found that noise made bright.
    assert names["levels"][0.5].iloc[-1] < names["levels"][0.5].iloc[2] - 0.02
    assert len(figures()) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("no_training_figures")
def test_train_on_mini_balrog(monkeypatch, figures, tmp_path):
    pytest.importorskip("galsim")
    pytest.importorskip("sep")
    names = _run(
        "train_on_mini_balrog.ipynb", monkeypatch,
        home=tmp_path, tiles=12, realizations=2, workers=1, settings=QUICK, detection=False,
    )  # fmt: skip
    assert list(names["curves"].index) == [1, 2]
    assert names["curves"]["energy_score"].notna().all()
    assert names["draws"].shape == (50, len(names["measured"]), 3)
    assert pd.Series(names["ratio"]).between(0.01, 100).all()
    assert len(figures()) == 2


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_outputs_are_stripped_and_no_magic_is_used(name):
    book = _read(name)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"]]
    assert not [line for cell in code for line in cell["source"] if line.startswith(("%", "!"))]
    assert book["nbformat"] == 4
