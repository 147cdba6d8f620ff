"""Interrupted jobs: what is kept, what goes on with it, what never happens to the output."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fake_emulator import FakeEmulator, fake_world

from balrog_keras.catalog_columns import CatalogColumns
from balrog_keras.catalog_emulation import emulate_catalog
from balrog_keras.catalog_parts import PartStore
from balrog_keras.draw_plan import DrawPlan
from balrog_keras.table_formats.table_parquet import ParquetTable
from data_prep.catalogs import open_catalog
from data_prep.errors import BalrogError
from data_prep.locks import locked

ROOT = Path(__file__).parents[1]
PLAN = DrawPlan(seed=3, realizations=2, detected=True)
COLUMNS = CatalogColumns(row_id=("object_id",), keep=["redshift"])

# A process that kills itself, as by kill -9, at one of the moments that are named.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from balrog_keras import catalog_emulation, catalog_parts
from test_catalog_parts import run

def die():
    os.kill(os.getpid(), signal.SIGKILL)

moment, save, replace = sys.argv[2], catalog_parts.PartStore.save, os.replace

def saving(self, number, part):
    save(self, number, part)
    if moment == f"part {number}":
        die()

def replacing(source, target):
    replace(source, target)
    if moment == "published" and Path(target).parent == Path(sys.argv[1]):
        die()

catalog_parts.PartStore.save, os.replace = saving, replacing
run(Path(sys.argv[1]))
"""


def run(place, name="out.parquet", **more):
    """Seven parts of at most 400 rows."""
    return emulate_catalog(
        FakeEmulator(), place / "truth.parquet", place / name, plan=PLAN, columns=COLUMNS,
        resume=True, batch_rows=100, **more,
    )  # fmt: skip


def _content(path):
    """Checksum of a file, or of those of a directory."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {
        str(each.relative_to(path)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in files
        if each.is_file()
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return fake_world(tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def whole(world):
    """The output of a job that nothing disturbed."""
    run(world.path.parent, "whole.parquet")
    return world.path.with_name("whole.parquet")


def _write_older(out):
    out.write_text("an older output")
    out.with_name(f"{out.name}.provenance.json").write_text("{}")


def _names(place):
    return sorted(each.name for each in place.iterdir() if "whole" not in each.name)


def test_killed_at_any_moment_it_ends_with_the_same_bytes(world, whole):
    place, out = world.path.parent, world.path.with_name("out.parquet")
    _write_older(out)
    for moment in ("part 1", "part 4", "published", "never"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(place), moment],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == (0 if moment == "never" else -signal.SIGKILL), done.stderr
        if moment in ("part 1", "part 4"):
            assert out.read_text() == "an older output"
        else:
            assert _content(out) == _content(whole)
    assert _names(place) == ["out.parquet", "out.parquet.provenance.json", "truth.parquet"]
    record = json.loads((place / "out.parquet.provenance.json").read_text())
    assert (record["rows_read"], record["rows_written"]) == (2_500, 5_000)


class _Stop(Exception):
    pass


def _stop_at(monkeypatch, number):
    save = PartStore.save

    def stopping(self, at, part):
        if at == number:
            raise _Stop
        save(self, at, part)

    monkeypatch.setattr(PartStore, "save", stopping)


@pytest.mark.parametrize("name", ["o.fits", "o.hdf5", "directory"])
def test_every_format_resumes_to_the_same_bytes(world, name, monkeypatch, tmp_path):
    (tmp_path / "truth.parquet").symlink_to(world.path)
    run(tmp_path, name)
    expected = _content(tmp_path / name)
    with monkeypatch.context() as patch:
        _stop_at(patch, 3)
        with pytest.raises(_Stop):
            run(tmp_path, name)
    assert _content(tmp_path / name) == expected
    drawn = []
    monkeypatch.setattr(
        FakeEmulator, "drawn_columns",
        lambda self, *keys, inner=FakeEmulator.drawn_columns: drawn.append(len(keys[0]))
        or inner(self, *keys),
    )  # fmt: skip
    run(tmp_path, name)
    assert sum(drawn) == 2 * (2_500 - 3 * 400)
    assert _content(tmp_path / name) == expected


def test_parts_of_another_job_are_refused(world, monkeypatch, tmp_path):
    (tmp_path / "truth.parquet").symlink_to(world.path)
    with monkeypatch.context() as patch:
        _stop_at(patch, 2)
        with pytest.raises(_Stop):
            run(tmp_path)
    with pytest.raises(BalrogError, match="--resume must repeat .* changed: draws"):
        emulate_catalog(
            FakeEmulator(), world.path, tmp_path / "out.parquet", plan=DrawPlan(seed=4),
            columns=COLUMNS, resume=True, batch_rows=100,
        )  # fmt: skip
    assert len(PartStore(tmp_path / ".out.parquet.emulate")) == 2
    monkeypatch.setattr(FakeEmulator, "drawn_columns", None)
    with pytest.raises(TypeError):
        run(tmp_path)


def test_a_second_process_is_refused(world, tmp_path):
    (tmp_path / "truth.parquet").symlink_to(world.path)
    with locked(tmp_path / "out.parquet", ""):
        with pytest.raises(BalrogError, match="one process at a time"):
            run(tmp_path)
        assert not (tmp_path / "out.parquet").exists()


def test_counts_of_kept_parts_are_remembered(world, monkeypatch, tmp_path, caplog):
    table = world.table.copy()
    table.loc[[5, 1_999], "true_mag_i"] = np.nan
    table.to_parquet(tmp_path / "truth.parquet")
    with monkeypatch.context() as patch:
        _stop_at(patch, 3)
        with pytest.raises(_Stop):
            run(tmp_path)
    done = run(tmp_path)
    assert done.unusable == {"no usable true_mag_i": 2}
    assert "2 of 2,500 rows: no usable true_mag_i" in caplog.text
    assert pq.read_table(tmp_path / "out.parquet")["p_detect"].null_count == 4


def test_one_part_is_not_written_twice(world, tmp_path, monkeypatch):
    (tmp_path / "truth.parquet").symlink_to(world.path)
    monkeypatch.setattr(PartStore, "save", None)
    emulate_catalog(FakeEmulator(), tmp_path / "truth.parquet", tmp_path / "out.parquet")
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 2_500


def test_full_disk_keeps_the_old_output_and_the_parts(world, whole, tmp_path, monkeypatch):
    (tmp_path / "truth.parquet").symlink_to(world.path)
    out = tmp_path / "out.parquet"
    _write_older(out)

    def full(self):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ParquetTable, "finish", full)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path)
    assert out.read_text() == "an older output"
    assert len(PartStore(tmp_path / ".out.parquet.emulate")) == 7
    run(tmp_path)
    assert _content(out) == _content(whole)


@pytest.mark.parametrize("name", ["out.parquet", "out.fits", "out.hdf5", "directory"])
def test_kept_columns_have_one_type_though_values_are_missing_somewhere(
    world, name, monkeypatch, tmp_path
):
    number = np.arange(2_500)
    gap = pd.array(number, "Int64")
    gap[2_499] = pd.NA
    flag = pd.array(number % 2 == 0, "boolean")
    flag[2_499] = pd.NA
    table = world.table.assign(whole=number, gap=gap, flag=flag)
    table.to_parquet(tmp_path / "truth.parquet")
    columns = CatalogColumns(keep=["whole", "gap", "flag"])

    def emulated():
        catalog, out = tmp_path / "truth.parquet", tmp_path / name
        emulate_catalog(FakeEmulator(), catalog, out, None, PLAN, columns, resume=True,
                        batch_rows=100)  # fmt: skip

    with monkeypatch.context() as patch:
        _stop_at(patch, 3)
        with pytest.raises(_Stop):
            emulated()
    emulated()
    parts = list(open_catalog(tmp_path / name).batches(columns.keep, 500))
    assert len({(each["gap"].dtype, each["flag"].dtype) for each in parts}) == 1
    found = {key: np.concatenate([each[key] for each in parts]) for key in columns.keep}
    assert found["whole"].dtype == np.int64
    np.testing.assert_array_equal(found["whole"], number.repeat(2))
    np.testing.assert_array_equal(found["gap"], np.append(number[:-1], np.nan).repeat(2))
    np.testing.assert_array_equal(found["flag"][:4], [1, 1, 0, 0])
    assert np.isnan(found["flag"][-2:]).all()
