import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import read_hdus, require_checksums, whole

KEYWORDS = {
    "TEXT": "it's quoted / not a comment",
    "EMPTY": "",
    "WHOLE": -42,
    "LARGE": 10**15,
    "REAL": -1.6375e30,
    "YES": True,
    "NO": False,
}


@pytest.fixture
def path(tmp_path):
    table = fits.BinTableHDU(Table({"PIXEL": np.arange(700), "SIGNAL": np.linspace(0, 1, 700)}))
    table.header.update(KEYWORDS)
    primary = fits.PrimaryHDU(np.arange(1000, dtype=np.int16))
    path = tmp_path / "map.fits"
    fits.HDUList([primary, table]).writeto(path, checksum=True)
    return path


def damage(path, place, mask=1):
    content = bytearray(path.read_bytes())
    content[place] ^= mask
    path.write_bytes(content)


@pytest.mark.parametrize("gzipped", [False, True])
def test_headers_are_astropys(path, gzipped):
    with fits.open(path) as expected:
        infos = [hdu.fileinfo() for hdu in expected]
        headers = [dict(hdu.header) for hdu in expected]
        sizes = [hdu.size for hdu in expected]
    if gzipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = read_hdus(path)
    assert len(found) == 2
    for hdu, info, header, size in zip(found, infos, headers, sizes, strict=True):
        assert (hdu.start, hdu.size) == (info["datLoc"], size)
        assert hdu.padded_size == info["datSpan"]
        assert {key: hdu.header[key] for key in header} == header
        assert {key: type(hdu.header[key]) for key in header} == {
            key: type(value) for key, value in header.items()
        }


def test_exponent_in_fortrans_way(path):
    content = path.read_bytes()
    assert content.count(b"-1.6375E+30") == 1
    path.write_bytes(content.replace(b"-1.6375E+30", b"-1.6375D+30"))
    assert read_hdus(path)[1].header["REAL"] == KEYWORDS["REAL"]


@pytest.mark.parametrize("gzipped", [False, True])
def test_stated_checksums_are_compared(path, gzipped):
    hdus = read_hdus(path)
    content = path.read_bytes()
    value_of_real = content.index(b"-1.6375E+30") + 4
    for number, place in (
        (None, None), (0, hdus[0].start + 3), (1, hdus[1].start + 99), (1, value_of_real),
    ):  # fmt: skip
        path.write_bytes(content)
        if place is not None:
            damage(path, place)
        if gzipped:
            path.write_bytes(gzip.compress(path.read_bytes()))
        if number is None:
            require_checksums(path)
        else:
            with pytest.raises(BalrogError, match=rf"{path.name} .* header {number} states"):
                require_checksums(path)


def test_a_file_without_checksums_passes(tmp_path):
    path = tmp_path / "map.fits"
    fits.HDUList([fits.PrimaryHDU(np.arange(10))]).writeto(path)
    damage(path, path.stat().st_size - 2881)
    require_checksums(path)


def test_checksums_are_computed_in_parts(path, monkeypatch):
    monkeypatch.setattr("data_prep.map_formats.fits_stream._CHUNK", 2880)
    require_checksums(path)


def reading(path):
    with whole(path):
        return read_hdus(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"SIMPLE  ", b"COMPLEX ", "no FITS file"),
        (b"NAXIS2  =                  700", b"NAXIS2  =                 -700", "NAXIS2 is -700"),
        (b"NAXIS2  =                  700", b"NAXIS2  =                'abc'", "NAXIS2 is 'abc'"),
        (b"NAXIS2  =", b"NAXIS7  =", "NAXIS2 is None"),
        (b"PCOUNT  =                    0", b"PCOUNT  =                   -5", "PCOUNT is -5"),
        (b"BITPIX  =                    8", b"BITPIX  =                    7", "BITPIX is 7"),
        (b"END     ", b"FIN     ", "ends within a header"),
    ],
)
def test_damaged_header_is_an_error(path, old, new, reason):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(BalrogError, match=f"truncated or damaged .*{reason}.*fetch it anew"):
        reading(path)


def test_header_without_end_is_not_read_for_ever(tmp_path):
    path = tmp_path / "map.fits"
    path.write_bytes(b"SIMPLE  =                    T".ljust(2880) + b" " * 2880 * 2000)
    with pytest.raises(BalrogError, match="no END"):
        reading(path)


def test_whole_lets_users_errors_pass_and_names_absent_files(tmp_path):
    with pytest.raises(BalrogError, match="does not exist"), whole(tmp_path / "none"):
        pass
    with pytest.raises(BalrogError, match="^as it is$"), whole(tmp_path):
        raise BalrogError("as it is")
