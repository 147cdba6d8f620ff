import fitsio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from survey_files import LABEL, make_catalog, matched_of, write_table

from data_prep.catalogs import Element, open_catalog
from data_prep.errors import BalrogError

SUFFIXES = (".fits", ".fits.gz", ".parquet")


@pytest.fixture(params=SUFFIXES)
def written(request, tmp_path):
    columns = matched_of(make_catalog(500))
    return open_catalog(write_table(tmp_path / f"matched{request.param}", columns)), columns


def test_reads_every_column_in_batches_in_native_byte_order(written):
    catalog, columns = written
    assert catalog.rows == len(columns["bal_id"])
    assert catalog.label == LABEL
    batches = list(catalog.batches(list(columns), 100))
    assert [len(batch["bal_id"]) for batch in batches] == [100, 100, 100, catalog.rows - 300]
    for name, expected in columns.items():
        found = np.concatenate([batch[name] for batch in batches])
        assert found.dtype == expected.dtype
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, expected)


def test_widths_and_elements(written):
    catalog, _ = written
    assert (catalog.widths["bal_id"], catalog.widths["meas_cm_mag"]) == (1, 4)
    griz = ("g", "r", "i", "z")
    assert catalog.find(["nothing", "meas_cm_mag[i]"], griz) == Element("meas_cm_mag", 2)
    assert catalog.find(["meas_cm_mag[3]", "bal_id"]) == Element("meas_cm_mag", 3)
    assert catalog.find(["nothing"]) is None
    for text, message in (
        ("meas_cm_mag", "vector of 4; pick an element"),
        ("meas_cm_mag[4]", "must have an element 4; it has 4"),
        ("bal_id[1]", "must have an element 1; it has 1"),
        ("meas_cm_mag[u]", "bands of vector columns are g, r, i, z"),
    ):
        with pytest.raises(BalrogError, match=message):
            catalog.find([text], griz)


def test_missing_column_lists_close_matches_and_all_columns(written):
    catalog, columns = written
    with pytest.raises(BalrogError) as error:
        catalog.require(["bal_idd", "balid"], "the id of an injection")
    message = str(error.value)
    assert "the id of an injection needs the column bal_idd or balid, which is missing" in message
    assert "close matches: bal_id;" in message
    assert all(name in message for name in columns)


@pytest.mark.parametrize("suffix", [".fits", ".parquet"])
def test_columns_without_numbers_are_seen_but_refused(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    tiles = np.array(["DES0003-5457", "b"])
    if suffix == ".fits":
        fitsio.write(path, {"bal_id": np.arange(2), "tilename": tiles})
    else:
        pq.write_table(pa.table({"bal_id": [0, 1], "tilename": tiles.tolist()}), path)
    catalog = open_catalog(path)
    assert catalog.label == ""
    with pytest.raises(BalrogError, match="column tilename must hold numbers"):
        catalog.find(["tilename"])


def test_label_of_the_primary_header(tmp_path):
    path = tmp_path / "labelled.fits"
    with fitsio.FITS(path, "rw") as hdus:
        hdus.write(None, header={"LABEL": "mine"})
        hdus.write({"bal_id": np.arange(3)})
    assert open_catalog(path).label == "mine"


def test_parquet_nulls(tmp_path):
    vector = pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))
    columns = {"a": pa.array([1, None]), "flag": pa.array([True, None]), "v": vector}
    pq.write_table(pa.table(columns), tmp_path / "nulls.parquet")
    catalog = open_catalog(tmp_path / "nulls.parquet")
    (batch,) = catalog.batches(["a", "flag"], 10)
    np.testing.assert_array_equal(batch["a"], [1, np.nan])
    np.testing.assert_array_equal(batch["flag"], [1, np.nan])
    with pytest.raises(BalrogError, match="column v must hold 2 numbers; 1 rows are null"):
        list(catalog.batches(["v"], 10))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.98])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_file(tmp_path, suffix, share):
    whole = write_table(tmp_path / f"whole{suffix}", matched_of(make_catalog(3000)))
    path = tmp_path / f"cut{suffix}"
    content = whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BalrogError, match=f"{path}.*truncated"):
        list(open_catalog(path).batches(["bal_id", "meas_cm_mag"], 500))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_catalogue(tmp_path, suffix):
    empty = {name: values[:0] for name, values in matched_of(make_catalog(10)).items()}
    path = write_table(tmp_path / f"empty{suffix}", empty)
    with pytest.raises(BalrogError, match="at least one row; the catalogue is empty"):
        open_catalog(path)


def test_missing_file_and_other_formats(tmp_path):
    with pytest.raises(BalrogError, match="does not exist"):
        open_catalog(tmp_path / "none.fits")
    path = tmp_path / "table.csv"
    path.write_text("bal_id\n1\n")
    with pytest.raises(BalrogError, match=r"must be \.fits, .* found table.csv"):
        open_catalog(path)
