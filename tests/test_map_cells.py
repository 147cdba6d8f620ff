import gzip

import fitsio
import numpy as np
import pytest

from data_prep.errors import BalrogError
from data_prep.map_formats.fits_stream import read_hdus, whole
from data_prep.map_formats.map_cells import stream_cells, table_cells

ROWS = 500
NUMBERS = {"byte": 1, "short": 1, "long": 1, "real": 1, "pair": 2, "double": 1, "many": 64}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table with columns of every kind of number, and others between them."""
    rng = np.random.default_rng(0)
    columns = [
        ("name", "S5"), ("byte", "u1"), ("short", "i2"), ("flag", "?"), ("long", "i8"),
        ("real", "f4"), ("pair", "f4", 2), ("complex", "c8"), ("double", "f8"), ("many", "f4", 64),
    ]  # fmt: skip
    rows = np.zeros(ROWS, columns)
    for name in NUMBERS:
        rows[name] = rng.uniform(0, 120, rows[name].shape)
    path = tmp_path_factory.mktemp("table") / "table.fits"
    fitsio.write(path, rows)
    return path, rows


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("window", [1, 4000, 1 << 26])
def test_values_looked_up_are_those_of_fitsio(table, name, window, monkeypatch):
    monkeypatch.setattr("data_prep.map_formats.map_cells._WINDOW_BYTES", window)
    path, _ = table
    cells = table_cells(path, read_hdus(path)[1])[name]
    expected = fitsio.read(path, columns=name).ravel()
    assert (cells.size, cells.repeat) == (expected.size, NUMBERS[name])
    ascending = np.sort(np.random.default_rng(1).integers(0, expected.size, 200))
    ascending[-1] = expected.size - 1
    np.testing.assert_array_equal(cells.take(ascending), expected[ascending])
    assert cells.take(np.empty(0, np.int64)).size == 0


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("batch", [1, 5000, 1 << 23])
def test_streamed_values_are_those_of_fitsio(table, batch, gzipped, tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.map_formats.map_cells._STREAM_BYTES", batch)
    path, rows = table
    if gzipped:
        path = tmp_path / "table.fits.gz"
        path.write_bytes(gzip.compress(table[0].read_bytes()))
    columns = table_cells(path, read_hdus(path)[1])
    parts = list(stream_cells([columns["double"], columns["many"]]))
    assert [first for first, _ in parts] == [
        sum(len(arrays[0]) for _, arrays in parts[:number]) for number in range(len(parts))
    ]
    for place, name in enumerate(("double", "many")):
        read = np.concatenate([arrays[place] for _, arrays in parts])
        np.testing.assert_array_equal(read, rows[name].reshape(ROWS, -1))


def test_what_is_no_number_has_no_type(table):
    path, _ = table
    cells = table_cells(path, read_hdus(path)[1])
    assert [name for name in cells if not cells[name].dtype] == ["name", "flag", "complex"]


def test_row_width_must_be_that_of_the_columns(table, tmp_path):
    content = table[0].read_bytes()
    for old, new in ((b"'64E ", b"'63E "), (b"'64E ", b"'?!? ")):
        path = tmp_path / "table.fits"
        path.write_bytes(content.replace(old, new))
        with pytest.raises(BalrogError, match="NAXIS1 is .* columns have|TFORM10 is"), whole(path):
            table_cells(path, read_hdus(path)[1])


def test_file_that_ends_early(table, tmp_path):
    path = tmp_path / "table.fits"
    path.write_bytes(table[0].read_bytes()[:-90_000])
    columns = table_cells(path, read_hdus(path)[1])
    with pytest.raises(BalrogError, match="ends before its table"), whole(path):
        list(stream_cells([columns["many"]]))
    with pytest.raises(BalrogError, match="truncated"), whole(path):
        columns["many"].take(np.array([0, columns["many"].size - 1]))
