import healpy
import numpy as np
import pytest
from sky_maps import LAYOUTS, make_positions, make_sky, write_sky

from data_prep.errors import BalrogError
from data_prep.map_formats.map_columns import MapColumn, look_up
from data_prep.map_formats.map_file import pixels_at
from data_prep.survey_maps import SurveyMaps

NSIDE = 128


class ArrayMap:
    """A whole sky in memory that counts how often it is asked."""

    def __init__(self, sky, nest=True):
        self.sky, self.nside, self.nest, self.nested = sky, healpy.npix2nside(sky.size), nest, nest
        self.asked = 0

    def values_of(self, ascending):
        assert (np.diff(ascending) >= 0).all()
        self.asked += 1
        return self.sky[ascending].astype(np.float32)


@pytest.fixture(scope="module")
def sky():
    values = np.random.default_rng(0).normal(5, 1, 12 * NSIDE**2)
    values[::7], values[::11] = np.nan, 0
    return values.astype(np.float32)


def test_expression_over_several_maps_each_read_once(sky):
    maps = {"a": ArrayMap(sky), "b": ArrayMap(sky**2, nest=False)}
    columns = {
        "plain": MapColumn({"value": "a"}),
        "ratio": MapColumn({"x": "a", "y": "b"}, "sqrt(y) / x"),
        "scaled": MapColumn({"pixels": "b"}, "2.355 * 0.2 * pixels"),
    }
    ra, dec = make_positions(NSIDE)
    found = look_up(maps, columns, ra, dec)
    assert list(found) == list(columns)
    a = sky[pixels_at(ra, dec, nside=NSIDE, nest=True)]
    b = (sky**2)[pixels_at(ra, dec, nside=NSIDE, nest=False)]
    np.testing.assert_array_equal(found["plain"], a)
    with np.errstate(all="ignore"):
        ratio = np.sqrt(b.astype(float)) / a.astype(float)
    np.testing.assert_array_equal(
        found["ratio"], np.where(np.isfinite(ratio), ratio, np.nan).astype(np.float32)
    )
    np.testing.assert_array_equal(found["scaled"], (2.355 * 0.2 * b.astype(float)).astype("f4"))
    assert all(values.dtype == np.float32 for values in found.values())
    assert maps["a"].asked == maps["b"].asked == 1


def test_zero_can_be_missing_and_junk_is(sky):
    columns = {
        "all": MapColumn({"value": "a"}),
        "no_zero": MapColumn({"value": "a"}, zero_is_missing=True),
        "ranged": MapColumn({"value": "a"}, minimum=4.0, maximum=5.5),
        "double": MapColumn({"v": "a"}, "2 * v", zero_is_missing=True, maximum=11.0),
    }
    positions = make_positions(NSIDE)
    found = look_up({"a": ArrayMap(sky)}, columns, *positions)
    value = sky[pixels_at(*positions, nside=NSIDE, nest=True)]
    np.testing.assert_array_equal(found["all"], value)
    no_zero = np.where(value == 0, np.nan, value)
    np.testing.assert_array_equal(found["no_zero"], no_zero)
    inside = (value >= 4) & (value <= 5.5)
    np.testing.assert_array_equal(found["ranged"], np.where(inside, value, np.nan))
    np.testing.assert_array_equal(found["double"], np.where(no_zero <= 5.5, 2 * no_zero, np.nan))
    assert np.isnan(found["double"]).sum() > np.isnan(found["no_zero"]).sum() > 500


def test_range_includes_its_ends_as_float32():
    values = np.array([0.1, 0.7, np.nextafter(np.float32(0.7), np.float32(1))], np.float32)
    column = MapColumn({"value": "a"}, minimum=0.1, maximum=0.7)
    expected = [*values[:2], np.nan]
    np.testing.assert_array_equal(column.values({"a": values}, "x"), expected)


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("nside", [4, 128])
def test_interpolation_is_healpys(tmp_path, layout, nest, nside):
    full = np.random.default_rng(0).normal(5, 1, 12 * nside**2)
    path = write_sky(tmp_path / "map", full, layout, nest)
    nest = nest or layout in ("healsparse", "parquet")
    maps, positions = SurveyMaps({"x": path}), make_positions(nside)
    expected = healpy.get_interp_val(full, *positions, nest=nest, lonlat=True)
    stored = maps.build_stores(tmp_path / "stores", np.arange(12 * 64**2))
    for opened in (maps, stored):
        found = opened.values_at(*positions, interpolate=True)["x"]
        np.testing.assert_allclose(found, expected, rtol=3e-7)


def test_interpolation_leaves_missing_pixels_out(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.map_formats.map_columns._INTERPOLATED_ROWS", 1000)
    sky = make_sky(16, np.float64)
    sky[:800] = healpy.UNSEEN
    path = write_sky(tmp_path / "map", sky, "partial", False)
    ra, dec = make_positions(16)
    found = SurveyMaps({"x": path}).values_at(ra, dec, interpolate=True)["x"]
    pixels, weights = healpy.get_interp_weights(16, ra, dec, lonlat=True)
    expected = np.full(len(ra), np.nan)
    for row in range(len(ra)):
        good = sky[pixels[:, row]] > -1e30
        if weights[good, row].sum() > 0:
            expected[row] = np.average(sky[pixels[good, row]], weights=weights[good, row])
    np.testing.assert_allclose(found, expected, rtol=3e-7)
    assert 500 < np.isnan(found).sum() < 4000


def test_no_positions_and_bad_ones(sky):
    maps, columns = {"a": ArrayMap(sky)}, {"x": MapColumn({"value": "a"})}
    for interpolate in (False, True):
        assert look_up(maps, columns, [], [], interpolate)["x"].shape == (0,)
        with pytest.raises(BalrogError, match="row 1 has ra 360"):
            look_up(maps, columns, [0.0, 360.0], [0.0, 0.0], interpolate)
