import numpy as np
import pytest

from data_prep.inspection.footprint import Bounds
from data_prep.inspection.sky_plot import sky_plot


def drawn(tmp_path, bounds, values_at):
    """The picture's pixels, and the positions that were asked for."""
    import matplotlib.image

    asked = []

    def asked_values(ra, dec):
        asked.append((ra, dec))
        return values_at(ra, dec)

    sky_plot(tmp_path / "sky.png", bounds, asked_values, "title", "unit")
    assert [path.name for path in tmp_path.iterdir()] == ["sky.png"]
    return matplotlib.image.imread(tmp_path / "sky.png")[..., :3], *asked[0]


def columns_of(image, color):
    """Columns of the picture in which there is much of a colour, left of the colour bar."""
    near = (np.abs(image - color).max(axis=2) < 0.02).sum(axis=0)
    return np.flatnonzero(near > 0.3 * image.shape[0])


def test_right_ascension_increases_to_the_left_across_zero(tmp_path):
    """East of 0 one value, west of it another."""
    import matplotlib

    bounds = Bounds(358.0, 4.0, -2.0, 2.0)
    image, ra, dec = drawn(tmp_path, bounds, lambda ra, dec: np.where(ra < 180, 1.0, 0.0))
    low, high = (np.array(matplotlib.colormaps["viridis"](end)[:3]) for end in (0.0, 1.0))
    east, west = columns_of(image, high), columns_of(image, low)
    assert len(east) > 200
    assert np.median(east) < np.median(west)
    assert ra.min() >= 0
    assert ra.max() < 360
    assert set(np.round(ra[ra < 180])) == {0, 1, 2}
    assert dec.min() == pytest.approx(-2.16, abs=0.01)


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(0, 360, -90, 90),
        Bounds(10, 340, 89, 90),
        Bounds(5, 0.01, -60.01, -60),
        Bounds(0, 100, -1, 1),
    ],
)
def test_every_footprint_can_be_drawn(tmp_path, bounds):
    image, ra, dec = drawn(tmp_path, bounds, lambda ra, dec: np.where(dec > dec[0], ra, np.nan))
    assert np.abs(dec).max() < 90
    assert 300 < ra.size < 1_000_000
    assert 300 < image.shape[0] < 1500
    assert 300 < image.shape[1] < 1500


def test_nothing_to_see(tmp_path):
    image, _, _ = drawn(tmp_path, Bounds(0, 1, 0, 1), lambda ra, dec: np.full(ra.size, np.nan))
    assert image.shape[2] == 3
