import logging
import pickle

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from catalog_files import CHUNK_ROWS, make_columns, write_group

from data_prep.catalogs import Element, open_catalog
from data_prep.errors import BalrogError


def read(path, batch_rows=10**6):
    catalog = open_catalog(path)
    names = [name for name, width in catalog.widths.items() if width]
    batches = list(catalog.batches(names, batch_rows))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


@pytest.fixture
def metacal(tmp_path):
    """The layout of DES Y3's metacal: five shears, each with its own selection of rows."""
    path = tmp_path / "balrog_mcal_stack.h5"
    columns = make_columns(300)
    with h5py.File(path, "w") as file:
        file.attrs["label"] = "mini-Balrog"
        write_group(file.create_group("catalog/unsheared"), columns)
        for number, name in enumerate(("1p", "1m", "2p", "2m")):
            part = {key: values[number : 2 * number + 290] for key, values in columns.items()}
            write_group(file.create_group(f"catalog/sheared_{name}"), part)
        file["index/select"] = np.arange(250)
        file["catalog/unsheared/flux"].attrs["unit"] = "count"
    return path, columns


def test_the_unsheared_group_of_metacal_is_the_catalogue(metacal):
    path, columns = metacal
    catalog = open_catalog(path)
    assert (catalog.rows, catalog.label) == (300, "mini-Balrog")
    assert set(catalog.widths) == {f"catalog/unsheared/{name}" for name in columns}
    assert catalog.units == {"catalog/unsheared/flux": "count"}
    (batch,) = catalog.batches(["catalog/unsheared/mag"], 300)
    np.testing.assert_array_equal(batch["catalog/unsheared/mag"], columns["mag"])


@pytest.mark.parametrize(
    "name", ["flux", "unsheared/flux", "catalog/unsheared/flux", "/catalog/unsheared/flux"]
)
def test_any_end_of_a_path_finds_the_column(metacal, name):
    found = open_catalog(metacal[0]).find([name])
    assert found == Element("catalog/unsheared/flux")


def test_vector_elements_in_groups(metacal):
    found = open_catalog(metacal[0]).find(["unsheared/mag[i]"], "griz")
    assert found == Element("catalog/unsheared/mag", 2)


def test_column_with_another_number_of_rows_is_named(metacal):
    catalog = open_catalog(metacal[0])
    message = "catalog/sheared_1m/flux has 291 rows, but most columns have 300"
    with pytest.raises(BalrogError, match=message):
        catalog.require(["sheared_1m/flux"], "a flux")
    assert catalog.find(["sheared_1m/flux"]) is None


def test_names_begin_below_the_group_that_all_are_in(tmp_path):
    columns = {"id": np.arange(5), "flux_r": np.arange(5.0)}
    path = tmp_path / "t.hdf5"
    with h5py.File(path, "w") as file:
        write_group(file.create_group("catalog/unsheared"), columns)
        write_group(file.create_group("catalog/sheared_1p"), columns)
    catalog = open_catalog(path)
    assert "unsheared/flux_r" in catalog.widths
    # Which of the two is not said.
    assert catalog.find(["flux_r"]) is None
    with h5py.File(path, "w") as file:
        write_group(file.create_group("photometry/wide"), columns)
    assert set(open_catalog(path).widths) == set(columns)


def test_links(tmp_path, caplog):
    columns = {"id": np.arange(5), "flux": np.arange(5.0)}
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        write_group(file.create_group("deep"), columns)
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["tables/a/ra"] = np.arange(5.0)
        file["tables/again"] = h5py.SoftLink("/tables/a")
        file["tables/loop"] = h5py.SoftLink("/tables")
        file["tables/far"] = h5py.ExternalLink("other.hdf5", "/deep")
        file["tables/broken"] = h5py.SoftLink("/nowhere")
    with caplog.at_level(logging.WARNING):
        found = read(tmp_path / "t.hdf5")
    assert set(found) == {"a/ra", "far/id", "far/flux"}
    np.testing.assert_array_equal(found["far/flux"], columns["flux"])
    assert "the link tables/broken leads nowhere" in caplog.text


def test_types_and_shapes(tmp_path):
    columns = {
        "big": np.arange(5, dtype=">i4"),
        "bool": np.array([True, False, True, True, False]),
        "u8": np.full(5, 2**64 - 1, np.uint64),
        "single": np.arange(5.0)[:, None],
    }
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        for name, values in columns.items():
            file[name] = values
        file["matrix"] = np.zeros((5, 2, 2))
        file["words"] = ["a", "b", "c", "d", "e"]
        file["scalar"] = 3.0
    catalog = open_catalog(tmp_path / "t.hdf5")
    assert catalog.widths == {**dict.fromkeys(columns, 1), "matrix": 0, "words": 0}
    found = read(tmp_path / "t.hdf5")
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name], np.ravel(values))
        assert found[name].dtype.isnative


def test_units_and_vectors_of_astropy(tmp_path):
    table = Table({"id": np.arange(5), "flux": np.arange(20.0).reshape(5, 4)})
    table["flux"].unit = "nJy"
    table["name"] = ["a"] * 5
    path = tmp_path / "t.hf5"
    table.write(path, path="a/data", format="hdf5", serialize_meta=True)
    catalog = open_catalog(path)
    assert catalog.widths == {"id": 1, "flux": 4, "name": 0}
    assert catalog.units == {"flux": "nJy"}
    np.testing.assert_array_equal(read(path, 2)["flux"], table["flux"])


@pytest.mark.parametrize("kind", ["fixed", "table"])
def test_tables_of_pandas(tmp_path, kind):
    frame = pd.DataFrame(make_columns(200, vectors=False))
    frame["tile"] = "DES0003-5457"
    frame["good"] = frame["flag"] > -5000
    frame["more"] = -frame["ra"]
    path = tmp_path / "t.h5"
    frame.to_hdf(path, key="deep/data", format=kind, complevel=1, complib="zlib")
    catalog = open_catalog(path)
    assert catalog.rows == 200
    assert catalog.widths["tile"] == 0
    found = read(path, 33)
    expected = pd.read_hdf(path)
    assert set(found) - {"index"} == set(frame.columns) - {"tile"}
    for name in set(found) - {"index"}:
        np.testing.assert_array_equal(found[name], expected[name].to_numpy(), err_msg=name)


def test_names_of_pandas_run_no_code(tmp_path):
    path, witness = tmp_path / "t.h5", tmp_path / "witness"
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_hdf(path, key="data", format="table")

    class Touch:
        def __reduce__(self):
            return open, (str(witness), "w")

    with h5py.File(path, "r+") as file:
        table = file["data/table"]
        assert "values_block_0_kind" in table.attrs
        table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps([Touch()], protocol=0))
    with pytest.raises(BalrogError, match="damaged"):
        open_catalog(path)
    assert not witness.exists()


def test_compression_that_h5py_does_not_know(tmp_path):
    path = tmp_path / "t.h5"
    frame = pd.DataFrame({"a": np.zeros(100_000)})
    frame.to_hdf(path, key="data", format="fixed", complevel=5, complib="blosc")
    with pytest.raises(BalrogError, match="rewrite it with gzip: h5repack"):
        read(path)


def test_pieces_are_whole_chunks(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        write_group(file, make_columns(500))
    catalog = open_catalog(tmp_path / "t.hdf5")
    assert catalog.pieces(2 * CHUNK_ROWS + 5)[0] == (0, 2 * CHUNK_ROWS)
    assert catalog.pieces(1)[0] == (0, CHUNK_ROWS)


def test_file_without_columns(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["scalar"] = 3.0
    with pytest.raises(BalrogError, match="must hold data sets with one row per object"):
        open_catalog(tmp_path / "t.hdf5")
