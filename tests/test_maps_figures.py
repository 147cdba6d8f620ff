import numpy as np
import pytest

from balrog_keras.maps import PaintedMaps
from balrog_keras.maps_figures import overview_figure


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr("balrog_keras.maps_figures._POINTS", 60)


def painted(bands, fractions=("coverage", "completeness", "completeness_error")):
    rng = np.random.default_rng(0)
    names = [*fractions]
    names += [f"{kind}_meas_mag_{band}{end}" for band in bands
              for kind in ("bias", "scatter", "depth") for end in ("", "_error")]  # fmt: skip
    return PaintedMaps(8, np.arange(10, 20), {name: rng.random(10) for name in names})


def titles(figure):
    return [axes.get_title().split("\n")[0] for axes in figure.axes if axes.get_title()]


def test_a_panel_for_every_map():
    figure = overview_figure(painted("ri"), "toy data")
    assert titles(figure) == [
        "completeness", "its error", "coverage", "10σ depth, meas mag r", "10σ depth, meas mag i",
        "mean bias, meas mag r", "mean bias, meas mag i", "scatter, meas mag r",
        "scatter, meas mag i",
    ]  # fmt: skip
    assert "toy data" in figure._suptitle.get_text()


def test_many_bands_go_on_in_another_row():
    fractions = ("completeness", "completeness_error", "selected", "coverage", "in_domain")
    figure = overview_figure(painted("grizy", fractions), "toy")
    found = titles(figure)
    assert sum(title.startswith("10σ depth") for title in found) == 5
    assert {"selected", "in domain"} <= set(found)


def test_a_map_without_values_is_drawn_empty():
    maps = painted("i")
    maps.values["depth_meas_mag_i"][:] = np.nan
    maps.values["depth_meas_mag_i_error"][:] = np.nan
    assert "10σ depth, meas mag i" in titles(overview_figure(maps, "toy"))
