import healpy
import numpy as np
import pytest
from sky_maps import make_positions, make_sky, write_sky

from data_prep.map_formats.map_file import SurveyMap, pixels_at
from data_prep.map_formats.map_regions import RegionGrid, nested_blocks, runs
from data_prep.splits import region_of


@pytest.mark.parametrize("nside", [128, 4096, 32768])
def test_regions_of_pixels_are_those_of_positions(nside):
    grid, (ra, dec) = RegionGrid(nside), make_positions(nside)
    regions = grid.regions_of(pixels_at(ra, dec, nside=nside, nest=True))
    np.testing.assert_array_equal(regions[:5000], region_of(ra, dec)[:5000])
    assert grid.size * grid.count == 12 * nside**2
    np.testing.assert_array_equal(grid.only(np.array([5, 2, 5])), [2, 5])


@pytest.mark.parametrize("nside", [1, 64])
def test_coarse_map_is_one_region(nside):
    grid = RegionGrid(nside)
    assert (grid.size, grid.count) == (12 * nside**2, 1)
    assert not grid.regions_of(np.arange(grid.size)).any()
    np.testing.assert_array_equal(grid.only(np.array([5, 2])), [0])


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("layout", ["full", "partial.gz", "healsparse"])
def test_blocks_are_nested_and_ascending(tmp_path, layout, nest):
    sky = make_sky()
    survey_map = SurveyMap.open(write_sky(tmp_path / "map", sky, layout, nest))
    found = np.full(sky.size, np.nan, np.float32)
    for pixels, values in nested_blocks(survey_map, RegionGrid(128), np.arange(12 * 64**2)):
        assert (np.diff(pixels) > 0).all()
        found[pixels] = values
    nested = sky if survey_map.nest else healpy.reorder(sky, r2n=True)
    np.testing.assert_array_equal(found, np.where(nested < -1e30, np.nan, nested))


def test_runs():
    assert list(runs(np.array([3, 3, 4, 9, 9, 9]))) == [(3, 0, 2), (4, 2, 3), (9, 3, 6)]
    assert list(runs(np.empty(0, np.int64))) == []
