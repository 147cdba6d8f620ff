import pickle
import subprocess
import sys
from pathlib import Path

import fitsio
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table
from catalog_files import FORMATS, make_columns, write_catalog, write_group, write_parquet
from survey_files import LABEL, make_catalog, matched_of, write_table

from data_prep.catalogs import Element, open_catalog
from data_prep.errors import BalrogError

SUFFIXES = (".fits", ".fits.gz", ".parquet")


@pytest.fixture(params=FORMATS)
def written(request, tmp_path):
    columns = make_columns(vectors=FORMATS[request.param])
    return write_catalog(tmp_path / request.param, columns), columns


def read(catalog, batch_rows=10**9, **rows):
    names = [name for name, width in catalog.widths.items() if width and name != "index"]
    batches = list(catalog.batches(names, batch_rows, **rows))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype.isnative
        assert found[name].dtype.kind == values.dtype.kind


def test_reads_every_column(written):
    path, columns = written
    catalog = open_catalog(path, allow_pickle=True)
    assert catalog.rows == len(columns["bal_id"])
    assert catalog.widths["bal_id"] == 1
    assert catalog.widths.get("mag", 4) == 4
    found = read(catalog)
    if path.name.startswith("t.csv"):
        found["flux"] = found["flux"].astype(np.float32)
    assert_same(found, columns)
    if "csv" not in path.name:
        assert {n: v.dtype for n, v in found.items()} == {n: v.dtype for n, v in columns.items()}


def test_rows_depend_neither_on_batches_nor_on_ranges(written):
    path, _ = written
    catalog = open_catalog(path, allow_pickle=True)
    whole = read(catalog)
    assert_same(read(catalog, 7), whole)
    assert_same(read(catalog, 60, start=130, stop=333), {n: v[130:333] for n, v in whole.items()})
    sizes = [len(batch["ra"]) for batch in catalog.batches(["ra"], 120)]
    assert sizes == [120, 120, 120, 120, 20]
    for rows in (1, 150, 10**6):
        pieces = catalog.pieces(rows)
        assert [start for start, _ in pieces] == [0, *(stop for _, stop in pieces[:-1])]
        assert pieces[-1][1] == catalog.rows
        parts = [read(catalog, 50, start=start, stop=stop) for start, stop in pieces]
        assert_same({n: np.concatenate([part[n] for part in parts]) for n in whole}, whole)


def test_goes_to_other_processes_without_its_rows(written):
    path, _ = written
    catalog = open_catalog(path, allow_pickle=True)
    content = pickle.dumps(catalog)
    assert len(content) < 5000
    assert_same(read(pickle.loads(content)), read(catalog))


def test_one_column_is_read_alone(written):
    path, columns = written
    (batch,) = open_catalog(path, allow_pickle=True).batches(["bal_id"], 10**6)
    assert_same(batch, {"bal_id": columns["bal_id"]})


def test_empty_catalogue(written, tmp_path):
    path, columns = written
    empty = {name: values[:0] for name, values in columns.items()}
    (tmp_path / "empty").mkdir()
    path = write_catalog(tmp_path / "empty" / path.name, empty)
    with pytest.raises(BalrogError, match=r"must hold .*(at least one row|data sets)"):
        open_catalog(path, allow_pickle=True)


# Plain text does not say where it ends.
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "t.csv"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.98])
def test_truncated_file(tmp_path, name, share):
    columns = make_columns(vectors=FORMATS[name])
    path = write_catalog(tmp_path / name, columns)
    damaged = path / "b.parquet" if path.is_dir() else path
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(share * len(content))])
    # The gzip of nothing is nothing: no names in a CSV file, no table in a FITS file.
    with pytest.raises(BalrogError, match=f"{damaged}.*(truncated|column names; found none)"):
        read(open_catalog(path, allow_pickle=True), 100)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_widths_elements_and_label(suffix, tmp_path):
    path = write_table(tmp_path / f"matched{suffix}", matched_of(make_catalog(500)))
    catalog = open_catalog(path)
    assert catalog.label == LABEL
    assert (catalog.widths["bal_id"], catalog.widths["meas_cm_mag"]) == (1, 4)
    griz = ("g", "r", "i", "z")
    assert catalog.find(["nothing", "meas_cm_mag[i]"], griz) == Element("meas_cm_mag", 2)
    assert catalog.find(["meas_cm_mag[3]", "bal_id"]) == Element("meas_cm_mag", 3)
    assert catalog.find(["bal_id[0]"]) == Element("bal_id")
    assert catalog.find(["nothing"]) is None
    for text, message in (
        ("meas_cm_mag", "vector of 4; pick an element"),
        ("meas_cm_mag[4]", "must have an element 4; it has 4"),
        ("bal_id[1]", "must have an element 1; it has 1"),
        ("meas_cm_mag[u]", "by a band of the preset: g, r, i, z; found meas_cm_mag.u"),
    ):
        with pytest.raises(BalrogError, match=message):
            catalog.find([text], griz)


@pytest.mark.parametrize("bands", ["riz", "grizy"])
def test_bands_must_be_those_of_the_vector(bands, tmp_path):
    columns = {"id": np.arange(3), "mag": np.arange(12, dtype=np.float32).reshape(3, 4)}
    catalog = open_catalog(write_table(tmp_path / "matched.fits", columns))
    for band in bands:
        with pytest.raises(BalrogError) as error:
            catalog.find([f"mag[{band}]"], tuple(bands))
        message = str(error.value)
        assert f"mag must have one element for each of the bands {', '.join(bands)}" in message
        assert "it has 4: name the bands" in message
        assert "`vector_bands: [g, r, i, z]`" in message
    # By number, a vector may have any length.
    assert catalog.find(["mag[2]"], tuple(bands)) == Element("mag", 2)


def test_missing_column_lists_close_matches_and_all_columns(written):
    path, columns = written
    with pytest.raises(BalrogError) as error:
        open_catalog(path, allow_pickle=True).require(["bal_idd", "balid"], "the id")
    message = str(error.value)
    assert f"{path}: the id needs the column bal_idd or balid, which is missing" in message
    assert "bal_idd (did you mean bal_id?); balid (did you mean bal_id?);" in message
    assert all(name in message for name in columns)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("t.hdf5", "directory")])
def test_columns_of_text_are_seen_but_refused(tmp_path, name):
    columns = {"bal_id": np.arange(2), "tilename": np.array(["DES0003-5457", "b"])}
    path = tmp_path / name
    if name == "t.parquet":
        write_parquet(path, {"bal_id": np.arange(2), "tilename": columns["tilename"].astype("O")})
    else:
        write_catalog(path, columns)
    catalog = open_catalog(path, allow_pickle=True)
    assert catalog.widths["tilename"] == 0
    with pytest.raises(BalrogError, match="column tilename must hold numbers; .*; name another"):
        catalog.find(["tilename"])


def test_missing_file_and_other_formats(tmp_path):
    with pytest.raises(BalrogError, match="does not exist"):
        open_catalog(tmp_path / "none.fits")
    path = tmp_path / "table.xlsx"
    path.write_text("bal_id\n1\n")
    with pytest.raises(BalrogError, match=r"must be one of \.fits, .* found table.xlsx"):
        open_catalog(path)


def test_endings_in_capitals(tmp_path):
    path = write_catalog(tmp_path / "t.fits", make_columns(10)).rename(tmp_path / "T.FITS")
    assert open_catalog(path).rows == 10


GROWTH = """
import resource, sys
from data_prep.catalogs import open_catalog

def read(path):
    catalog = open_catalog(path)
    for batch in catalog.batches(list(catalog.widths), 10_000):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = read(sys.argv[1])
print(read(sys.argv[2]) - before)
"""
LARGE_BYTES, MOST_GROWTH_MB = 50e6, 25


@pytest.mark.parametrize("name", ["t.fits", "t.fits.gz", "t.parquet", "t.hdf5", "t.csv"])
def test_memory_is_set_by_the_batch_and_not_by_the_file(tmp_path, name):
    for size, rows in (("small", 20_000), ("large", 450_000)):
        (tmp_path / size).mkdir()
        _write_wide(tmp_path / size / name, rows)
    large = tmp_path / "large" / name
    assert large.stat().st_size > LARGE_BYTES
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "small" / name), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MOST_GROWTH_MB


def _write_wide(path, rows):
    """Nearly all of the file is in one column, or for text in eight."""
    values = np.random.default_rng(1).normal(size=(rows, 16))
    columns = {"bal_id": np.arange(rows), "v": values}
    if path.name.startswith("t.fits"):
        with fitsio.FITS(path, "rw") as file:
            file.write([columns["bal_id"], values], names=["bal_id", "v"])
    elif path.suffix == ".parquet":
        write_parquet(path, columns, group_rows=rows)
    elif path.suffix == ".hdf5":
        import h5py

        with h5py.File(path, "w") as file:
            write_group(file, columns)
    else:
        table = pa.table({f"v{i}": values[:, i].astype(np.float32) for i in range(12)})
        pyarrow.csv.write_csv(table, path)


def _with_gaps(place, name):
    """Whole numbers and booleans, of which some lack a value in the last row only."""
    rows = 40
    number, flag = list(range(rows)), [True, False] * (rows // 2)
    columns = {
        "number": pa.array(number, pa.int32()),
        "gap": pa.array([*number[:-1], None], pa.int32()),
        "flag": pa.array(flag),
        "flag_gap": pa.array([*flag[:-1], None]),
        "real": pa.array(np.arange(rows) + 0.5),
    }
    table, path = pa.table(columns), place / name
    if name == "t.parquet":
        pq.write_table(table, path, row_group_size=10)
    elif name == "unsaid.parquet":
        pq.write_table(table, path, row_group_size=10, write_statistics=False)
    elif name == "t.csv":
        pyarrow.csv.write_csv(table, path)
    elif name == "t.pkl":
        kinds = {pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
        table.to_pandas(types_mapper=kinds.get).to_pickle(path)
    else:
        masked = Table({"number": number, "real": columns["real"].to_numpy(), "gap": number})
        for column in ("number", "gap"):
            masked[column] = MaskedColumn(np.int32(number), fill_value=-1)
        masked["gap"].mask[-1] = True
        masked.write(path)
    return path


@pytest.mark.parametrize("name", ["t.parquet", "unsaid.parquet", "t.csv", "t.pkl", "t.fits"])
def test_columns_that_lack_a_value_somewhere_are_known(tmp_path, name):
    catalog = open_catalog(_with_gaps(tmp_path, name), allow_pickle=True)
    whole = {"number", "flag"} & set(catalog.widths)
    lacking = {"gap", "flag_gap"} & set(catalog.widths)
    assert catalog.lacking([*whole, *lacking]) == lacking
    assert catalog.lacking(["real"]) == {"real"}
    for batch in catalog.batches([*whole, *lacking], 10):
        assert all(batch[name].dtype.kind in "iub" for name in whole)
