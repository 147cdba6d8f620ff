import fitsio
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras.catalog_emulation import CatalogColumns, emulate_catalog
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.emulator import Emulator
from data_prep.errors import BalrogError

NAMES = list(toy_schema().condition_names)
MEASURED = list(toy_schema().measured_names)


@pytest.fixture(scope="module")
def emulator(toy_bundle):
    return Emulator.load(toy_bundle)


def _table(rows=2_500):
    table = pd.DataFrame(toy_conditions(rows, 8), columns=NAMES)
    return table.assign(object_id=np.arange(rows) * 13 + 10**12, redshift=0.5)


@pytest.fixture
def truth(tmp_path):
    _table().to_parquet(tmp_path / "truth.parquet")
    fitsio.write(tmp_path / "truth.fits", _table().to_records(index=False))
    return tmp_path


def _read(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    data = fitsio.read(path)
    return pd.DataFrame(
        {n: data[n].astype(data[n].dtype.newbyteorder("=")) for n in data.dtype.names}
    )


@pytest.mark.parametrize("given", ["truth.parquet", "truth.fits"])
@pytest.mark.parametrize("wanted", ["out.parquet", "out.fits"])
def test_formats_agree_with_the_python_call(emulator, truth, given, wanted):
    columns = CatalogColumns(row_id=("object_id",), keep=["redshift"])
    done = emulate_catalog(
        emulator, truth / given, truth / wanted, plan=DrawPlan(seed=2), columns=columns
    )
    found, table = _read(truth / wanted), _table()
    assert done.rows_read == done.rows_written == len(found) == 2_500
    assert list(found.columns) == ["row_id", "redshift", *MEASURED]
    np.testing.assert_array_equal(found["row_id"], table["object_id"])
    expected = emulator.emulate(table, seed=2, row_id=table["object_id"].to_numpy())
    np.testing.assert_array_equal(found[MEASURED].to_numpy(), expected.to_numpy())


@pytest.mark.parametrize("name", ["truth.csv", "truth.hdf5", "truth.pkl", "parts"])
def test_every_format_of_a_catalogue(emulator, truth, name):
    table, place = _table(), truth / name
    if name == "truth.csv":
        table.to_csv(place, index=False)
    elif name == "truth.hdf5":
        with h5py.File(place, "w") as file:
            for column in table:
                file[column] = table[column].to_numpy()
    elif name == "truth.pkl":
        table.to_pickle(place)
    else:
        place.mkdir()
        table[:1_000].to_parquet(place / "0.parquet")
        table[1_000:].to_parquet(place / "1.parquet")
    columns = CatalogColumns(row_id=("object_id",))
    emulate_catalog(emulator, place, truth / "a.parquet", columns=columns, allow_pickle=True)
    emulate_catalog(emulator, truth / "truth.parquet", truth / "b.parquet", columns=columns)
    pd.testing.assert_frame_equal(_read(truth / "a.parquet"), _read(truth / "b.parquet"))


def test_pickle_needs_permission(emulator, truth):
    _table().to_pickle(truth / "truth.pkl")
    with pytest.raises(BalrogError, match="--allow-pickle"):
        emulate_catalog(emulator, truth / "truth.pkl", truth / "a.parquet")


def test_batches_change_no_byte(emulator, truth):
    for rows, name in ((10_000, "one.parquet"), (333, "many.parquet")):
        emulate_catalog(emulator, truth / "truth.parquet", truth / name, batch_rows=rows)
    pd.testing.assert_frame_equal(_read(truth / "one.parquet"), _read(truth / "many.parquet"))


def test_output_says_what_it_is(emulator, truth):
    emulate_catalog(emulator, truth / "truth.parquet", truth / "out.parquet", plan=DrawPlan(seed=9))
    schema = pq.read_schema(truth / "out.parquet")
    assert schema.metadata[b"label"] == b"toy: a known distribution"
    assert schema.metadata[b"seed"] == b"9"
    assert schema.field("meas_mag_r").metadata[b"unit"] == b"mag"


def test_renamed_and_vector_columns(emulator, truth):
    table = _table()
    vector = pa.FixedSizeListArray.from_arrays(
        pa.array(table[["true_mag_r", "true_mag_i", "true_mag_z"]].to_numpy().ravel()), 3
    )
    arrow = pa.Table.from_pandas(table.drop(columns=["true_mag_r", "true_mag_i", "true_mag_z"]))
    pq.write_table(arrow.append_column("MAGS", vector), truth / "vector.parquet")
    conditions = {f"true_mag_{b}": (f"MAGS[{k}]",) for k, b in enumerate("riz")}
    emulate_catalog(
        emulator, truth / "vector.parquet", truth / "a.parquet",
        columns=CatalogColumns(conditions),
    )  # fmt: skip
    emulate_catalog(emulator, truth / "truth.parquet", truth / "b.parquet")
    pd.testing.assert_frame_equal(_read(truth / "a.parquet"), _read(truth / "b.parquet"))


def test_unusable_rows_are_null_not_dropped(emulator, truth, caplog):
    table = _table()
    table.loc[5, "true_mag_i"] = np.nan
    table.to_parquet(truth / "gap.parquet")
    emulate_catalog(emulator, truth / "gap.parquet", truth / "out.parquet")
    found = pq.read_table(truth / "out.parquet")
    assert found.num_rows == 2_500
    assert found["meas_mag_r"].null_count == 1
    assert "1 of 2,500 rows: no usable true_mag_i" in caplog.text


def test_missing_column(emulator, truth):
    _table().drop(columns="fwhm_z").to_parquet(truth / "less.parquet")
    with pytest.raises(BalrogError, match="fwhm_z"):
        emulate_catalog(emulator, truth / "less.parquet", truth / "out.parquet")


def test_empty_truncated_and_unknown(emulator, truth):
    _table()[:0].to_parquet(truth / "empty.parquet")
    with pytest.raises(BalrogError, match="empty"):
        emulate_catalog(emulator, truth / "empty.parquet", truth / "out.parquet")
    whole = (truth / "truth.parquet").read_bytes()
    (truth / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BalrogError, match=r"cut\.parquet"):
        emulate_catalog(emulator, truth / "cut.parquet", truth / "out.parquet")
    with pytest.raises(BalrogError, match="must end in"):
        emulate_catalog(emulator, truth / "truth.parquet", truth / "out.csv")


def test_full_disk_leaves_the_old_output(emulator, truth, monkeypatch):
    out = truth / "out.parquet"
    emulate_catalog(emulator, truth / "truth.parquet", out)
    before = out.read_bytes()

    def full(self, table, *arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        emulate_catalog(emulator, truth / "truth.parquet", out, plan=DrawPlan(seed=1))
    assert out.read_bytes() == before
    assert not list(truth.glob(".*partial*"))


@pytest.mark.parametrize("wanted", ["out.parquet", "out.fits"])
def test_detection_of_a_member(toy_ensemble, truth, wanted):
    pair = Emulator.load(toy_ensemble / "saved_models/pair")
    emulate_catalog(
        pair, truth / "truth.parquet", truth / wanted,
        plan=DrawPlan(seed=2, member=1, detected=True), batch_rows=999,
    )  # fmt: skip
    found = _read(truth / wanted)
    expected = pair.emulate(_table(), seed=2, member=1, detected=True)
    assert list(found.columns) == ["row_id", *MEASURED, "p_detect", "detected"]
    assert found["detected"].dtype == bool
    for name in expected:
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy())
    assert found.loc[~found["detected"], MEASURED].isna().all(axis=None)
    assert 0 < found["detected"].sum() < len(found)
