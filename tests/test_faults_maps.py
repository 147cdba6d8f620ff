"""What maps does with strange input and places: docs/reliability.md, row by row."""

import numpy as np
import pandas as pd
import pytest
from analytic_emulator import AnalyticEmulator, command_world
from fault_world import error_of, full_disk, tree, unwritable
from killed import MOMENTS, hidden, kill

from balrog_keras.maps_command import main
from data_prep.locks import locked

OPTIONS = ["--nside", "16", "--draws", "40", "--quiet"]


def quick_pictures(patch):
    """The picture of the maps is made of a few points and not drawn."""
    from matplotlib.figure import Figure

    def save(figure, path, **options):
        path.write_bytes(b"picture")

    patch.setattr(Figure, "savefig", save)
    patch.setattr("balrog_keras.maps_figures._POINTS", 20)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A small survey."""
    quick_pictures(monkeypatch)
    return command_world(tmp_path, monkeypatch, rows=400)


def command(arguments):
    """What :mod:`killed` calls in a process of its own."""
    patch = pytest.MonkeyPatch()
    quick_pictures(patch)
    patch.setattr("balrog_keras.emulator.Emulator.load", lambda directory: AnalyticEmulator())
    return main(arguments)


def run(world, out, *more):
    return main([*world.options, "--out", str(out), *OPTIONS, *more])


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows(world, tmp_path, capsys, rows):
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    truth[:rows].to_parquet(tmp_path / "truth.parquet")
    code = run(world, tmp_path / "out")
    if rows == 0:
        assert "must hold at least one row" in error_of(code, capsys)
        assert not (tmp_path / "out").exists()
    else:
        assert code == 0
        assert (tmp_path / "out/maps.json").is_file()


def test_a_missing_band_is_named_and_a_constant_one_is_painted(world, tmp_path, capsys):
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    truth.drop(columns="MAG_I").to_parquet(tmp_path / "truth.parquet")
    assert "needs the column MAG_I, which is missing" in error_of(
        run(world, tmp_path / "o"), capsys
    )
    assert not (tmp_path / "o").exists()
    truth.assign(MAG_I=np.float32(22)).to_parquet(tmp_path / "truth.parquet")
    assert run(world, tmp_path / "o") == 0


def test_nothing_detected_paints_a_completeness_of_zero(world, tmp_path, monkeypatch):
    import healsparse

    nobody = lambda self, condition: np.zeros(len(condition), np.float32)  # noqa: E731
    monkeypatch.setattr(AnalyticEmulator, "p_detect", nobody)
    assert run(world, tmp_path / "o") == 0
    painted = healsparse.HealSparseMap.read(str(tmp_path / "o/completeness.hsp"))
    assert (painted[painted.valid_pixels] == 0).all()
    assert len(painted.valid_pixels) == len(world.pixels)


def test_full_disk_keeps_the_old_maps(world, tmp_path, capsys):
    assert run(world, tmp_path / "o") == 0
    before = tree(tmp_path)
    with full_disk(2_000):
        code = run(world, tmp_path / "o", "--overwrite", "--seed", "2")
    assert error_of(code, capsys)
    assert tree(tmp_path) == before


def maps_in(out):
    """All but maps.json, which has the command and its time."""
    return {name: sha for name, sha in tree(out).items() if name != "maps.json"}


def test_killed_the_old_maps_stay_and_it_starts_anew(world, tmp_path):
    out = tmp_path / "o"
    assert run(world, tmp_path / "whole") == run(world, out, "--seed", "2") == 0
    old, whole = maps_in(out), maps_in(tmp_path / "whole")
    assert old != whole
    again = [*world.options, "--out", str(out), *OPTIONS, "--overwrite"]
    for moment in MOMENTS:
        kill("test_faults_maps", moment, again)
        assert maps_in(out) == (whole if moment == "published" else old)
        assert len(hidden(tmp_path)) == 1
    assert main(again) == 0
    assert maps_in(out) == whole
    assert not hidden(tmp_path)


def test_two_processes_on_one_output(world, tmp_path, capsys):
    with locked(tmp_path / "o", "wait"):
        line = error_of(run(world, tmp_path / "o"), capsys)
    assert "must be written by one process at a time, and another is at it" in line
    assert not (tmp_path / "o").exists()


def test_unwritable_place_is_one_line(world, tmp_path, capsys):
    place = unwritable(tmp_path)
    assert str(place) in error_of(run(world, place / "o"), capsys)


def test_links_blanks_and_other_alphabets(world, tmp_path):
    home = tmp_path / "données de Σιγμα 星"
    home.mkdir()
    (home / "o").symlink_to(tmp_path / "disk")
    assert run(world, home / "o") == 0
    assert (home / "o").is_symlink()
    assert (tmp_path / "disk/completeness.hsp").is_file()
