import numpy as np
import pytest
from toy import toy_schema
from toy_detection import toy_injections, toy_probability

from balrog_keras import detection_plots
from balrog_keras.detection_evaluation import DetectionRows, evaluate_detection

LABEL = "toy: a known detection probability"


@pytest.fixture(scope="module")
def statistics():
    rows = DetectionRows.of(toy_injections(5_000, 1))
    p = toy_probability(rows.condition)
    return evaluate_detection(toy_schema(), rows, p, simulations=20, replicates=5).statistics


def test_reliability_shows_the_bins(statistics):
    figure = detection_plots.reliability_figure(statistics["reliability"], LABEL)
    left, right = figure.axes
    for axis, y in (
        (left, statistics["reliability"]["detected"]),
        (right, statistics["reliability"]["detected"] - statistics["reliability"]["probability"]),
    ):
        np.testing.assert_allclose(axis.lines[0].get_ydata(), y)
    assert LABEL in figure.get_suptitle()


def test_completeness_has_a_column_per_magnitude(statistics):
    curves = statistics["completeness"]
    figure = detection_plots.completeness_figure(curves, LABEL)
    assert [axis.get_xlabel() for axis in figure.axes[3:]] == [
        "true mag r", "true mag i", "true mag z",
    ]  # fmt: skip
    emulated = next(line for line in figure.axes[1].lines if line.get_label() == "emulated")
    table = curves["true_mag_i"]
    np.testing.assert_allclose(emulated.get_ydata(), table["expected"][table["judged"]])
    assert LABEL in figure.get_suptitle()


def test_joint_cells_show_their_numbers(statistics):
    figure = detection_plots.joint_figure(statistics["joint"], LABEL)
    cells = statistics["joint"]["true_mag_r, fwhm_r"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 24
    assert texts[0] == f"{cells['ece'][0, 0]:.3f}\n({cells['null'][0, 0]:.3f})"
    assert LABEL in figure.get_suptitle()
