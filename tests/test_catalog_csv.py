import gzip

import numpy as np
import pandas as pd
import pytest

from data_prep.catalog_formats import catalog_csv
from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """A few lines a block, so that what is true of one need not be of the next."""
    monkeypatch.setattr(catalog_csv, "_BLOCK_BYTES", 256)


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read(path, names=None, batch_rows=10**6, **rows):
    catalog = open_catalog(path)
    names = names or [name for name, width in catalog.widths.items() if width]
    batches = list(catalog.batches(names, batch_rows, **rows))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def lines(rows, row):
    return "".join(f"{row(number)}\n" for number in range(rows))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_numbers_as_pandas_reads_them(tmp_path, name):
    text = "bal_id,ra, dec ,empty\r\n" + lines(
        500, lambda n: f"{10**15 - n},{n / 7!r},{-n}e-3,\r" if n % 5 else f"{10**15 - n},,nan,\r"
    )
    path = write(tmp_path / name, text)
    found, expected = read(path, batch_rows=70), pd.read_csv(path)
    assert found["bal_id"].dtype == np.int64
    for column, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(found[column], expected[other].to_numpy(), err_msg=column)
    assert list(found) == ["bal_id", "ra", "dec", "empty"]
    part = read(path, start=123, stop=456)
    np.testing.assert_array_equal(part["bal_id"], found["bal_id"][123:456])


def test_comments_blank_lines_quotes_and_a_last_line_without_end(tmp_path):
    text = '# made by hand\n\n"id","a,b"\n1,2.5\n# half way\n\n' + "3,4.5\n" * 200 + '"7",8.5'
    found = read(write(tmp_path / "t.csv", text))
    np.testing.assert_array_equal(found["id"], [1, *[3] * 200, 7])
    np.testing.assert_array_equal(found["a,b"], [2.5, *[4.5] * 200, 8.5])


def test_whole_numbers_that_later_have_decimals(tmp_path):
    text = "id,x\n" + lines(300, lambda n: f"{n},{n if n < 200 else n + 0.5}")
    found = read(write(tmp_path / "t.csv", text), batch_rows=50)
    np.testing.assert_array_equal(found["x"], [n if n < 200 else n + 0.5 for n in range(300)])
    assert found["x"].dtype == np.float64
    assert found["id"].dtype == np.int64


def test_numbers_that_begin_empty(tmp_path):
    text = "id,x,flag\n" + lines(300, lambda n: f"{n},{n if n > 200 else ''},{n > 5}")
    found = read(write(tmp_path / "t.csv", text))
    np.testing.assert_array_equal(found["x"][[0, 200, 201]], [np.nan, np.nan, 201])
    assert found["flag"].dtype == bool


def test_value_that_is_no_number_is_named_with_its_line(tmp_path):
    text = "# comment\nid,mag\n\n" + lines(300, lambda n: f"{n},{n if n != 250 else 'bright'}")
    catalog = open_catalog(write(tmp_path / "t.csv", text))
    message = f"{catalog.path}: column mag must hold numbers; line 254 has 'bright'"
    with pytest.raises(BalrogError, match=message):
        catalog.find(["mag"])
    assert catalog.find(["id"])


def test_ragged_line_is_named(tmp_path):
    text = "id,mag\n" + lines(100, lambda n: f"{n},{n}") + "# comment\n7\n" + "1,2\n" * 100
    with pytest.raises(BalrogError, match=r"line 103 must have 2 fields, .*; it has 1"):
        open_catalog(write(tmp_path / "t.csv", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with a line of column names; found none"),
        ("# id,mag\n1,2.5\n", "must begin with a line of column names; found 1, 2.5"),
        ("id,mag,id\n1,2,3\n", "different names; id repeats"),
        ("id,mag\n", "at least one row"),
        ("id\n" + "1" * 3000, "a line has no end"),
    ],
)
def test_files_that_are_no_table(tmp_path, text, message):
    with pytest.raises(BalrogError, match=message):
        open_catalog(write(tmp_path / "t.csv", text))


def test_pieces(tmp_path):
    text = "id\n" + lines(500, str)
    pieces = open_catalog(write(tmp_path / "t.csv", text)).pieces(100)
    assert 3 <= len(pieces) <= 5
    assert open_catalog(write(tmp_path / "t.csv.gz", text)).pieces(100) == [(0, 500)]


def test_file_that_changed_since_it_was_opened(tmp_path):
    path = write(tmp_path / "t.csv", "id,x\n" + lines(100, lambda n: f"{n},1"))
    catalog = open_catalog(path)
    write(path, "id,x\n" + lines(100, lambda n: f"{n},a"))
    with pytest.raises(BalrogError, match="truncated or damaged"):
        list(catalog.batches(["x"], 10))
