import healsparse
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.map_formats.map_file import SurveyMap
from data_prep.map_formats.map_finding import find_map
from data_prep.map_formats.map_writing import write_partial_map


def write(path):
    write_partial_map(path, np.arange(3), np.ones(3), nside=4, unit="")
    return path


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".hsp", ".hs", ".parquet"])
def test_first_pattern_that_matches_counts(tmp_path, suffix):
    (tmp_path / f"mine.1{suffix}").touch()
    (tmp_path / f"other{suffix}").touch()
    (tmp_path / "mine.1.txt").touch()
    assert find_map(tmp_path, ["mine.?", "other"]) == tmp_path / f"mine.1{suffix}"
    assert find_map(tmp_path, ["none", "mine_1"]) == tmp_path / f"mine.1{suffix}"
    assert find_map(tmp_path, ["Other"]) is None
    assert find_map(tmp_path, []) is None


def test_healsparse_directory(tmp_path):
    sparse = healsparse.HealSparseMap.make_empty(4, 64, np.float32)
    sparse[np.arange(5)] = np.ones(5, np.float32)
    sparse.write(str(tmp_path / "map.parquet"), format="parquet")
    found = find_map(tmp_path, ["map"])
    assert SurveyMap.open(found).good_pixels()[0].tolist() == [0, 1, 2, 3, 4]


def test_sub_directory_of_a_band(tmp_path):
    for band in "ri":
        write(tmp_path / band / "deepCoadd_psf_size_map.fits")
    found = find_map(tmp_path, ["r/deepCoadd_psf.size*"])
    assert found == tmp_path / "r" / "deepCoadd_psf_size_map.fits"
    assert find_map(tmp_path, ["deepCoadd*", "z/deepCoadd*"]) is None
    with pytest.raises(BalrogError, match="one map must match"):
        find_map(tmp_path, ["?/deepCoadd*"])


def test_column_goes_with_the_file(tmp_path):
    write(tmp_path / "map.fits")
    found = find_map(tmp_path, ["map#SIGNAL"])
    assert found == tmp_path / "map.fits#SIGNAL"
    assert SurveyMap.open(found).path == tmp_path / "map.fits"


def test_ambiguous_and_missing_directory(tmp_path):
    for name in ("m.a.fits", "m_a.fits"):
        write_partial_map(tmp_path / name, np.arange(3), np.ones(3), nside=4, unit="")
    with pytest.raises(BalrogError, match="m.a.fits, m_a.fits"):
        find_map(tmp_path, ["m.a"])
    with pytest.raises(BalrogError, match="directory"):
        find_map(tmp_path / "none", ["m"])
