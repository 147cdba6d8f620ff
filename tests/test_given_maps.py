import shutil
from pathlib import Path

import fitsio
import healpy
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.mini_balrog.given_maps import (
    LABEL_DES_I,
    LABEL_GIVEN,
    LABEL_MOCK,
    map_file_name,
    read_given_maps,
    write_maps,
)
from data_prep.mini_balrog.images import IMAGE_BANDS
from data_prep.mini_balrog.mock_maps import PropertyMaps, mock_maps
from data_prep.mini_balrog.tile_layout import contiguous_regions
from data_prep.survey_maps import SurveyMap, write_partial_map

DES = Path(__file__).parents[2] / "shared" / "data"
needs_des = pytest.mark.skipif(
    not (DES / "y3a2_i_mangle_4096_fwhm.hsp").is_file(), reason="the DES maps are not there"
)


@pytest.fixture(scope="module")
def survey():
    regions = contiguous_regions(3, 30.0, -38.0)
    pixels = np.sort((regions[:, None] * 4096 + np.arange(4096)).ravel())
    return mock_maps(pixels, np.random.default_rng(0))


@pytest.fixture
def directory(tmp_path, survey):
    write_maps(tmp_path, survey, LABEL_MOCK)
    return tmp_path


def read(directory):
    return read_given_maps(directory, np.random.default_rng(0))


def files(directory):
    return [
        directory / f"{map_file_name(name, band)}.fits"
        for name in ("fwhm", "sky_noise")
        for band in IMAGE_BANDS
    ]


def test_six_files_with_des_names_headers_and_units(directory):
    paths = files(directory)
    assert sorted(path.name for path in paths) == sorted(p.name for p in directory.iterdir())
    for path, unit in zip(paths, 3 * ["arcsec"] + 3 * ["count"], strict=True):
        with fitsio.FITS(path) as hdus:
            header = hdus[1].read_header()
            assert hdus[1].get_colnames() == ["PIXEL", "SIGNAL"]
        assert header["ORDERING"].strip() == "NESTED"
        assert header["NSIDE"] == 4096
        assert header["TUNIT2"].strip() == unit
        assert header["LABEL"] == LABEL_MOCK


def test_values_are_those_written_by_map_file_and_by_astropys_table(directory, survey):
    from astropy.table import Table

    table = Table.read(files(directory)[4], hdu=1)
    np.testing.assert_array_equal(table["PIXEL"], survey.pixels)
    np.testing.assert_array_equal(table["SIGNAL"], survey.sky_noise[:, 1])
    ra, dec = healpy.pix2ang(4096, survey.pixels[::97], nest=True, lonlat=True)
    values = SurveyMap.open(files(directory)[0]).values_at(ra, dec)
    np.testing.assert_array_equal(values, survey.fwhm[::97, 0])


def test_given_maps_come_back_as_they_were_written(directory, survey):
    again, label = read(directory)
    assert label == LABEL_GIVEN
    np.testing.assert_array_equal(again.pixels, survey.pixels)
    np.testing.assert_array_equal(again.fwhm, survey.fwhm)
    np.testing.assert_array_equal(again.sky_noise, survey.sky_noise)


def test_pixel_missing_in_one_map_is_missing(directory, survey):
    path = files(directory)[5]
    kept = survey.pixels[100:]
    write_partial_map(path, kept, survey.sky_noise[100:, 2], nside=4096, unit="count")
    np.testing.assert_array_equal(read(directory)[0].pixels, kept)


def test_coarser_ring_maps_are_read_at_the_fine_pixels(tmp_path):
    coarse = np.arange(1000, 1010)
    for number, path in enumerate(files(tmp_path)):
        value = np.full(10, 0.9 if number < 3 else 5.0) + 0.01 * np.arange(10)
        ring = healpy.nest2ring(256, coarse)
        write_partial_map(path, ring, value, nside=256, nest=False, unit="")
    maps, _ = read(tmp_path)
    np.testing.assert_array_equal(np.unique(maps.pixels // 256), coarse)
    np.testing.assert_allclose(maps.fwhm[:, 1], 0.9 + 0.01 * (maps.pixels // 256 - 1000), rtol=1e-6)


def test_missing_map_is_named(directory):
    files(directory)[1].unlink()
    with pytest.raises(BalrogError, match=f"fwhm_i: {map_file_name('fwhm', 'i')}"):
        read(directory)


def test_empty_directory_says_what_was_looked_for(tmp_path):
    with pytest.raises(BalrogError, match="there are no files"):
        read(tmp_path)


def test_maps_in_the_wrong_unit_are_refused(tmp_path, survey):
    wrong = PropertyMaps(survey.pixels, survey.fwhm / 3600, survey.sky_noise)
    write_maps(tmp_path, wrong, LABEL_MOCK)
    with pytest.raises(BalrogError, match="fwhm must be in arcsec"):
        read(tmp_path)


def test_maps_without_a_common_pixel_are_refused(directory, survey):
    away = survey.pixels + 4096 * 1000
    write_partial_map(files(directory)[3], away, survey.fwhm[:, 0], nside=4096, unit="count")
    with pytest.raises(BalrogError, match="no pixel has a value in all"):
        read(directory)


@needs_des
def test_real_des_i_band_is_kept_and_its_noise_agrees_with_its_depth_map():
    maps, label = read(DES)
    assert label == LABEL_DES_I
    ra, dec = healpy.pix2ang(4096, maps.pixels, nest=True, lonlat=True)
    real = {
        name: SurveyMap.open(DES / f"y3a2_i_mangle_4096_{name}.hsp").values_at(ra, dec)
        for name in ("fwhm", "maglim")
    }
    np.testing.assert_allclose(maps.fwhm[:, 1], real["fwhm"], rtol=1e-6)
    # MAGLIM, which was not used, is 10 sigma in an aperture of 2 arcsec diameter.
    noise = 10 ** (0.4 * (30 - real["maglim"])) / (10 * np.sqrt(np.pi) / 0.263)
    np.testing.assert_allclose(maps.sky_noise[:, 1], noise, rtol=0.12)
    assert np.median(maps.sky_noise[:, 1] / noise) == pytest.approx(1.0, abs=0.01)
    assert len(maps.pixels) > 4800


@needs_des
def test_derived_bands_have_a_surveys_ratios_and_say_so(caplog):
    with caplog.at_level("WARNING"):
        maps, _ = read(DES)
    assert "r and z are derived" in caplog.text
    ratio = np.median(maps.sky_noise / maps.sky_noise[:, [1]], axis=0)
    assert 0.4 < ratio[0] < 0.8 < 1.4 < ratio[2] < 2.6
    assert np.isfinite(maps.fwhm).all()


@needs_des
def test_des_i_band_without_exposure_times_is_refused(tmp_path):
    for name in ("fwhm", "skyvar"):
        shutil.copy(DES / f"y3a2_i_mangle_4096_{name}.hsp", tmp_path)
    with pytest.raises(BalrogError, match="exptime is there too|mangle_4096_exptime"):
        read(tmp_path)
