import fitsio
import healpy
import healsparse
import numpy as np
import pandas as pd
import pytest

from data_prep.inspection.file_kind import kind_of

NSIDE = 16
SKY = np.arange(12 * NSIDE**2, dtype=np.float32)


def write(path, columns, **header):
    table = np.empty(len(next(iter(columns.values()))), [(n, v.dtype) for n, v in columns.items()])
    for name, values in columns.items():
        table[name] = values
    fitsio.write(path, table, header=header)
    return path


def sparse():
    sky = healsparse.HealSparseMap.make_empty(2, NSIDE, np.float32)
    sky.update_values_pix(np.arange(50), SKY[:50])
    return sky


def test_maps(tmp_path):
    healpy.write_map(tmp_path / "full.fits.gz", SKY, dtype=np.float32)
    healpy.write_map(tmp_path / "partial.fits", SKY, partial=True, dtype=np.float32)
    write(tmp_path / "bare.fits", {"depth": SKY})
    write(tmp_path / "list.fits", {"PIXEL": np.arange(5), "SIGNAL": SKY[:5]})
    write(tmp_path / "header.fits", {"a": SKY[:7]}, ORDERING="NEST")
    sparse().write(str(tmp_path / "sparse.hsp"))
    sparse().write(str(tmp_path / "sparse.parquet"), format="parquet", nside_io=2)
    paths = list(tmp_path.iterdir())
    assert len(paths) == 7
    assert [path.name for path in paths if kind_of(path) != "map"] == []


def test_catalogues(tmp_path):
    table = pd.DataFrame({"ra": [1.0, 2], "dec": [3.0, 4]})
    write(tmp_path / "t.fits", {"ra": SKY, "dec": SKY})
    write(tmp_path / "one.fits", {"ra": SKY[:100]})
    write(tmp_path / "six.fits", {"ra": SKY[: 12 * 2]})
    table.to_csv(tmp_path / "t.csv")
    table.to_parquet(tmp_path / "t.parquet")
    table.to_pickle(tmp_path / "t.pkl")
    (tmp_path / "t.hdf5").write_bytes(b"")
    (tmp_path / "damaged.fits").write_bytes(b"SIMPLE  = no")
    for directory in ("parts", "hats"):
        (tmp_path / directory).mkdir()
        table.to_parquet(tmp_path / directory / "0.parquet")
    (tmp_path / "parts" / "_metadata").write_bytes(b"")
    (tmp_path / "hats" / "hats.properties").write_text("")
    (tmp_path / "hats" / "more.txt").write_text("")
    paths = list(tmp_path.iterdir())
    assert len(paths) == 10
    assert [path.name for path in paths if kind_of(path) != "catalogue"] == []
    assert kind_of(tmp_path / "one.fits", as_map=True) == "map"
    assert kind_of(tmp_path / "t.csv", as_map=True) == "catalogue"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("manifest.json", "shards"), ("emulator.json", "emulator"), ("x", "directory")],
)
def test_directories(tmp_path, name, kind):
    (tmp_path / name).write_text("")
    assert kind_of(tmp_path) == kind


def test_others(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    assert kind_of(tmp_path / "notes.txt") == "other"
    assert kind_of(tmp_path) == "directory"
