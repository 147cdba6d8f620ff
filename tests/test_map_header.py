import fitsio
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.map_formats.map_file import SurveyMap

NSIDE = 64


def write(path, *, drop=(), **changed):
    header = {"ORDERING": "NESTED", "NSIDE": NSIDE, **changed}
    header = {key: value for key, value in header.items() if key not in drop}
    table = {"PIXEL": np.arange(5000), "SIGNAL": np.ones(5000, np.float32)}
    fitsio.write(path, table, header=header, names=["PIXEL", "SIGNAL"], clobber=True)
    return path


@pytest.mark.parametrize(
    ("key", "option", "given"),
    [("ORDERING", "--map-ordering", {"nest": True}), ("NSIDE", "--map-nside", {"nside": NSIDE})],
)
def test_missing_keyword_names_the_option_that_supplies_it(tmp_path, key, option, given):
    path = write(tmp_path / "map.fits", drop=[key])
    with pytest.raises(BalrogError, match=rf"{key}.*{option}"):
        SurveyMap.open(path)
    survey_map = SurveyMap.open(path, **given)
    assert (survey_map.nside, survey_map.nest) == (NSIDE, True)


@pytest.mark.parametrize("given", [{"nest": False}, {"nside": 128}])
def test_contradicting_option_is_refused(tmp_path, given):
    with pytest.raises(BalrogError, match="header says"):
        SurveyMap.open(write(tmp_path / "map.fits"), **given)


def test_unknown_ordering_and_odd_nside(tmp_path):
    with pytest.raises(BalrogError, match="'SPIRAL'.*--map-ordering"):
        SurveyMap.open(write(tmp_path / "a.fits", ORDERING="spiral"))
    with pytest.raises(BalrogError, match="power of two, found 100"):
        SurveyMap.open(write(tmp_path / "b.fits", NSIDE=100))


@pytest.mark.parametrize(
    ("keywords", "names", "layout"),
    [
        ({"OBJECT": "PARTIAL"}, ["HPIX", "VALUE"], "partial"),
        ({"INDXSCHM": "EXPLICIT"}, ["HPIX", "VALUE"], "partial"),
        ({}, ["PIXEL", "SIGNAL"], "partial"),
        ({"INDXSCHM": "IMPLICIT"}, ["PIXEL", "SIGNAL"], "full"),
        ({"OBJECT": "FULLSKY"}, ["I", "Q"], "full"),
        ({}, ["I", "Q"], "full"),
    ],
)
def test_layout(tmp_path, keywords, names, layout):
    header = {"ORDERING": "RING", "NSIDE": NSIDE, **keywords}
    path = tmp_path / "map.fits"
    fitsio.write(path, [np.arange(4), np.ones(4)], header=header, names=names)
    survey_map = SurveyMap.open(path)
    assert (survey_map.layout, survey_map.column) == (layout, int(layout == "partial"))


def test_partial_map_without_values(tmp_path):
    path = tmp_path / "map.fits"
    fitsio.write(path, {"PIXEL": np.arange(4)}, header={"ORDERING": "RING", "NSIDE": NSIDE})
    with pytest.raises(BalrogError, match="a pixel and a value column"):
        SurveyMap.open(path)
