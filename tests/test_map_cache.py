import shutil

import numpy as np
import pytest
from sky_maps import LAYOUTS, NSIDE, make_positions, make_sky, value_at, write_sky

from data_prep.map_formats.map_file import SurveyMap
from data_prep.splits import region_of
from data_prep.survey_maps import SurveyMaps

REGION_BYTES = 4 * (NSIDE // 64) ** 2
REGIONS = 12 * 64**2


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("nside", [32, NSIDE])
def test_same_sky_again_needs_no_file(tmp_path, layout, nest, nside):
    sky = make_sky(nside)
    path = write_sky(tmp_path / "map", sky, layout, nest)
    maps, positions = SurveyMaps({"x": path}), make_positions(nside)
    expected = value_at(sky, *positions, nest or layout in ("healsparse", "parquet"))
    np.testing.assert_array_equal(maps.values_at(*positions)["x"], expected)
    remove(path)
    np.testing.assert_array_equal(maps.values_at(*positions)["x"], expected)


@pytest.mark.parametrize("layout", ["full.gz", "partial", "healsparse"])
@pytest.mark.parametrize("room", [0, 1, 500, REGIONS])
def test_limit_changes_no_value(tmp_path, layout, room):
    sky = make_sky()
    path = write_sky(tmp_path / "map", sky, layout, False)
    maps = SurveyMaps({"x": path}, cache_bytes=room * REGION_BYTES)
    for seed in (1, 2):
        positions = make_positions(count=1000, seed=seed)
        expected = value_at(sky, *positions, layout == "healsparse")
        for _ in range(2):
            np.testing.assert_array_equal(maps.values_at(*positions)["x"], expected)


def test_kept_regions_are_within_the_limit(tmp_path):
    path = write_sky(tmp_path / "map", make_sky(), "partial", True)
    maps = SurveyMaps({"x": path, "y": path}, cache_bytes=500 * REGION_BYTES)
    maps.values_at(*make_positions())
    (cached,) = maps._cached.values()
    assert len(cached._kept) == 500


def count_reads(monkeypatch):
    reads, blocks = [], SurveyMap.blocks

    def counted(self, *area):
        reads.append(area)
        return blocks(self, *area)

    monkeypatch.setattr(SurveyMap, "blocks", counted)
    return reads


@pytest.mark.parametrize(("layout", "expected"), [("partial.gz", 1), ("healsparse", 2)])
def test_a_file_that_must_be_read_whole_is_read_once(tmp_path, layout, expected, monkeypatch):
    sky = make_sky()
    maps = SurveyMaps({"x": write_sky(tmp_path / "map", sky, layout, True)})
    reads = count_reads(monkeypatch)
    ra, dec = make_positions()
    north = dec > 0
    for part in (north, ~north, north):
        found = maps.values_at(ra[part], dec[part])["x"]
        np.testing.assert_array_equal(found, value_at(sky, ra[part], dec[part], True))
    assert len(reads) == expected


def test_only_regions_with_positions_are_read_of_healsparse(tmp_path, monkeypatch):
    maps = SurveyMaps({"x": write_sky(tmp_path / "map", make_sky(), "healsparse", True)})
    reads = count_reads(monkeypatch)
    ra, dec = np.array([10.0, 10.2, 200.0]), np.array([5.0, 5.0, -60.0])
    maps.values_at(ra, dec)
    (area,) = reads
    assert area[0] == 64
    np.testing.assert_array_equal(area[1], np.unique(region_of(ra, dec)))
