import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalog_files import make_columns, write_parquet

from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError


def read(path, names=None, batch_rows=10**6):
    catalog = open_catalog(path)
    names = names or [name for name, width in catalog.widths.items() if width]
    batches = list(catalog.batches(names, batch_rows))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def test_nulls_are_nan(tmp_path):
    columns = {
        "a": pa.array([1, None, 3]),
        "flag": pa.array([True, None, False]),
        "v": pa.array([[1.0, 2.0], None, [3.0, None]], pa.list_(pa.float32(), 2)),
        "list": pa.array([[1, 2], None, [3, 4]]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    np.testing.assert_array_equal(found["a"], [1, np.nan, 3])
    np.testing.assert_array_equal(found["flag"], [1, np.nan, 0])
    np.testing.assert_array_equal(found["v"], [[1, 2], [np.nan] * 2, [3, np.nan]])
    np.testing.assert_array_equal(found["list"], [[1, 2], [np.nan] * 2, [3, 4]])


def test_types_of_columns(tmp_path):
    columns = {
        "bool": pa.array([True, False]),
        "dictionary": pa.array([7, 9]).dictionary_encode(),
        "decimal": pa.array([1.5, 2.5]).cast(pa.decimal128(5, 2)),
        "half": pa.array(np.array([1.5, 2.5], np.float16)),
        "list": pa.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        "single": pa.array([[1], [2]], pa.list_(pa.int64(), 1)),
        "text": pa.array(["a", "b"]),
        "words": pa.array(["a", "b"]).dictionary_encode(),
        "struct": pa.array([{"x": 1}, {"x": 2}]),
        "lists of text": pa.array([["a"], ["b"]]),
        "time": pa.array([1, 2], pa.timestamp("ns")),
        "match_flag_1.5_asec": pa.array([0, 1]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    assert set(found) == {
        "bool", "dictionary", "decimal", "half", "list", "single", "match_flag_1.5_asec",
    }  # fmt: skip
    assert found["bool"].dtype == bool
    for name, values in found.items():
        np.testing.assert_array_equal(values, np.squeeze(columns[name].to_pylist()), err_msg=name)


def test_list_of_another_length_is_named(tmp_path):
    lists = [[1.0, 2.0]] * 30 + [[1.0]]
    pq.write_table(pa.table({"v": lists}), tmp_path / "t.parquet", row_group_size=10)
    with pytest.raises(BalrogError, match="column v must hold 2 numbers in every row; row 30 has"):
        read(tmp_path / "t.parquet", batch_rows=7)


def test_units_and_label(tmp_path):
    schema = pa.schema([pa.field("flux", pa.float32(), metadata={"unit": "nJy"})], {"label": "x"})
    pq.write_table(pa.table({"flux": [1.0]}, schema=schema), tmp_path / "t.parquet")
    catalog = open_catalog(tmp_path / "t.parquet")
    assert (catalog.label, catalog.units) == ("x", {"flux": "nJy"})


def test_pieces_are_whole_row_groups(tmp_path):
    (tmp_path / "many").mkdir()
    for name in "ab":
        write_parquet(tmp_path / "many" / f"{name}.parquet", make_columns(250), group_rows=100)
    catalog = open_catalog(tmp_path / "many")
    assert catalog.pieces(120) == [(0, 200), (200, 350), (350, 500)]
    assert catalog.pieces(1) == [
        (0, 100),
        (100, 200),
        (200, 250),
        (250, 350),
        (350, 450),
        (450, 500),
    ]


def test_directory_is_read_in_the_order_of_names_but_for_hidden_files(tmp_path):
    for name, value in (("b/x", 3), ("a/10", 1), ("a/2", 2), ("a/.x", 9), ("_meta/y", 9)):
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"id": [value]}), path)
    (tmp_path / "notes.txt").write_text("no table")
    np.testing.assert_array_equal(read(tmp_path)["id"], [1, 2, 3])


def test_files_with_other_columns_are_named(tmp_path):
    pq.write_table(pa.table({"id": [1], "mag": [1.0], "s": ["a"]}), tmp_path / "a.parquet")
    second = tmp_path / "b.parquet"
    for columns, message in (
        ({"id": [1], "s": ["a"]}, "column mag must be double, .*found none"),
        ({"id": [1], "mag": [1], "s": ["a"]}, "column mag must be double, .*found int64"),
        ({"id": [1], "mag": [1.0], "x": [1]}, "column x must be absent, .*found int64"),
    ):
        pq.write_table(pa.table(columns), second)
        with pytest.raises(BalrogError, match=f"{second}: {message}"):
            open_catalog(tmp_path)
    dictionary = pa.array(["a"]).dictionary_encode()
    pq.write_table(pa.table({"words": dictionary, "mag": [2.0], "id": [2]}), second)
    np.testing.assert_array_equal(read(tmp_path)["id"], [1, 2])


def test_directory_without_parquet_files(tmp_path):
    with pytest.raises(BalrogError, match="must hold Parquet files"):
        open_catalog(tmp_path)


@pytest.fixture(scope="module")
def hats(tmp_path_factory):
    """A collection with a margin, a plain catalogue, and what lsdb reads from it."""
    lsdb = pytest.importorskip("lsdb")
    rng = np.random.default_rng(0)
    rows = 2000
    frame = pd.DataFrame({
        "id": 10**15 - np.arange(rows),
        "ra": rng.uniform(0, 60, rows),
        "dec": rng.uniform(-20, 20, rows),
        "mag": rng.normal(size=rows).astype(np.float32),
    })  # fmt: skip
    directory = tmp_path_factory.mktemp("hats")
    catalog = lsdb.from_dataframe(
        frame, catalog_name="x", partition_rows=300, margin_threshold=3600
    )
    catalog.write_catalog(directory / "collection")
    catalog.write_catalog(directory / "catalog", as_collection=False)
    return directory, lsdb.open_catalog(directory / "catalog").compute()


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("name", ["catalog", "collection"])
def test_hats_gives_the_rows_of_lsdb_in_the_order_of_lsdb(hats, name, library, monkeypatch):
    directory, expected = hats
    if not library:
        monkeypatch.setitem(sys.modules, "hats.catalog", None)
    found = read(directory / name, batch_rows=77)
    assert set(found) == {*expected.columns, "_healpix_29"}
    assert len(open_catalog(directory / name).pieces(1)) > 5
    for column in expected.columns:
        np.testing.assert_array_equal(found[column], expected[column].to_numpy(), err_msg=column)


def test_hats_partitions_may_be_directories(hats, tmp_path):
    import shutil

    directory, expected = hats
    shutil.copytree(directory / "catalog", tmp_path / "x")
    whole = next((tmp_path / "x" / "dataset").rglob("Npix=*.parquet"))
    table = pq.read_table(whole)
    place = whole.with_suffix("")
    place.mkdir()
    pq.write_table(table.slice(0, 10), place / "part0.parquet")
    pq.write_table(table.slice(10), place / "part1.parquet")
    whole.unlink()
    np.testing.assert_array_equal(read(tmp_path / "x")["id"], expected["id"].to_numpy())


@pytest.mark.parametrize("library", [True, False])
def test_missing_hats_partition(hats, tmp_path, library, monkeypatch):
    import shutil

    if not library:
        monkeypatch.setitem(sys.modules, "hats.catalog", None)
    shutil.copytree(hats[0] / "catalog", tmp_path / "x")
    next((tmp_path / "x" / "dataset").rglob("Npix=*.parquet")).unlink()
    message = "must hold a partition" if library else "must have 2,000 rows, as its properties say"
    with pytest.raises(BalrogError, match=f"{message}.*fetch"):
        open_catalog(tmp_path / "x")
