import json
import pickle
import shutil

import healpy
import numpy as np
import pytest
from survey_files import MAP_NAMES, write_maps

from data_prep.errors import BalrogError
from data_prep.preset import load_preset
from data_prep.splits import region_of
from data_prep.survey_maps import StoredMaps, SurveyMaps, write_partial_map

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


@pytest.mark.parametrize("dots", [True, False])
def test_find_accepts_dots_and_underscores(tmp_path, survey, dots):
    for path in survey[0].iterdir():
        stem = path.name.removesuffix(".fits")
        shutil.copy(path, tmp_path / ((stem if dots else stem.replace(".", "_")) + ".fits"))
    maps = SurveyMaps.find(tmp_path, PATTERNS)
    assert set(maps.maps) == set(PATTERNS)
    assert {path.parent for path in maps.paths} == {tmp_path}


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


def test_map_that_covers_nothing(survey):
    maps = SurveyMaps.find(survey[0], PATTERNS)
    with pytest.raises(BalrogError, match="fwhm_i must cover .* none of its .*NESTED"):
        maps.require_coverage({"fwhm_r": 3, "fwhm_i": 0})
    maps.require_coverage({"fwhm_r": 3, "fwhm_i": 1})
    maps.require_coverage({})


def two_maps(directory):
    pixels, rng = np.arange(12 * 16**2), np.random.default_rng(0)
    skies = {"size": rng.uniform(1, 3, pixels.size), "noise": rng.uniform(-1, 40, pixels.size)}
    for name, sky in skies.items():
        write_partial_map(directory / f"{name}.fits", pixels, sky, nside=16, unit="")
    return {name: sky.astype(np.float32) for name, sky in skies.items()}


SOURCES = {
    "fwhm": {"maps": {"p": ["size"]}, "expression": "0.471 * p", "zero_is_missing": False},
    "both": {"maps": {"p": ["size"], "n": ["none", "noise"]}, "expression": "p + n"},
    "depth": {"maps": {"value": ["noise"]}, "expression": "", "zero_is_missing": True},
    "size": ["size"],
}
RANGES = {"depth": (0.0, 30.0), "fwhm": (None, 1.2), "of_no_map": (0, 1)}


def test_columns_derived_from_maps(tmp_path):
    skies = two_maps(tmp_path)
    maps = SurveyMaps.find(tmp_path, SOURCES, ranges=RANGES)
    assert maps.paths == [tmp_path / "size.fits", tmp_path / "noise.fits"]
    assert maps.maps["both.p"] is maps.maps["fwhm"] is maps.maps["size"]
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 2000), rng.uniform(-90, 90, 2000)
    pixels = healpy.ang2pix(16, ra, dec, nest=True, lonlat=True)
    size, noise = (skies[name][pixels].astype(float) for name in ("size", "noise"))
    expected = {
        "fwhm": np.where(0.471 * size <= 1.2, 0.471 * size, np.nan),
        "both": size + noise,
        "depth": np.where((noise >= 0) & (noise <= 30), noise, np.nan),
        "size": size,
    }
    stored = maps.build_stores(tmp_path / "stores", region_of(ra, dec))
    copies = [pickle.loads(pickle.dumps(stored))]
    copies.append(StoredMaps.from_dict(json.loads(json.dumps(stored.to_dict()))))
    for opened in (maps, stored, *copies):
        found = opened.values_at(ra, dec)
        assert list(found) == list(SOURCES)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values.astype(np.float32))
    assert len(list((tmp_path / "stores").iterdir())) == 2


def test_sources_of_every_preset_are_found_and_looked_up(tmp_path):
    for name in ("des-y3-metacal", "des-y6", "lsst-ssi"):
        sources = load_preset(name).map_sources
        directory = tmp_path / name
        pixels = np.arange(12 * 16**2)
        for source in sources.values():
            for pattern, *_ in source["maps"].values():
                path = directory / (pattern.replace("*", "") + ".fits")
                write_partial_map(path, pixels, np.full(pixels.size, 2.0), nside=16, unit="")
        found = SurveyMaps.find(directory, sources).values_at([10.0], [-20.0])
        assert set(found) == set(sources)
        assert all(np.isfinite(values).all() for values in found.values())
        if name == "lsst-ssi":
            assert found["fwhm_r"] == pytest.approx(2.355 * 0.2 * 2)


def test_expression_must_use_all_its_maps(tmp_path):
    two_maps(tmp_path)
    for source, message in (
        ({"maps": {"p": ["size"]}, "expression": "p + q"}, "all of its maps"),
        ({"maps": {"p": ["size"], "n": ["noise"]}, "expression": "p"}, "all of its maps"),
        ({"maps": {"p": ["size"], "n": ["noise"]}, "expression": ""}, "all of its maps"),
        ({"maps": {"p": ["size"]}, "expression": "p +"}, "survey property x"),
    ):
        with pytest.raises(BalrogError, match=message):
            SurveyMaps.find(tmp_path, {"x": source})


def test_missing_map_of_an_expression_is_named_with_its_alias(tmp_path):
    two_maps(tmp_path)
    source = {"maps": {"p": ["size"], "n": ["nowhere"]}, "expression": "p + n"}
    with pytest.raises(BalrogError, match=r"x \(n\): nowhere"):
        SurveyMaps.find(tmp_path, {"x": source})
