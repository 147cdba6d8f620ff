"""The example notebooks run in a kernel of their own, with smaller numbers than theirs."""

import json
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "examples" / "notebooks"
# As conftest's no_training_figures does it in this process.
NO_TRAINING_FIGURES = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import light
no_figures = light.training_figures(False)
no_figures.__enter__()
"""
QUICK = """Settings(
    width=8, depth=1, generator_width=4, generator_depth=1, likelihood_steps=0, steps=2,
    batch_size=64, location_scale_steps=20, detection_steps=20, validation_interval=1,
    validation_draws=2, xla=False,
)"""


def _read(name):
    return json.loads((NOTEBOOKS / name).read_text())


def _run(name, checks, before="", **parameters):
    """Figures that are shown; `checks` are code of a last cell, the parameters of one after theirs.

    A parameter is Python's text of a value, for a name that the cell of parameters must set.
    """
    book = nbformat.read(NOTEBOOKS / name, as_version=4)
    (place,) = (
        place for place, cell in enumerate(book.cells)
        if "parameters" in cell.metadata.get("tags", [])
    )  # fmt: skip
    lines = [f"assert {key!r} in globals()\n{key} = {value}" for key, value in parameters.items()]
    given = "\n".join(["from balrog_keras import Settings", before, *lines])
    book.cells.insert(place + 1, nbformat.v4.new_code_cell(given))
    book.cells.append(nbformat.v4.new_code_cell(checks))
    where = {"metadata": {"path": str(NOTEBOOKS)}}
    nbclient.NotebookClient(book, timeout=500, kernel_name="python3", resources=where).execute()
    outputs = (out for cell in book.cells for out in cell.get("outputs", []))
    return sum("image/png" in out.get("data", {}) for out in outputs)


@pytest.mark.slow
def test_emulate_and_plot():
    checks = """
assert 0.5 < measured["detected"].mean() < 0.99
assert measured["meas_mag_i"].notna().equals(measured["detected"])
assert many.shape[0] == 1000
# Of the faintest those are found that noise made bright.
assert levels[0.5].iloc[-1] < levels[0.5].iloc[2] - 0.02
"""
    assert _run("emulate_and_plot.ipynb", checks, rows="20_000") == 3


@pytest.mark.slow
def test_train_on_mini_balrog(tmp_path):
    pytest.importorskip("galsim")
    pytest.importorskip("sep")
    checks = """
assert list(curves.index) == [1, 2]
assert curves["energy_score"].notna().all()
assert draws.shape == (50, len(measured), 3)
assert pd.Series(ratio).between(0.01, 100).all()
"""
    figures = _run(
        "train_on_mini_balrog.ipynb", checks, NO_TRAINING_FIGURES,
        home=f"Path({str(tmp_path)!r})", tiles="12", realizations="2", workers="1",
        settings=QUICK, detection="False",
    )  # fmt: skip
    assert figures == 2


def test_a_cell_that_fails_is_an_error():
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="mistaken"):
        _run("emulate_and_plot.ipynb", "", "raise ValueError('mistaken')")


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_outputs_are_stripped_and_no_magic_is_used(name):
    book = _read(name)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"]]
    assert not [line for cell in code for line in cell["source"] if line.startswith(("%", "!"))]
    assert book["nbformat"] == 4
