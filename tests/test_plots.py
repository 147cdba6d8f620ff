import numpy as np
import pytest
from evaluation_world import BANDS, LABEL, SCHEMA, conditions, measure

from balrog_keras import calibration_plots, metrics, plots
from balrog_keras.bootstrap import RegionBootstrap

matplotlib = pytest.importorskip("matplotlib")
NAMES = SCHEMA.measured_names
CONDITION = conditions(800, 0)
REAL, EMULATED = measure(CONDITION, [1]), measure(CONDITION, [2])


def bins():
    by_name = dict.fromkeys(NAMES, 0.02)
    return [
        {"condition": condition, "low": 0.0, "high": 1.0, "rows": 200, "pit_ks": by_name,
         "pit_ks_null": by_name, "coverage_68": by_name, "coverage_95": by_name}
        for condition in ("true_mag_r", "fwhm_r") for _ in range(4)
    ]  # fmt: skip


def table(emulated):
    bootstrap = RegionBootstrap(np.arange(800) % 10, 20)
    pairs = zip(NAMES, REAL.T, emulated.T, strict=True)
    return {n: metrics.binned_bias_spread(a, b, CONDITION[:, 3], 4, bootstrap) for n, a, b in pairs}


def c2st():
    entry = {"value": 0.52, "interval": [0.51, 0.53], "null": 0.5, "null_interval": None}
    return {"classifiers": {"trees": entry, "network": entry}}


FIGURES = {
    "colours": lambda: plots.colour_magnitude_figure(REAL, EMULATED, BANDS, LABEL),
    "residuals": lambda: plots.residual_figure(
        {"real": REAL - 22, "emulated": EMULATED - 22, "oracle": REAL - 22}, NAMES, LABEL
    ),
    "correlation": lambda: plots.correlation_figure(
        {"real": np.eye(3), "emulated": np.eye(3)}, NAMES, LABEL
    ),
    "binned": lambda: plots.binned_figure(
        table(EMULATED),
        table(REAL),
        dict(zip(NAMES, NAMES, strict=True)),
        "fwhm r [arcsec]",
        "oracle",
        LABEL,
    ),
    "pit": lambda: calibration_plots.pit_figure(
        np.random.default_rng(0).random((800, 3)), NAMES, LABEL
    ),
    "coverage": lambda: calibration_plots.coverage_figure(bins(), NAMES, LABEL),
    "bins": lambda: calibration_plots.bins_figure(bins(), {"null": 0.04}, 0.07, LABEL),
    "c2st": lambda: calibration_plots.c2st_figure(c2st(), 0.55, "oracle", LABEL),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_labelled_and_renders(name, tmp_path):
    figure = FIGURES[name]()
    assert isinstance(figure, matplotlib.figure.Figure)
    assert LABEL in figure.get_suptitle()
    figure.savefig(tmp_path / "figure.png", dpi=40)
    assert (tmp_path / "figure.png").stat().st_size > 2000


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_has_named_axes(name):
    figure = FIGURES[name]()
    panels = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]
    named = [axis for axis in panels if axis.get_xlabel() or axis.get_title() or axis.get_ylabel()]
    assert named == panels or name in ("binned",)


def test_pyplot_is_not_touched():
    import matplotlib.pyplot as plt

    plots.colour_magnitude_figure(REAL, EMULATED, BANDS, LABEL)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("bands", "panels"), [("ri", 3), ("riz", 6), ("griz", 12)])
def test_diagrams_follow_the_bands(bands, panels):
    values = np.random.default_rng(0).normal(22, 1, (500, len(bands)))
    figure = plots.colour_magnitude_figure(values, values, bands, LABEL)
    assert len([axis for axis in figure.axes if axis.get_label() != "<colorbar>"]) == panels


def test_original_two_diagrams():
    figure = plots.colour_magnitude_figure(REAL, EMULATED, BANDS, LABEL)
    first = [axis for axis in figure.axes if axis.get_title() == "real"]
    axes = [(axis.get_ylabel(), axis.get_xlabel()) for axis in first]
    assert axes == [("r - i", "i"), ("r - i", "i - z")]


def test_same_scale_for_real_and_emulated():
    few = EMULATED[:200]
    figure = plots.colour_magnitude_figure(REAL, few, BANDS, LABEL)
    real, emulated = (
        next(axis for axis in figure.axes if axis.get_title() == name).collections[0]
        for name in ("real", "emulated")
    )
    assert real.get_clim() == emulated.get_clim()
