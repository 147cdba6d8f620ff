import gzip
from pathlib import Path

import fitsio
import healsparse
import hpgeom
import numpy as np
import pytest
from sky_maps import make_positions

from data_prep.errors import BalrogError
from data_prep.map_formats.map_file import SurveyMap

NSIDE, NSIDE_COVERAGE = 128, 8
SHARED = Path(__file__).parents[2] / "shared" / "data"
FORMATS = {"fits": ".hsp", "parquet": ".parquet"}


@pytest.fixture(params=FORMATS)
def write(request, tmp_path):
    def write(sparse):
        path = tmp_path / f"map{FORMATS[request.param]}"
        sparse.write(str(path), format=request.param)
        return path

    return write


def some_pixels(count=4000, seed=0):
    return np.random.default_rng(seed).permutation(12 * NSIDE**2)[:count]


def empty(dtype, **keywords):
    return healsparse.HealSparseMap.make_empty(NSIDE_COVERAGE, NSIDE, dtype, **keywords)


def positions_off_edges():
    """On an edge between pixels, healsparse and healpy round to different ones."""
    ra, dec = make_positions(NSIDE, count=5000)
    return ra[:5005], dec[:5005]


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4", "i8", "u1"])
@pytest.mark.parametrize("sentinel", [None, 0])
def test_numbers_are_healsparses_and_sentinels_missing(write, dtype, sentinel):
    if sentinel is None and dtype == "u1":
        sentinel = 255
    if dtype.startswith("f"):
        sentinel = None if sentinel is None else -5.0
    sparse = empty(np.dtype(dtype).type, sentinel=sentinel)
    pixels = some_pixels()
    sparse[pixels] = (np.arange(4000) % 100 + 1).astype(dtype)
    survey_map = SurveyMap.open(write(sparse))
    assert (survey_map.nside, survey_map.nest, survey_map.layout) == (NSIDE, True, "healsparse")
    ra, dec = positions_off_edges()
    values = sparse.get_values_pos(ra, dec, lonlat=True)
    expected = np.where(values == sparse.sentinel, np.nan, values).astype(np.float32)
    np.testing.assert_array_equal(survey_map.values_at(ra, dec), expected)
    assert 100 < np.isfinite(expected).sum() < len(ra)
    np.testing.assert_array_equal(survey_map.good_pixels()[0], np.sort(pixels))


@pytest.mark.parametrize("bit_packed", [False, True])
def test_booleans_are_one_or_missing(write, bit_packed):
    sparse = empty(bool, bit_packed=bit_packed)
    pixels = some_pixels()
    sparse[pixels] = np.ones(4000, bool)
    sparse[pixels[:50]] = np.zeros(50, bool)
    survey_map = SurveyMap.open(write(sparse))
    ra, dec = positions_off_edges()
    expected = np.where(sparse.get_values_pos(ra, dec, lonlat=True), 1, np.nan)
    np.testing.assert_array_equal(survey_map.values_at(ra, dec), expected)
    np.testing.assert_array_equal(survey_map.good_pixels()[0], np.sort(pixels[50:]))


def test_field_of_a_record_map(write):
    fields = [("depth", "f8"), ("count", "i4"), ("fwhm", "f4")]
    sparse = empty(fields, primary="count")
    pixels = some_pixels()
    records = np.zeros(4000, fields)
    for name, _ in fields:
        records[name] = np.random.default_rng(1).integers(1, 90, 4000)
    records["fwhm"][:100] = hpgeom.UNSEEN
    sparse[pixels] = records
    path = write(sparse)
    for place, (name, _) in enumerate(fields):
        survey_map = SurveyMap.open(f"{path}#{name}")
        assert survey_map == SurveyMap.open(path, column=place)
        expected = records[name].astype(np.float32)
        np.testing.assert_array_equal(
            survey_map.values_of(pixels), np.where(expected < 0, np.nan, expected)
        )
        others = np.setdiff1d(np.arange(12 * NSIDE**2), pixels)
        assert np.isnan(survey_map.values_of(others)).all()
    with pytest.raises(BalrogError, match="which field .* depth, count, fwhm"):
        SurveyMap.open(path)
    with pytest.raises(BalrogError, match="must have the column 'seeing'"):
        SurveyMap.open(path, column="seeing")


def test_wide_mask_is_refused(write):
    sparse = empty(healsparse.WIDE_MASK, wide_mask_maxbits=10)
    sparse.set_bits_pix(some_pixels(), [3])
    with pytest.raises(BalrogError, match="wide mask"):
        SurveyMap.open(write(sparse))


def test_only_coverage_pixels_of_the_positions_are_read(write, monkeypatch):
    sparse = empty(np.float32)
    sparse[np.arange(12 * NSIDE**2)] = np.arange(12 * NSIDE**2, dtype=np.float32)
    survey_map = SurveyMap.open(write(sparse))
    read, of_library = [], healsparse.HealSparseMap.read

    def reading(path, pixels):
        read.extend(pixels)
        return of_library(path, pixels=pixels)

    monkeypatch.setattr(healsparse.HealSparseMap, "read", reading)
    size = (NSIDE // NSIDE_COVERAGE) ** 2
    wanted = np.array([700, 5, 9]) * size
    np.testing.assert_array_equal(survey_map.values_of(wanted), wanted)
    assert read == [5, 9, 700]


@pytest.mark.parametrize("nside_coverage", [1, 32, 128])
def test_blocks_of_an_area_hold_all_its_pixels(tmp_path, nside_coverage, monkeypatch):
    monkeypatch.setattr("data_prep.map_formats.map_healsparse._BATCH_PIXELS", 3000)
    sparse = healsparse.HealSparseMap.make_empty(nside_coverage, NSIDE, np.float32)
    sparse[np.arange(12 * NSIDE**2)] = np.arange(12 * NSIDE**2, dtype=np.float32)
    sparse.write(str(tmp_path / "map.hsp"))
    survey_map = SurveyMap.open(tmp_path / "map.hsp")
    for area_nside, area in ((64, np.array([3, 77, 40_000])), (128, np.arange(9, 13)), (4, [7])):
        blocks = list(survey_map.blocks(area_nside, np.asarray(area)))
        pixels = np.concatenate([block[0] for block in blocks])
        size = (NSIDE // area_nside) ** 2
        wanted = (np.asarray(area)[:, None] * size + np.arange(size)).ravel()
        assert np.isin(wanted, pixels).all()
        assert pixels.size <= max(wanted.size, 4 * (NSIDE // nside_coverage) ** 2)
        np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), pixels)


def test_unit_of_the_header(write):
    sparse = empty(np.float32, metadata={"TUNIT": "arcsec"})
    sparse[np.arange(10)] = np.ones(10, np.float32)
    assert SurveyMap.open(write(sparse)).unit == "arcsec"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real DES maps are not here")
def test_real_des_maps_agree_with_healsparse():
    for path in sorted(SHARED.glob("*.hsp")):
        sparse = healsparse.HealSparseMap.read(str(path))
        survey_map = SurveyMap.open(path)
        pixels, values = survey_map.good_pixels()
        np.testing.assert_array_equal(pixels, sparse.valid_pixels)
        np.testing.assert_array_equal(values, sparse[sparse.valid_pixels])


def test_index_that_points_outside_is_an_error(tmp_path):
    sparse = empty(np.float32)
    sparse[some_pixels()] = np.ones(4000, np.float32)
    for place, value in ((3, 10**12), (4, -(10**12)), (5, 7)):
        path = tmp_path / "map.hsp"
        sparse.write(str(path), clobber=True)
        with fitsio.FITS(path, "rw") as file:
            index = file["COV"].read()
            index[place] = value
            file["COV"].write(index)
        with pytest.raises(BalrogError, match="map.hsp .* coverage index points outside"):
            SurveyMap.open(path).values_of(np.arange(3))


def test_other_directories_and_gzipped_files(tmp_path):
    with pytest.raises(BalrogError, match="HealSparse map in Parquet|truncated"):
        SurveyMap.open(tmp_path)
    sparse = empty(np.float32)
    sparse[np.arange(10)] = np.ones(10, np.float32)
    sparse.write(str(tmp_path / "map.hsp"))
    path = tmp_path / "map.hsp.gz"
    path.write_bytes(gzip.compress((tmp_path / "map.hsp").read_bytes()))
    with pytest.raises(BalrogError, match="run gunzip"):
        SurveyMap.open(path)


def test_parquet_map_that_lacks_a_file(tmp_path):
    sparse = empty(np.float32)
    sparse[some_pixels()] = np.ones(4000, np.float32)
    sparse.write(str(tmp_path / "map.parquet"), format="parquet")
    (tmp_path / "map.parquet" / "_coverage.parquet").unlink()
    with pytest.raises(BalrogError, match="missing coverage map"):
        SurveyMap.open(tmp_path / "map.parquet").values_of(np.arange(5))
