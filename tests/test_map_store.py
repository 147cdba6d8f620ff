import json
import pickle
import subprocess
import sys

import healpy
import numpy as np
import pytest
from sky_maps import LAYOUTS, NSIDE, make_positions, make_sky, value_at, write_sky, write_table

from data_prep.errors import BalrogError
from data_prep.map_formats.map_file import SurveyMap
from data_prep.map_formats.map_store import MapStore
from data_prep.splits import region_of

EVERYWHERE = np.arange(12 * 64**2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("nside", [4, 64, 256])
def test_values_are_healpys_everywhere(tmp_path, layout, nest, nside):
    sky = make_sky(nside)
    survey_map = SurveyMap.open(write_sky(tmp_path / "map", sky, layout, nest))
    store = MapStore.build(survey_map, EVERYWHERE, tmp_path / "stores" / "map")
    positions = make_positions(nside, count=2000)
    nest = nest or layout in ("healsparse", "parquet")
    expected = value_at(sky, *positions, nest)
    np.testing.assert_array_equal(store.values_at(*positions), expected)
    for copy in (pickle.loads(pickle.dumps(store)), as_json(store)):
        np.testing.assert_array_equal(copy.values_at(*positions), expected)


def as_json(store):
    return MapStore.from_dict(json.loads(json.dumps(store.to_dict())))


@pytest.mark.parametrize("layout", ["full.gz", "partial", "healsparse"])
@pytest.mark.parametrize("nest", [False, True])
def test_only_the_regions_asked_for_are_kept(tmp_path, layout, nest):
    sky = make_sky()
    survey_map = SurveyMap.open(write_sky(tmp_path / "map", sky, layout, nest))
    regions = np.array([0, 3, 20_000, 49_151])
    store = MapStore.build(survey_map, regions, tmp_path / "store")
    assert store.cells.path.stat().st_size == 4 * 4 * (NSIDE // 64) ** 2
    positions = make_positions(count=200_000)
    expected = value_at(sky, *positions, nest or layout == "healsparse")
    inside = np.isin(region_of(*positions), regions)
    np.testing.assert_array_equal(store.values_at(*positions), np.where(inside, expected, np.nan))
    assert np.isfinite(expected[inside]).sum() > 5


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_full_sky_fits_file_is_its_own_store(tmp_path, several, dtype):
    sky = np.arange(12 * NSIDE**2) % 5000
    columns = {"I": sky.astype(dtype)} | ({"Q": sky[::-1].astype("f4")} if several else {})
    path = write_table(tmp_path / "map.fits", columns, ORDERING="RING")
    store = MapStore.build(SurveyMap.open(f"{path}#I"), EVERYWHERE, tmp_path / "store")
    assert list(tmp_path.iterdir()) == [path]
    positions = make_positions()
    np.testing.assert_array_equal(store.values_at(*positions), value_at(sky, *positions, False))


def test_last_of_a_repeated_pixel_counts_in_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.map_formats.map_cells._STREAM_BYTES", 2000)
    rng = np.random.default_rng(0)
    pixels, values = rng.integers(0, 12 * NSIDE**2, 50_000), rng.normal(size=50_000)
    values[::9] = healpy.UNSEEN
    sky = np.full(12 * NSIDE**2, healpy.UNSEEN)
    for pixel, value in zip(pixels, values, strict=True):
        sky[pixel] = value
    path = write_table(tmp_path / "map.fits", {"PIXEL": pixels, "SIGNAL": values}, ORDERING="RING")
    survey_map, positions = SurveyMap.open(path), make_positions()
    store = MapStore.build(survey_map, EVERYWHERE, tmp_path / "store")
    expected = value_at(sky, *positions, False)
    np.testing.assert_array_equal(store.values_at(*positions), expected)
    np.testing.assert_array_equal(survey_map.values_at(*positions), expected)
    np.testing.assert_array_equal(survey_map.good_pixels()[0], np.flatnonzero(sky > -1.6e30))


def test_built_once_for_a_map_and_its_regions(tmp_path):
    path = write_sky(tmp_path / "map", make_sky(), "partial", True)

    def build(regions):
        store = MapStore.build(SurveyMap.open(path), np.array(regions), tmp_path / "store" / "map")
        return store.cells.path, store.cells.path.stat().st_mtime_ns

    first = build([1, 2])
    assert build([1, 2]) == first
    assert build([1, 3])[0] != first[0]
    write_sky(tmp_path / "map", make_sky(seed=9), "partial", True)
    assert build([1, 2])[0] != first[0]


def build_and_look_up(path, copy):
    store = MapStore.build(SurveyMap.open(path), EVERYWHERE, copy)
    return store.values_at(*make_positions())


@pytest.mark.parametrize("layout", ["full", "full.gz", "partial", "partial.gz", "healsparse"])
def test_truncated_map_leaves_no_store(tmp_path, layout):
    path = write_sky(tmp_path / "map", make_sky(), layout, False)
    path.write_bytes(path.read_bytes()[: int(0.9 * path.stat().st_size)])
    with pytest.raises(BalrogError, match=f"{path.name} must be a whole map"):
        build_and_look_up(path, tmp_path / "stores" / "map")
    assert not list(tmp_path.glob("stores/*"))


def test_store_that_is_gone_or_cut(tmp_path):
    path = write_sky(tmp_path / "map", make_sky(), "partial", True)
    store = MapStore.build(SurveyMap.open(path), EVERYWHERE, tmp_path / "store")
    content = store.cells.path.read_bytes()
    store.cells.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BalrogError, match="truncated"):
        store.values_at(*make_positions())
    store.cells.path.unlink()
    with pytest.raises(BalrogError, match="does not exist"):
        store.values_at(*make_positions())
    survey_map = SurveyMap.open(path)
    path.unlink()
    with pytest.raises(BalrogError, match="is gone"):
        MapStore.build(survey_map, EVERYWHERE, tmp_path / "store")


MEASURE = """
import sys
import numpy as np
from data_prep.survey_maps import SurveyMaps, pixels_at
def peak():
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
rng = np.random.default_rng(0)
ra, dec = rng.uniform(0, 360, 100_000), rng.uniform(-90, 90, 100_000)
pixels_at(ra, dec, nside=64, nest=True)
maps = SurveyMaps({path: path for path in sys.argv[2:]})
before = peak()
maps.build_stores(sys.argv[1], np.arange(49152)).values_at(ra, dec)
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("layout", ["full", "partial.gz"])
def test_memory_does_not_grow_with_the_number_of_maps(tmp_path, layout):
    nside = 1024 if layout == "full" else 256
    sky = np.arange(12 * nside**2, dtype=np.float32) % 1000
    first = write_sky(tmp_path / "map", sky, layout, True)
    paths = [tmp_path / f"{number}{first.name}" for number in range(8)]
    for path in paths:
        path.symlink_to(first)

    def growth(count):
        command = [sys.executable, "-c", MEASURE, tmp_path / "stores", *paths[:count]]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout) / 1024

    few, many = growth(2), growth(8)
    assert few < 150
    assert many - few < 20
