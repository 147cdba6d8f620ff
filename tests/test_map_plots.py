import numpy as np
import pytest

from balrog_keras.map_plots import grid_figure


@pytest.mark.parametrize(
    ("bounds", "weight"),
    [((0.1, 0.3), "bold"), ((-0.1, 0.3), "normal"), ((np.nan, np.nan), "normal")],
)
def test_only_an_interval_that_leaves_out_zero_is_bold(bounds, weight):
    """Of one region there is no interval, which says nothing."""
    table = {
        "grid": "true_mag_r, fwhm_r",
        "edges": [np.array([20.0, 21.0]), np.array([0.8, 0.9])],
        "bias": np.array([[0.2]]),
        "bias_interval": np.array([[bounds]]),
    }
    figure = grid_figure({"meas_mag_r": table}, ("bias",), "oracle", "label")
    (text,) = figure.axes[0].texts
    assert text.get_text() == "+20"
    assert text.get_fontweight() == weight
