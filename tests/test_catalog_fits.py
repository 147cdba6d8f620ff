import gzip

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError


def read(path, batch_rows=10**6):
    catalog = open_catalog(path)
    names = [name for name, width in catalog.widths.items() if width]
    batches = list(catalog.batches(names, batch_rows))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def write(path, columns, **header):
    table = fits.BinTableHDU.from_columns(columns)
    table.header.update(header)
    table.writeto(path)
    return path


def test_every_type_of_number_reads_as_astropy_and_fitsio_read_it(tmp_path):
    rng = np.random.default_rng(1)
    types = ("u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "bool")
    table = Table()
    for kind in types:
        limits = np.iinfo(kind) if np.dtype(kind).kind in "iu" else None
        values = (
            rng.integers(limits.min, limits.max, (50, 3), kind, endpoint=True)
            if limits
            else rng.normal(size=(50, 3)) > 0
            if kind == "bool"
            else rng.normal(size=(50, 3))
        ).astype(kind)
        table[kind], table[f"{kind} vector"] = values[:, 0], values
    table.write(tmp_path / "all.fits")
    found, raw = read(tmp_path / "all.fits"), fitsio.read(tmp_path / "all.fits")
    assert set(found) == set(table.colnames)
    for name in table.colnames:
        np.testing.assert_array_equal(found[name], table[name], err_msg=name)
        assert found[name].dtype == table[name].dtype
        np.testing.assert_array_equal(found[name], raw[name], err_msg=name)


def test_scaled_and_null_values(tmp_path):
    columns = {
        "scaled": np.array([1, -5, 7], np.int16),
        "holes": np.array([3, -999, 5], np.int32),
        "whole": np.array([3, 4, 5], np.int32),
        "signed": np.array([-128, 5, 127], np.int8),
    }
    with fitsio.FITS(tmp_path / "t.fits", "rw") as file:
        file.write(columns)
        for key, value in {"TSCAL1": 0.5, "TZERO1": 10.0, "TNULL2": -999, "TNULL3": -999}.items():
            file[1].write_key(key, value)
    found = read(tmp_path / "t.fits")
    np.testing.assert_array_equal(found["scaled"], [10.5, 7.5, 13.5])
    np.testing.assert_array_equal(found["holes"], [3, np.nan, 5])
    np.testing.assert_array_equal(found["whole"], [3, 4, 5])
    assert found["whole"].dtype == np.int32
    np.testing.assert_array_equal(found["signed"], [-128, 5, 127])
    assert found["signed"].dtype == np.int8


def test_columns_without_one_number_per_element_are_no_numbers(tmp_path):
    columns = [
        fits.Column("id", "K", array=np.arange(3)),
        fits.Column("text", "8A", array=["a", "b", "c"]),
        fits.Column("bits", "11X", array=np.zeros((3, 11), bool)),
        fits.Column("complex", "C", array=np.zeros(3, np.complex64)),
        fits.Column("variable", "PE()", array=np.array([[1.0], [1.0, 2.0], []], dtype=object)),
        fits.Column("matrix", "4E", dim="(2,2)", array=np.zeros((3, 2, 2), np.float32)),
        fits.Column("last", "E", array=np.arange(3.0)),
    ]
    path = write(tmp_path / "t.fits", columns)
    numbers = {name for name, width in open_catalog(path).widths.items() if width}
    assert numbers == {"id", "last"}
    np.testing.assert_array_equal(read(path)["last"], [0, 1, 2])


def test_table_behind_images_units_and_label_of_the_primary_header(tmp_path):
    path = tmp_path / "labelled.fits"
    with fitsio.FITS(path, "rw") as hdus:
        hdus.write(np.ones((70, 70)), header={"LABEL": "mine"})
        hdus.write(np.ones((5, 5)))
        hdus.write({"bal_id": np.arange(3)}, units=["count"], extname="CATALOG")
        hdus.write({"other": np.arange(3)})
    catalog = open_catalog(path)
    assert (catalog.label, catalog.units) == ("mine", {"bal_id": "count"})
    np.testing.assert_array_equal(read(path)["bal_id"], [0, 1, 2])


def test_tables_that_are_not_read_say_what_to_do(tmp_path):
    columns = [fits.Column("id", "I10", array=np.arange(3))]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "text.fits")
    with pytest.raises(BalrogError, match="plain binary table; write it as a binary table"):
        open_catalog(tmp_path / "text.fits")
    packed = write(tmp_path / "t.fits.fz", [fits.Column("id", "K", array=[1])], ZTABLE=True)
    with pytest.raises(BalrogError, match="unpack it: funpack"):
        open_catalog(packed)
    fits.PrimaryHDU(np.ones((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(BalrogError, match="must hold a table; it has none"):
        open_catalog(tmp_path / "image.fits")


@pytest.mark.parametrize("gzipped", [False, True])
def test_checksum(tmp_path, gzipped):
    columns = [
        fits.Column("id", "K", array=np.arange(999)),
        fits.Column("variable", "PE()", array=np.array([[1.0]] * 999, dtype=object)),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits", checksum=True)
    content = bytearray((tmp_path / "t.fits").read_bytes())
    start = content.index(b"XTENSION")
    comment = content.index(b"binary table extension", start)
    data = len(content) - 2880
    path = tmp_path / ("u.fits.gz" if gzipped else "u.fits")
    pack = gzip.compress if gzipped else bytes
    path.write_bytes(pack(content))
    assert read(path)["id"][-1] == 998
    for place in (comment, data, start + 2 * 2880 + 100):
        broken = bytearray(content)
        broken[place] ^= 1
        path.write_bytes(pack(broken))
        with pytest.raises(BalrogError, match="must have the checksum that its header 1 states"):
            open_catalog(path)


def test_damaged_headers(tmp_path):
    path = write(tmp_path / "t.fits", [fits.Column("id", "K", array=np.arange(9))])
    content = path.read_bytes()
    for old, new in (
        (b"NAXIS1  =                    8", b"NAXIS1  =                    9"),
        (b"NAXIS2  =                    9", b"NAXIS2  =             99999999"),
        (b"NAXIS2  =                    9", b"NAXIS2  =                   -9"),
        (b"'K       '", b"'?       '"),
        (b"XTENSION", b"XTENSIOM"),
    ):
        assert old in content
        path.write_bytes(content.replace(old, new))
        with pytest.raises(BalrogError, match="truncated"):
            open_catalog(path)


@pytest.mark.parametrize("several", [True, False])
def test_other_tables_are_mentioned(tmp_path, caplog, several):
    caplog.set_level("INFO")
    path, columns = tmp_path / "t.fits", {"x": np.arange(5.0)}
    tables = [fits.BinTableHDU(Table(columns).as_array(), name=name) for name in ("FIRST", "OTHER")]
    fits.HDUList([fits.PrimaryHDU(), *tables[: 1 + several]]).writeto(path)
    assert open_catalog(path).rows == 5
    assert ("several tables; the first (FIRST) is read" in caplog.text) == several
