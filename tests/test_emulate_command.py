import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fake_emulator import FakeEmulator, fake_world

from balrog_keras.emulate_command import main
from balrog_keras.emulator import Emulator

ROOT = Path(__file__).parents[1]


@pytest.fixture
def emulate(tmp_path, monkeypatch):
    """Runs the command over a small catalogue; gives its output, or the error line."""
    fake_world(tmp_path, 200)
    monkeypatch.setattr(Emulator, "load", lambda directory: FakeEmulator(members=2))

    def run(*options, out="out.parquet", capsys=None):
        arguments = ["pair", "--catalog", str(tmp_path / "truth.parquet"), "--quiet"]
        code = main([*arguments, "--out", str(tmp_path / out), *options])
        if capsys:
            assert code == 1
            return capsys.readouterr().err.strip().splitlines()[-1]
        assert code == 0
        return pd.read_parquet(tmp_path / out)

    return run


def test_realizations_long_and_wide_are_the_same_draws(emulate):
    long = emulate("--realizations", "3", "--seed", "5")
    wide = emulate("--realizations", "3", "--seed", "5", "--layout", "wide")
    assert (len(long), len(wide)) == (600, 200)
    table = long.pivot(index="row_id", columns="realization", values="meas_mag_i")
    assert (table.to_numpy() == wide[[f"meas_mag_i_{n}" for n in range(3)]].to_numpy()).all()


def test_members_and_detected_only(emulate, capsys):
    found = emulate("--members", "--detected-only")
    assert set(found["member"]) == {0, 1}
    assert found["detected"].all()
    left_out = f"{400 - len(found):,} that are not detected left out"
    assert left_out in capsys.readouterr().out
    assert 200 < len(found) < 280


def test_rows_that_cannot_be_used_are_not_detected(emulate, tmp_path, capsys):
    path = tmp_path / "truth.parquet"
    truth = pd.read_parquet(path)
    truth.loc[[3, 7], "true_mag_i"] = float("nan")
    truth.to_parquet(path)
    found = emulate("--detected-only")
    said = f"{200 - len(found):,} that are not detected left out, with those that cannot be used"
    assert said in capsys.readouterr().out
    assert not {3, 7} & set(found["row_id"])


def test_domain_flag(emulate, capsys):
    found = emulate("--in-domain")
    assert 0 < (~found["in_domain"]).sum() < 200
    outside = f"{(~found['in_domain']).sum()} of 200 galaxies outside the domain"
    assert outside in capsys.readouterr().out


def test_keep_all_numbers(emulate, tmp_path):
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    found = emulate("--keep", "all", "--row-id", "object_id")
    numbers = [name for name in truth.columns if name != "name"]
    assert list(found.columns)[: len(numbers) + 1] == ["row_id", *numbers]
    pd.testing.assert_frame_equal(found[numbers], truth[numbers])


def test_kept_columns_may_not_hide_drawn_ones(emulate, tmp_path, capsys):
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    truth.assign(meas_mag_r=1.0).to_parquet(tmp_path / "truth.parquet")
    message = emulate("--keep", "meas_mag_r", capsys=capsys)
    assert "other names than those of the output; found meas_mag_r" in message
    assert (emulate("--keep", "all")["meas_mag_r"] > 10).all()


def test_columns_that_all_cannot_keep_are_named_once(emulate, tmp_path, caplog):
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    taken = {"row_id": 10 + truth.index, "meas_mag_r": 1.0, "detected": 1, "realization": 7}
    truth.assign(**taken).to_parquet(tmp_path / "truth.parquet")
    message = "not kept, because the output has columns of that name: "
    words = ("--keep", "all", "--detected", "--realizations", "2")
    emulate(*words)
    assert caplog.text.count(message) == 1
    assert f"{message}row_id, meas_mag_r, detected, realization\n" in caplog.text
    caplog.clear()
    emulate(*words, "--row-id", "row_id")
    assert f"{message}meas_mag_r, detected, realization\n" in caplog.text


def test_provenance_says_where_it_is_from(emulate, tmp_path):
    emulate("--seed", "7", "--columns", "true_mag_r=true_mag_i")
    record = json.loads((tmp_path / "out.parquet.provenance.json").read_text())
    assert record["command"].startswith("python -m balrog_keras emulate pair --catalog ")
    assert record["draws"]["seed"] == 7
    assert record["conditions"]["true_mag_r"] == "true_mag_i"
    assert record["catalog"]["bytes"] == (tmp_path / "truth.parquet").stat().st_size
    assert len(record["emulator"]["sha256"]) == 64
    assert record["versions"]["numpy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--members", "--member", "1"], "--member picks one"),
        (["--preset", "des-y3-sof", "--ra", "RA"], "leave out --ra"),
        (["--realizations", "0"], "at least 1"),
        (["--keep", "name"], "name must hold numbers"),
        (["--columns", "true_mag_r"], "CONDITION=COLUMN"),
        (["--columns", "true_mag_r=true_mag_r[r]"], "by its number, as true_mag_r[0]"),
        (["--columns", "true_mag_r=ra", "true_mag_r=dec"], "found several for true_mag_r"),
        (["--columns", "true_mag_r=ra", "--columns", "true_mag_r=dec"], "several for true_mag_r"),
        (["--keep", "redshift[0]"], "whole columns are kept (--keep redshift)"),
    ],
)
def test_options_that_contradict(emulate, tmp_path, capsys, options, message):
    assert message in emulate(*options, capsys=capsys)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_output_without_a_name(emulate, tmp_path, monkeypatch, capsys, out):
    monkeypatch.chdir(tmp_path)
    assert main(["pair", "--catalog", "truth.parquet", "--out", out, "--quiet"]) == 1
    assert "--out must name a file or directory to write" in capsys.readouterr().err


def test_home_in_paths(emulate, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["pair", "--catalog=~/truth.parquet", "--out=~/new.parquet", "--quiet"]) == 0
    assert (tmp_path / "new.parquet").is_file()
    assert not (tmp_path / "~").exists()


def test_output_must_not_be_the_catalogue(emulate, capsys):
    for out in ("truth.parquet", "truth.parquet/out.parquet"):
        assert "--out must lie elsewhere than" in emulate(out=out, capsys=capsys)


def test_help_needs_no_tensorflow_and_no_pandas():
    code = (
        "import sys; from balrog_keras.__main__ import main\n"
        "try: main(['emulate', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'tensorflow', 'pandas', 'pyarrow'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--resume" in done.stdout
