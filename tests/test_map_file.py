import gzip
from pathlib import Path

import fitsio
import healpy
import healsparse
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.map_file import SurveyMap, pixels_at

NSIDE = 64
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def positions():
    rng = np.random.default_rng(1)
    ra = np.append(rng.uniform(0, 360, 20_000), [0.0, 0.0, 359.999999])
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    return ra, np.append(dec, [90.0, -90.0, 0.0])


def sky(dtype=np.float32):
    values = np.random.default_rng(2).normal(size=12 * NSIDE**2).astype(dtype)
    values[::7] = healpy.UNSEEN
    return values


def by_healpy(path, ra, dec, nest):
    """The value that healpy's own reader and pixels give; missing as NaN."""
    whole = healpy.read_map(path, nest=nest)
    found = whole[healpy.ang2pix(NSIDE, ra, dec, nest=nest, lonlat=True)].astype(np.float32)
    return np.where(found < -1.6e30, np.float32(np.nan), found)


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_healpy(tmp_path, positions, nest, partial, suffix, dtype):
    path = tmp_path / f"map{suffix}"
    healpy.write_map(path, sky(dtype), nest=nest, partial=partial, dtype=dtype)
    survey_map = SurveyMap.open(path)
    assert (survey_map.nside, survey_map.nest) == (NSIDE, nest)
    assert survey_map.layout == ("partial" if partial else "full")
    found = survey_map.values_at(*positions)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, by_healpy(path, *positions, nest))
    assert np.isnan(found).sum() > 1000


def test_column_of_the_full_sky_depth_map(tmp_path, positions):
    # DES's depth map is one row per pixel, column I.
    values = sky()
    header = {"ORDERING": "NESTED", "NSIDE": NSIDE, "OBJECT": "FULLSKY"}
    path = tmp_path / "depth.fits"
    fitsio.write(path, {"I": values}, header=header)
    found = SurveyMap.open(path).values_at(*positions)
    np.testing.assert_array_equal(found, by_healpy(path, *positions, True))


def test_good_pixels_are_those_with_a_value(tmp_path):
    values = sky()
    for partial in (False, True):
        path = tmp_path / f"{partial}.fits"
        healpy.write_map(path, values, nest=True, partial=partial, dtype=np.float32)
        pixels, found = SurveyMap.open(path).good_pixels()
        expected = np.flatnonzero(values > -1.6e30)
        np.testing.assert_array_equal(pixels, expected)
        np.testing.assert_array_equal(found, values[expected])


@pytest.mark.parametrize("nest", [False, True])
def test_every_kind_of_missing_value_is_nan_and_zero_is_a_value(tmp_path, nest):
    missing = [healpy.UNSEEN, -1.7e30, np.nan, np.inf, -np.inf, -99.0]
    table = {
        "PIXEL": np.arange(8),
        "SIGNAL": np.array([0.0, *missing, 2.5], np.float32),
    }
    header = {"ORDERING": "NESTED" if nest else "RING", "NSIDE": NSIDE, "BAD_DATA": -99.0}
    path = tmp_path / "map.fits"
    fitsio.write(path, table, header=header, names=["PIXEL", "SIGNAL"])
    values = SurveyMap.open(path).values_of(np.arange(10))
    np.testing.assert_array_equal(values, [0.0] + 6 * [np.nan] + [2.5, np.nan, np.nan])


def test_unsorted_and_repeated_pixels_agree_with_healpy(tmp_path, positions):
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 12 * NSIDE**2, 30_000)
    table = {"PIXEL": pixels, "SIGNAL": rng.normal(size=pixels.size).astype(np.float32)}
    header = {"ORDERING": "RING", "NSIDE": NSIDE, "OBJECT": "PARTIAL", "INDXSCHM": "EXPLICIT"}
    path = tmp_path / "map.fits"
    fitsio.write(path, table, header=header, names=["PIXEL", "SIGNAL"])
    found = SurveyMap.open(path).values_at(*positions)
    np.testing.assert_array_equal(found, by_healpy(path, *positions, False))


def test_healsparse_agrees_with_its_own_library(tmp_path, positions):
    sparse = healsparse.HealSparseMap.make_empty(8, NSIDE, np.float32)
    pixels = np.random.default_rng(5).permutation(12 * NSIDE**2)[:9000]
    sparse[pixels] = np.linspace(0, 1, 9000, dtype=np.float32)
    path = tmp_path / "map.hsp"
    sparse.write(str(path))
    survey_map = SurveyMap.open(path)
    assert (survey_map.nside, survey_map.nest) == (NSIDE, True)
    expected = sparse.get_values_pos(*positions, lonlat=True)
    expected = np.where(expected == sparse.sentinel, np.nan, expected)
    np.testing.assert_array_equal(survey_map.values_at(*positions), expected)
    np.testing.assert_array_equal(survey_map.good_pixels()[0], np.sort(pixels))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real DES maps are not here")
def test_real_des_map_across_ra_zero():
    path = SHARED / "y3a2_i_mangle_4096_fwhm.hsp"
    survey_map = SurveyMap.open(path)
    pixels, values = survey_map.good_pixels()
    ra, dec = healpy.pix2ang(4096, pixels, nest=True, lonlat=True)
    assert ra.min() < 1
    assert ra.max() > 359
    np.testing.assert_array_equal(survey_map.values_at(ra, dec), values)
    assert np.isnan(survey_map.values_at([180.0], [10.0])).all()
    assert (values.min(), values.max()) == (
        pytest.approx(0.6975, abs=1e-3),
        pytest.approx(1.0942, abs=1e-3),
    )


def write(path, *, drop=(), **changed):
    header = {"ORDERING": "NESTED", "NSIDE": NSIDE, **changed}
    header = {key: value for key, value in header.items() if key not in drop}
    table = {"PIXEL": np.arange(5000), "SIGNAL": np.ones(5000, np.float32)}
    fitsio.write(path, table, header=header, names=["PIXEL", "SIGNAL"], clobber=True)
    return path


def test_pixels_that_its_nside_cannot_hold(tmp_path):
    survey_map = SurveyMap.open(write(tmp_path / "map.fits", NSIDE=8))
    with pytest.raises(BalrogError, match="NSIDE is wrong"):
        survey_map.values_of(np.arange(3))
    path = tmp_path / "full.fits"
    header = {"ORDERING": "NESTED", "NSIDE": 8, "OBJECT": "FULLSKY"}
    fitsio.write(path, {"I": sky()}, header=header)
    with pytest.raises(BalrogError, match="NSIDE is wrong"):
        SurveyMap.open(path).values_of(np.arange(3))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.97])
@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".hsp"])
def test_truncated_file(tmp_path, suffix, share):
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".hsp":
        sparse = healsparse.HealSparseMap.make_empty(32, 256, np.float32)
        sparse[np.arange(200_000)] = np.random.default_rng(0).random(200_000).astype(np.float32)
        sparse.write(str(whole))
    else:
        healpy.write_map(whole, sky(), nest=True, partial=True, dtype=np.float32)
    content = whole.read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BalrogError, match=str(path)):
        SurveyMap.open(path).good_pixels()


def test_not_a_map(tmp_path):
    with pytest.raises(BalrogError, match="does not exist"):
        SurveyMap.open(tmp_path / "none.fits")
    text = tmp_path / "text.fits"
    text.write_text("no map")
    with pytest.raises(BalrogError, match="truncated or damaged"):
        SurveyMap.open(text)
    text = tmp_path / "text.fits.gz"
    text.write_bytes(gzip.compress(b"no map"))
    with pytest.raises(BalrogError, match="truncated or damaged"):
        SurveyMap.open(text)
    image = tmp_path / "image.fits"
    fitsio.write(image, np.zeros((4, 4)))
    with pytest.raises(BalrogError, match="no table"):
        SurveyMap.open(image)


@pytest.mark.parametrize(
    ("ra", "dec"), [(360.0, 0), (-0.1, 0), (0, 90.1), (0, -91), (np.nan, 0), (0, np.nan)]
)
def test_position_out_of_range_names_the_first_row(ra, dec):
    with pytest.raises(BalrogError, match=r"row 1 has ra .* \(2 such rows\)"):
        pixels_at([10.0, ra, ra], [10.0, dec, dec], nside=64, nest=True)


def test_no_positions():
    assert pixels_at([], [], nside=64, nest=True).shape == (0,)
