import numpy as np
import pytest

from balrog_keras.map_statistics import TARGET_SCATTER, Draws, MagnitudePair, map_statistics

PAIR = MagnitudePair("meas_mag_i", 0, 0)


def draws_of(pixels, points, magnitude, difference, selected=None, p_detect=None):
    """Draws with arrays of shape (pixels, points)."""
    shape = (pixels, points)
    magnitude, difference = (np.broadcast_to(each, shape) for each in (magnitude, difference))
    pixel, point = (grid.ravel() for grid in np.indices(shape))
    rows = pixels * points
    return Draws(
        pixel, point, magnitude.reshape(rows, 1).astype("float32"),
        (magnitude + difference).reshape(rows, 1).astype("float32"),
        np.ones(rows, "float32") if p_detect is None else p_detect.ravel(),
        np.ones(rows, bool) if selected is None else selected.ravel(),
    )  # fmt: skip


def pulls(maps, name, truth):
    return (maps[name] - truth) / maps[f"{name}_error"]


def test_values_are_those_of_numpy():
    rng = np.random.default_rng(1)
    difference = rng.standard_t(3, (4, 300))
    selected = rng.random((4, 300)) < 0.7
    p_detect = rng.random((4, 300)).astype("float32")
    draws = draws_of(4, 300, np.zeros((4, 300)), difference, selected, p_detect)
    maps = map_statistics(draws, 4, 400, [PAIR], cuts=True)
    np.testing.assert_allclose(maps["coverage"], 0.75)
    np.testing.assert_allclose(maps["completeness"], p_detect.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(maps["selected"], selected.mean(axis=1), rtol=1e-6)
    for row in range(4):
        kept = difference[row][selected[row]].astype("float32").astype("float64")
        low, high = np.quantile(kept, [0.158655, 0.841345], method="normal_unbiased")
        assert maps["bias_meas_mag_i"][row] == pytest.approx(kept.mean(), rel=1e-5)
        assert maps["scatter_meas_mag_i"][row] == pytest.approx((high - low) / 2, rel=1e-5)


def test_errors_are_the_scatter_of_the_statistics():
    """Independent pixels with the same truth: their spread is the error each one states."""
    rng = np.random.default_rng(2)
    magnitude = np.sort(rng.uniform(20, 23, (400, 600)), axis=1)
    sigma = TARGET_SCATTER * 10 ** (0.3 * (magnitude - 21.6))
    selected = rng.random(magnitude.shape) < 0.8
    noise = sigma * rng.normal(size=magnitude.shape)
    maps = map_statistics(
        draws_of(400, 600, magnitude, noise, selected), 400, 600, [PAIR], cuts=True
    )
    for name, truth in (("selected", 0.8), ("bias_meas_mag_i", 0.0), ("depth_meas_mag_i", 21.6)):
        found = pulls(maps, name, truth)
        assert abs(found.mean()) < 0.35, name
        assert 0.8 < found.std() < 1.4, name
    spread = maps["scatter_meas_mag_i"].std() / np.median(maps["scatter_meas_mag_i_error"])
    assert 0.8 < spread < 1.3


@pytest.mark.parametrize(("slope", "counts"), [(0.4, "flat"), (0.2, "steep")])
def test_depth_is_where_the_scatter_is_the_target(slope, counts):
    """Whatever the counts' slope and that of the scatter, with a floor at the bright end."""
    rng = np.random.default_rng(3)
    uniform = rng.random((8, 20_000))
    magnitude = 18 + 6 * uniform if counts == "flat" else 18 + np.log10(1 + 251 * uniform) * 2.5
    floor = 0.03
    grow = (TARGET_SCATTER**2 - floor**2) ** 0.5
    sigma = np.hypot(floor, grow * 10 ** (slope * (magnitude - 21.3)))
    draws = draws_of(8, 20_000, magnitude, 0.15 + sigma * rng.normal(size=magnitude.shape))
    maps = map_statistics(draws, 8, 20_000, [PAIR], cuts=False)
    assert maps["depth_meas_mag_i"].mean() == pytest.approx(21.3, abs=0.05)
    assert "selected" not in maps


def test_too_few_galaxies_give_no_value_and_no_warning(recwarn):
    empty = draws_of(3, 20, np.full((3, 20), 21.0), 0.1, selected=np.zeros((3, 20), bool))
    maps = map_statistics(empty, 4, 20, [PAIR], cuts=False)
    for name in ("bias", "scatter", "depth"):
        assert np.isnan(maps[f"{name}_meas_mag_i"]).all()
        assert np.isnan(maps[f"{name}_meas_mag_i_error"]).all()
    np.testing.assert_array_equal(maps["coverage"], np.float32([1, 1, 1, 0]))
    assert np.isnan(maps["completeness"][3])
    assert not recwarn.list
