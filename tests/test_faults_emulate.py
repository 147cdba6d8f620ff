"""What emulate does with strange input, places and clocks: docs/reliability.md, row by row."""

import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from analytic_emulator import command_world
from fake_emulator import FakeEmulator, fake_world
from fault_world import elsewhere, error_of, full_disk, tree, unwritable

from balrog_keras.__main__ import main
from balrog_keras.emulator import Emulator
from data_prep.catalogs import open_catalog

NAMES = ["o.parquet", "o.fits", "o.hdf5", "o.hats", "directory"]


@pytest.fixture
def truth(tmp_path, monkeypatch):
    """A catalogue of 300 rows, drawn for by an emulator without TensorFlow."""
    monkeypatch.setattr(Emulator, "load", lambda directory: FakeEmulator())
    return fake_world(tmp_path, 300)


def run(catalog, out, *more):
    return main([
        "emulate", "fake", "--catalog", str(catalog), "--out", str(out), "--quiet", *more,
    ])  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_few_rows(truth, tmp_path, capsys, name, rows):
    truth.table[:rows].to_parquet(tmp_path / "few.parquet")
    code = run(tmp_path / "few.parquet", tmp_path / name)
    if rows == 0:
        assert "must hold at least one row" in error_of(code, capsys)
        assert not (tmp_path / name).exists()
    else:
        assert code == 0
        assert open_catalog(tmp_path / name).rows == rows


def test_a_repeated_id_gets_the_same_draw(truth, tmp_path):
    """Rows are what their ids say: those of one id and condition are alike, none is lost."""
    table = pd.concat([truth.table[:5]] * 2)
    table.to_parquet(tmp_path / "twice.parquet")
    assert run(tmp_path / "twice.parquet", tmp_path / "o.parquet", "--row-id", "object_id") == 0
    drawn = pd.read_parquet(tmp_path / "o.parquet")
    pd.testing.assert_frame_equal(drawn[:5], drawn[5:].reset_index(drop=True))
    assert len(drawn) == 10


def test_a_missing_band_is_named_and_a_constant_one_is_drawn(truth, tmp_path, capsys):
    truth.table.drop(columns="true_mag_i").to_parquet(tmp_path / "c.parquet")
    line = error_of(run(tmp_path / "c.parquet", tmp_path / "o.parquet"), capsys)
    assert "true_mag_i (mag) needs the column true_mag_i, which is missing" in line
    assert not (tmp_path / "o.parquet").exists()
    truth.table.assign(true_mag_i=22.0).to_parquet(tmp_path / "c.parquet")
    assert run(tmp_path / "c.parquet", tmp_path / "o.parquet") == 0
    assert pq.read_metadata(tmp_path / "o.parquet").num_rows == 300


def test_values_that_are_all_nan_are_written_as_null_and_counted(truth, tmp_path, caplog):
    truth.table.assign(true_mag_i=np.nan).to_parquet(tmp_path / "c.parquet")
    assert run(tmp_path / "c.parquet", tmp_path / "o.parquet", "--detected") == 0
    drawn = pd.read_parquet(tmp_path / "o.parquet")
    assert len(drawn) == 300
    assert drawn[["meas_mag_r", "meas_mag_i", "p_detect"]].isna().all(axis=None)
    assert not drawn["detected"].any()
    assert "300 of 300 rows: no usable true_mag_i; their measured values are null" in caplog.text


def test_nothing_detected_still_writes_every_row(truth, tmp_path, monkeypatch):
    real = FakeEmulator.drawn_columns

    def none_detected(self, *arguments, **more):
        columns = real(self, *arguments, **more)
        measured = {
            name: np.full_like(columns[name], np.nan) for name in self.schema.measured_names
        }
        return columns | measured | {"detected": np.zeros(len(columns["p_detect"]), bool)}

    monkeypatch.setattr(FakeEmulator, "drawn_columns", none_detected)
    assert run(truth.path, tmp_path / "o.parquet", "--detected") == 0
    drawn = pd.read_parquet(tmp_path / "o.parquet")
    assert len(drawn) == 300
    assert not drawn["detected"].any()
    assert drawn["meas_mag_i"].isna().all()
    assert run(truth.path, tmp_path / "only.parquet", "--detected-only") == 0
    assert pq.read_metadata(tmp_path / "only.parquet").num_rows == 0


@pytest.mark.parametrize("name", NAMES)
def test_full_disk_keeps_the_old_output_and_goes_on(truth, tmp_path, capsys, name):
    """Every format; HDF5's library would end the process with a segmentation fault."""
    out = tmp_path / name
    assert run(truth.path, out) == 0
    before = tree(tmp_path)
    with full_disk(3_000):
        code = run(truth.path, out, "--seed", "2")
    assert error_of(code, capsys)
    assert {k: v for k, v in tree(tmp_path).items() if not k.startswith(".")} == before
    assert run(truth.path, out, "--seed", "2", "--resume") == 0
    assert open_catalog(out).rows == 300
    assert not list(tmp_path.glob(".*"))


def test_unwritable_place_is_one_line(truth, tmp_path, capsys):
    place = unwritable(tmp_path)
    assert str(place) in error_of(run(truth.path, place / "o.parquet"), capsys)


@pytest.mark.parametrize(
    ("name", "precious"), [("o.hats", "precious.parquet"), ("directory", "thesis.tex")]
)
def test_a_directory_of_something_else_is_never_replaced(truth, tmp_path, capsys, name, precious):
    out = tmp_path / name
    out.mkdir()
    truth.table.to_parquet(out / precious)
    line = error_of(run(truth.path, out), capsys)
    assert "holds something else, which is not replaced: give another --out" in line
    assert [path.name for path in out.iterdir()] == [precious]


def test_links_blanks_and_other_alphabets(truth, tmp_path):
    home = tmp_path / "données de Σιγμα 星"
    home.mkdir()
    (home / "truth.parquet").symlink_to(truth.path)
    (home / "o.parquet").symlink_to(tmp_path / "other disk.parquet")
    assert run(home / "truth.parquet", home / "o.parquet") == 0
    assert (home / "o.parquet").is_symlink()
    assert run(truth.path, tmp_path / "plain.parquet") == 0
    one, other = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("plain", "other disk"))
    pd.testing.assert_frame_equal(one, other)
    assert (tmp_path / "other disk.parquet.provenance.json").is_file()


def test_clocks_zones_and_decimal_commas(truth, tmp_path, tmp_path_factory, monkeypatch):
    """Numbers in CSV are read with a point wherever the process runs; time is of no account."""
    table = truth.table.drop(columns="name")
    table.to_csv(tmp_path / "truth.csv", index=False)
    assert run(tmp_path / "truth.csv", tmp_path / "here.parquet") == 0
    for stamp in (-1_000_000_000, 2**33):
        os.utime(tmp_path / "truth.csv", (stamp, stamp))
        with elsewhere(tmp_path_factory, monkeypatch):
            assert run(tmp_path / "truth.csv", tmp_path / "there.parquet") == 0
        one, other = (tmp_path / f"{name}.parquet" for name in ("here", "there"))
        assert one.read_bytes() == other.read_bytes()
    assert pd.read_parquet(one)["meas_mag_i"].notna().all()


def test_a_file_of_something_else_is_never_replaced(truth, tmp_path, capsys):
    out = tmp_path / "o.parquet"
    out.write_bytes(truth.path.read_bytes())
    line = error_of(run(truth.path, out), capsys)
    assert "it is something else, which is not replaced: give another --out" in line
    assert out.read_bytes() == truth.path.read_bytes()
    out.unlink()
    for seed in ("1", "2"):
        assert run(truth.path, out, "--seed", seed) == 0


@pytest.mark.parametrize("name", ["o.hats", "directory"])
def test_a_file_put_into_an_earlier_output_is_not_lost(truth, tmp_path, capsys, name):
    out = tmp_path / name
    for seed in ("1", "2"):
        assert run(truth.path, out, "--seed", seed) == 0
    (out / "thesis.tex").touch()
    line = error_of(run(truth.path, out), capsys)
    assert "also holds thesis.tex, which would be lost" in line
    assert (out / "thesis.tex").exists()


def test_an_output_that_holds_the_catalogue_is_refused(truth, tmp_path, capsys):
    out = tmp_path / "directory"
    assert run(truth.path, out) == 0
    before = tree(tmp_path)
    line = error_of(run(out / "part-00000.parquet", out), capsys)
    assert "would replace" in line
    assert tree(tmp_path) == before


def test_a_map_that_is_read_is_not_replaced(tmp_path, monkeypatch, capsys):
    world = command_world(tmp_path, monkeypatch, rows=50)
    fits = world.place / "maps" / "r_fwhm.fits"
    before = fits.read_bytes()
    for out, message in ((fits, "not replaced"), (world.place / "maps", "would replace")):
        code = main(["emulate", *world.options, "--out", str(out), "--quiet"])
        assert message in error_of(code, capsys)
    assert fits.read_bytes() == before
