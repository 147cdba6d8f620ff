import gzip
from pathlib import Path

import fitsio
import healpy
import healsparse
import numpy as np
import pytest
from astropy.io import fits
from sky_maps import LAYOUTS, make_positions, make_sky, value_at, write_sky, write_table

from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import read_hdus
from data_prep.map_formats.map_file import SurveyMap, pixels_at

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


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("nest", [False, True])
def test_pixel_edges_poles_and_ra_zero(tmp_path, layout, nest):
    sky_values = make_sky(nside=32)
    survey_map = SurveyMap.open(write_sky(tmp_path / "map", sky_values, layout, nest))
    nest = nest or layout in ("healsparse", "parquet")
    positions = make_positions(nside=32)
    expected = value_at(sky_values, *positions, nest)
    np.testing.assert_array_equal(survey_map.values_at(*positions), expected)


@pytest.mark.parametrize("pixel_name", ["HPX_PIX", "PIX", "HPIX", "NUMBER"])
@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u4", "i8"])
def test_explicit_index_of_any_name_and_type(tmp_path, pixel_name, gzipped, dtype):
    pixels = np.random.default_rng(0).permutation(12 * NSIDE**2)[:3000] % 2**15
    columns = {"WEIGHT": np.ones(3000, "f4"), pixel_name: pixels.astype(dtype)}
    if pixel_name == "NUMBER":
        columns = dict(reversed(columns.items()))
    columns["SIGNAL"] = np.arange(3000.0)
    path = write_table(
        tmp_path / "map.fits", columns, INDXSCHM="EXPLICIT", NSIDE=NSIDE, gzipped=gzipped
    )
    survey_map = SurveyMap.open(path, column="SIGNAL")
    assert survey_map.layout == "partial"
    expected = dict(zip(pixels.tolist(), range(3000), strict=True))
    np.testing.assert_array_equal(
        survey_map.values_of(np.arange(2**15)), [expected.get(i, np.nan) for i in range(2**15)]
    )


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("layout", ["full", "partial"])
def test_scaled_whole_numbers_with_null(tmp_path, layout, gzipped):
    numbers = np.random.default_rng(0).integers(-1, 1000, 12 * NSIDE**2).astype("i2")
    columns = {"PIXEL": np.arange(numbers.size)} if layout == "partial" else {}
    columns["I"] = numbers
    path = write_table(tmp_path / "map.fits", columns, NSIDE=NSIDE)
    number = len(columns)
    with fits.open(path, mode="update") as file:
        file[1].header.update(
            {f"TNULL{number}": -1, f"TSCAL{number}": 0.01, f"TZERO{number}": 20.0}
        )
    if gzipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    expected = np.where(numbers == -1, np.nan, 20 + 0.01 * numbers).astype(np.float32)
    found = SurveyMap.open(path).values_of(np.arange(numbers.size))
    np.testing.assert_array_equal(found, expected)


def three_columns(path, **header):
    rng = np.random.default_rng(3)
    columns = {name: rng.random(12 * NSIDE**2).astype(np.float32) for name in ("I", "Q", "U")}
    return write_table(path, columns, NSIDE=NSIDE, **header), columns


@pytest.mark.parametrize(("chosen", "name"), [("Q", "Q"), (2, "U"), ("1", "Q"), (None, "I")])
def test_column_by_name_or_number(tmp_path, chosen, name, caplog):
    path, columns = three_columns(tmp_path / "map.fits")
    survey_map = SurveyMap.open(path, column=chosen)
    np.testing.assert_array_equal(survey_map.values_of(np.arange(12 * NSIDE**2)), columns[name])
    assert ("reading I" in caplog.text) == (chosen is None)
    if chosen is not None:
        again = SurveyMap.open(f"{path}#{chosen}")
        assert again == survey_map
    with pytest.raises(BalrogError, match="must have the column 'V'; it has I, Q, U"):
        SurveyMap.open(path, column="V")


def test_galactic_and_multi_order_maps_are_refused(tmp_path):
    with pytest.raises(BalrogError, match="equatorial"):
        SurveyMap.open(three_columns(tmp_path / "a.fits", COORDSYS="G")[0])
    SurveyMap.open(three_columns(tmp_path / "a.fits", COORDSYS="C")[0])
    with pytest.raises(BalrogError, match="multi-order"):
        SurveyMap.open(three_columns(tmp_path / "a.fits", ORDERING="NUNIQ")[0])


@pytest.mark.parametrize("pixel", [-1, 12 * NSIDE**2])
def test_pixel_out_of_range(tmp_path, pixel):
    columns = {"PIXEL": np.array([5, pixel, 7]), "SIGNAL": np.ones(3)}
    survey_map = SurveyMap.open(write_table(tmp_path / "map.fits", columns, NSIDE=NSIDE))
    with pytest.raises(BalrogError, match=f"map.fits: .* found pixel {pixel:,}"):
        survey_map.values_of(np.arange(3))


def test_columns_that_hold_no_numbers_or_no_pixels(tmp_path):
    text = {"PIXEL": np.arange(3), "SIGNAL": np.array(["a", "b", "c"])}
    with pytest.raises(BalrogError, match="SIGNAL must hold numbers"):
        SurveyMap.open(write_table(tmp_path / "a.fits", text))
    text["PIXEL"], text["SIGNAL"] = np.arange(3.0), np.ones(3)
    with pytest.raises(BalrogError, match="one whole number for each value, found TFORM D"):
        SurveyMap.open(write_table(tmp_path / "b.fits", text))


@pytest.mark.parametrize("layout", ["full", "full.gz", "partial", "partial.gz"])
def test_wrong_checksum_is_an_error_in_every_look_up(tmp_path, layout):
    path = write_sky(tmp_path / "map", make_sky(nside=32), layout.removesuffix(".gz"), True)
    with fits.open(path, mode="update", checksum=True) as file:
        file[1].add_checksum()
    start = read_hdus(path)[1].start
    content = bytearray(path.read_bytes())
    content[start + 1001] ^= 4
    path.write_bytes(gzip.compress(content) if layout.endswith(".gz") else content)
    survey_map = SurveyMap.open(path)
    for look_up in (lambda: survey_map.values_of(np.arange(3)), survey_map.good_pixels):
        with pytest.raises(BalrogError, match="checksum that its header 1 states"):
            look_up()


def write(path, *, drop=(), **changed):
    header = {"NSIDE": NSIDE, **changed}
    columns = {"PIXEL": np.arange(5000), "SIGNAL": np.ones(5000, np.float32)}
    return write_table(path, columns, drop=drop, **header)


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
