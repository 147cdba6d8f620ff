import errno
import shutil

import healpy
import numpy as np
import pytest
from survey_files import MAP_NAMES, write_maps

from data_prep.errors import BalrogError
from data_prep.preset import load_preset
from data_prep.survey_maps import SurveyMap, SurveyMaps, find_map, write_partial_map

PATTERNS = load_preset("des-y3-sof").map_patterns


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    directory = tmp_path_factory.mktemp("maps")
    return directory, write_maps(directory, nside=256)


def test_values_of_every_map(survey):
    directory, values = survey
    maps = SurveyMaps.find(directory, PATTERNS)
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(5, 25, 3000), rng.uniform(-10, 10, 3000)
    found = maps.values_at(ra, dec)
    pixels = healpy.ang2pix(256, ra, dec, nest=True, lonlat=True)
    assert list(found) == list(PATTERNS) == list(MAP_NAMES)
    for name, column in found.items():
        expected = [values[name].get(pixel, np.nan) for pixel in pixels.tolist()]
        np.testing.assert_array_equal(column, np.asarray(expected, np.float32))
        assert 0 < np.isnan(column).sum() < 3000


def test_maps_of_different_nside_and_ordering_together(tmp_path):
    pixels = np.arange(12 * 16**2)
    write_partial_map(tmp_path / "a.fits", pixels, pixels, nside=16, nest=False, unit="")
    write_partial_map(tmp_path / "b.fits.gz", pixels, pixels, nside=16, unit="")
    write_partial_map(tmp_path / "c.fits", np.arange(48), np.arange(48), nside=2, unit="")
    files = {"a": tmp_path / "a.fits", "b": tmp_path / "b.fits.gz", "c": tmp_path / "c.fits"}
    ra, dec = np.array([3.0, 200.0, 3.0, 77.0]), np.array([10.0, -80.0, 10.0, 45.0])
    found = SurveyMaps(files).values_at(ra, dec)
    for name, nside, nest in (("a", 16, False), ("b", 16, True), ("c", 2, True)):
        expected = healpy.ang2pix(nside, ra, dec, nest=nest, lonlat=True)
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
@pytest.mark.parametrize("dots", [True, False])
def test_find_accepts_dots_and_underscores(tmp_path, survey, suffix, dots):
    for path in survey[0].iterdir():
        stem = path.name.removesuffix(".fits")
        shutil.copy(path, tmp_path / ((stem if dots else stem.replace(".", "_")) + ".fits"))
    assert set(SurveyMaps.find(tmp_path, PATTERNS).maps) == set(PATTERNS)
    pattern = PATTERNS["fwhm_r"]
    write_partial_map(tmp_path / f"mine{suffix}", np.arange(3), np.ones(3), nside=4, unit="")
    assert find_map(tmp_path, ["mine", *pattern]) == tmp_path / f"mine{suffix}"
    assert find_map(tmp_path, ["nothing"]) is None


def test_find_says_what_is_missing_and_what_lies_there(tmp_path, survey):
    for path in survey[0].iterdir():
        if "_r_" not in path.name:
            shutil.copy(path, tmp_path)
    with pytest.raises(BalrogError) as error:
        SurveyMaps.find(tmp_path, PATTERNS)
    message = str(error.value)
    assert "fwhm_r: y3a2_r_o.4096_t.32768_FWHM.WMEAN_EQU" in message
    assert "sky_noise_r" in message
    assert "fwhm_i:" not in message
    assert MAP_NAMES["fwhm_i"] in message


def test_ambiguous_and_missing_directory(tmp_path):
    for name in ("m.a.fits", "m_a.fits"):
        write_partial_map(tmp_path / name, np.arange(3), np.ones(3), nside=4, unit="")
    with pytest.raises(BalrogError, match="m.a.fits, m_a.fits"):
        find_map(tmp_path, ["m.a"])
    with pytest.raises(BalrogError, match="directory"):
        find_map(tmp_path / "none", ["m"])


def test_map_that_covers_nothing(survey):
    maps = SurveyMaps.find(survey[0], PATTERNS)
    values = maps.values_at([200.0, 201.0], [60.0, 60.0])
    with pytest.raises(BalrogError, match="fwhm_r must cover .* none of its 2 galaxies"):
        maps.require_coverage(values)
    maps.require_coverage(maps.values_at([200.0, 15.0], [60.0, 0.0]))
    maps.require_coverage(maps.values_at([], []))


def test_written_map_is_healpys_own_and_carries_its_header(tmp_path):
    path = tmp_path / "new" / "map.fits"
    pixels, values = np.array([9, 3, 700]), np.array([0.9, 0.3, 0.0])
    write_partial_map(path, pixels, values, nside=16, unit="arcsec", extra_header={"LABEL": "mini"})
    whole, header = healpy.read_map(path, nest=True, h=True)
    np.testing.assert_array_equal(whole[pixels], values.astype(np.float32))
    assert np.count_nonzero(whole > -1.6e30) == 3
    header = dict(header)
    expected = {"ORDERING": "NESTED", "NSIDE": 16, "TUNIT2": "arcsec", "LABEL": "mini"}
    assert {key: header[key] for key in expected} == expected
    assert SurveyMap.open(path).unit == "arcsec"
    assert [file.name for file in path.parent.iterdir()] == ["map.fits"]


@pytest.mark.parametrize(
    ("pixels", "values"), [([1, 1], [2, 3]), ([1, 2], [2]), ([-1], [2]), ([12 * 16**2], [2])]
)
def test_write_refuses_bad_pixels(tmp_path, pixels, values):
    with pytest.raises(BalrogError, match="pixel"):
        write_partial_map(
            tmp_path / "m.fits", np.array(pixels), np.array(values), nside=16, unit=""
        )
    assert not list(tmp_path.iterdir())


def test_disk_full_keeps_the_old_map(tmp_path, monkeypatch):
    path = tmp_path / "map.fits"
    write_partial_map(path, np.arange(3), np.ones(3), nside=16, unit="")
    before = path.read_bytes()

    def full(partial, *arguments, **keywords):
        partial.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fitsio.write", full)
    with pytest.raises(OSError, match="No space left"):
        write_partial_map(path, np.arange(4), np.ones(4), nside=16, unit="")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
