import fitsio
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_emulator import FakeEmulator, fake_world

from balrog_keras.arrow_columns import arrow_table
from balrog_keras.catalog_emulation import CatalogColumns, emulate_catalog
from balrog_keras.table_formats import table_hats
from balrog_keras.table_writer import check_format, table_writer
from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError

FORMATS = ["o.parquet", "o.fits", "o.hdf5", "o.h5", "directory"]


def _part(first, rows=3):
    ids = np.arange(first, first + rows)
    mag = np.where(ids % 3 == 1, np.nan, ids).astype("float32")
    vector = np.stack([ids, ids + 0.5], axis=1).astype(">f4")
    columns = {"row_id": ids, "mag": mag, "vector": vector, "detected": ids % 2 == 0}
    return arrow_table(columns, {"mag": "mag"}, {"label": "x"})


@pytest.mark.parametrize("name", FORMATS)
def test_parts_are_appended(tmp_path, name):
    with table_writer(tmp_path / name) as writer:
        for first, rows in ((0, 3), (3, 0), (3, 5)):
            writer.write(_part(first, rows))
    catalog = open_catalog(tmp_path / name)
    assert catalog.rows == 8
    (found,) = catalog.batches(["row_id", "mag", "vector", "detected"], 100)
    np.testing.assert_array_equal(found["row_id"], np.arange(8))
    np.testing.assert_array_equal(np.isnan(found["mag"]), np.arange(8) % 3 == 1)
    np.testing.assert_array_equal(found["vector"][:, 1], np.arange(8) + 0.5)
    np.testing.assert_array_equal(found["detected"], np.arange(8) % 2 == 0)
    assert catalog.label == "x"
    assert catalog.units["mag"] == "mag"


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_may_have_no_rows(tmp_path, name):
    with table_writer(tmp_path / name) as writer:
        writer.write(_part(0, 0))
    with pytest.raises(BalrogError, match="at least one row"):
        open_catalog(tmp_path / name)


def test_null_is_null_in_parquet_and_nan_elsewhere(tmp_path):
    for name in ("o.parquet", "o.fits", "o.hdf5"):
        with table_writer(tmp_path / name) as writer:
            writer.write(_part(0))
    assert pq.read_table(tmp_path / "o.parquet")["mag"].null_count == 1
    assert np.isnan(fitsio.read(tmp_path / "o.fits")["mag"][1])
    with h5py.File(tmp_path / "o.hdf5") as file:
        assert np.isnan(file["mag"][1])


@pytest.mark.parametrize("name", [*FORMATS, "o.hats"])
def test_failure_leaves_nothing(tmp_path, name):
    with pytest.raises(OSError, match="full"):
        _fill_the_disk(tmp_path / name)
    assert not list(tmp_path.iterdir())


def _fill_the_disk(path):
    with table_writer(path) as writer:
        writer.write(_part(0) if path.suffix != ".hats" else _sky(np.zeros(2), np.zeros(2)))
        raise OSError("disk full")


@pytest.mark.parametrize(
    ("name", "message"),
    [("o.csv", r"must end in .*\.hats.*found \.csv"), ("there", "a file that is there already"),
     ("there.fits", "a directory that is there already")],
)  # fmt: skip
def test_names_that_cannot_be_written(tmp_path, name, message):
    (tmp_path / "there").touch()
    (tmp_path / "there.fits").mkdir()
    with pytest.raises(BalrogError, match=message):
        check_format(tmp_path / name)


def _sky(ra, dec):
    return arrow_table({"row_id": np.arange(len(ra)), "ra": ra, "dec": dec}, {}, {"label": "x"})


@pytest.fixture
def sky():
    rng = np.random.default_rng(3)
    return rng.uniform(0, 40, 900), rng.uniform(-30, 30, 900)


def test_hats_catalogue_is_one_that_lsdb_opens(tmp_path, sky, monkeypatch):
    lsdb = pytest.importorskip("lsdb")
    monkeypatch.setattr(table_hats, "PARTITION_ROWS", 150)
    with table_writer(tmp_path / "sky.hats") as writer:
        for part in range(3):
            rows = slice(300 * part, 300 * part + 300)
            writer.write(_sky(*(each[rows] for each in sky)))
    catalog = lsdb.open_catalog(tmp_path / "sky.hats")
    assert len(catalog) == 900
    assert catalog.npartitions > 3
    found = catalog.compute()
    assert sorted(zip(found["ra"], found["dec"], strict=True)) == sorted(zip(*sky, strict=True))
    cone = catalog.cone_search(20, 0, 10 * 3600).compute()
    near = np.hypot((sky[0] - 20) * np.cos(np.radians(sky[1] / 2)), sky[1]) < 8
    assert near.sum() <= len(cone) < 400
    assert (tmp_path / "sky.hats/hats.properties").read_text().count("sky") == 1
    assert not (tmp_path / "sky.hats/sorted").exists()


def test_hats_partitions_are_sorted_whole_and_small(tmp_path, sky, monkeypatch):
    pytest.importorskip("hats")
    monkeypatch.setattr(table_hats, "PARTITION_ROWS", 150)
    with table_writer(tmp_path / "sky.hats") as writer:
        writer.write(_sky(*sky))
    files = list((tmp_path / "sky.hats").glob("dataset/Norder=*/Dir=0/Npix=*.parquet"))
    for file in files:
        index = pq.read_table(file, partitioning=None)["_healpix_29"].to_numpy()
        order, pixel = int(file.parts[-3].split("=")[1]), int(file.stem.split("=")[1])
        assert 0 < len(index) <= 150
        assert (np.diff(index) >= 0).all()
        assert (index >> 2 * (29 - order) == pixel).all()
    catalog = open_catalog(tmp_path / "sky.hats")
    (found,) = catalog.batches(["row_id"], 10_000)
    np.testing.assert_array_equal(np.sort(found["row_id"]), np.arange(900))


def test_a_pixel_at_the_finest_order_may_be_large(tmp_path, monkeypatch):
    pytest.importorskip("hats")
    monkeypatch.setattr(table_hats, "PARTITION_ROWS", 5)
    with table_writer(tmp_path / "point.hats") as writer:
        writer.write(_sky(np.full(20, 12.0), np.full(20, 34.0)))
    assert open_catalog(tmp_path / "point.hats").rows == 20


def test_arrow_metadata_is_kept_by_hats(tmp_path, sky):
    pytest.importorskip("hats")
    with table_writer(tmp_path / "sky.hats") as writer:
        writer.write(_sky(*sky))
    (file,) = list((tmp_path / "sky.hats").glob("dataset/Norder=0/Dir=0/Npix=4.parquet"))
    assert pq.read_schema(file).metadata[b"label"] == b"x"
    assert pa.types.is_int64(pq.read_schema(file).field("_healpix_29").type)


def test_emulated_hats_catalogue_has_positions(tmp_path):
    pytest.importorskip("hats")
    world, out = fake_world(tmp_path, 200), tmp_path / "sky.hats"
    emulate_catalog(FakeEmulator(), world.path, out, columns=CatalogColumns(keep=["all"]))
    catalog = open_catalog(out)
    assert catalog.rows == 200
    assert {"ra", "dec", "redshift", "meas_mag_r"} <= set(catalog.widths)
    assert catalog.units["ra"] == "deg"
    (found,) = catalog.batches(["ra", "redshift"], 1000)
    np.testing.assert_array_equal(
        found["redshift"][np.argsort(found["ra"])],
        world.table.sort_values("ra")["redshift"].to_numpy(),
    )


def test_hats_catalogue_needs_positions_in_range(tmp_path):
    pytest.importorskip("hats")
    world = fake_world(tmp_path, 20)
    world.table.assign(ra=-3.0).to_parquet(world.path)
    with pytest.raises(BalrogError, match="ra -3.0"):
        emulate_catalog(FakeEmulator(), world.path, tmp_path / "sky.hats")
    world.table.drop(columns="dec").to_parquet(world.path)
    with pytest.raises(BalrogError, match="the position needs the column dec"):
        emulate_catalog(FakeEmulator(), world.path, tmp_path / "sky.hats")
    assert not (tmp_path / "sky.hats").exists()
