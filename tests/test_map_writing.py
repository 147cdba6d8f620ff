import errno

import healpy
import healsparse
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.map_formats.map_file import SurveyMap
from data_prep.map_formats.map_writing import write_partial_map, write_sparse_map


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


def test_written_healsparse_map_is_healsparses_own(tmp_path):
    path = tmp_path / "new" / "map.hsp"
    pixels, values = np.array([9, 3, 700, 5]), np.array([0.9, 0.3, 0.0, np.nan])
    write_sparse_map(path, pixels, values, nside=16, unit="mag", extra_header={"LABEL": "mini"})
    sparse = healsparse.HealSparseMap.read(str(path))
    np.testing.assert_array_equal(np.sort(sparse.valid_pixels), [3, 9, 700])
    np.testing.assert_array_equal(sparse[pixels[:3]], values[:3].astype(np.float32))
    assert sparse.nside_sparse == 16
    assert {"TUNIT": "mag", "LABEL": "mini"}.items() <= dict(sparse.metadata).items()
    found, known = SurveyMap.open(path).good_pixels()
    np.testing.assert_array_equal(found, [3, 9, 700])
    np.testing.assert_array_equal(known, np.float32([0.3, 0.9, 0.0]))
    assert SurveyMap.open(path).unit == "mag"
    assert [file.name for file in path.parent.iterdir()] == ["map.hsp"]
    with pytest.raises(BalrogError, match="distinct pixels"):
        write_sparse_map(path, np.array([1, 1]), np.ones(2), nside=16, unit="")
