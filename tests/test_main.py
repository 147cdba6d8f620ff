import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from toy import toy_conditions, toy_schema

from balrog_keras.__main__ import main

ROOT = Path(__file__).parents[1]


@pytest.fixture
def truth(tmp_path):
    table = pd.DataFrame(toy_conditions(100, 8), columns=list(toy_schema().condition_names))
    table.rename(columns={"true_mag_r": "MAG_R"}).to_parquet(tmp_path / "truth.parquet")
    return tmp_path / "truth.parquet"


def test_emulate(truth, toy_bundle, capsys):
    out = truth.with_name("out.parquet")
    arguments = ["emulate", str(toy_bundle), "--catalog", str(truth), "--out", str(out)]
    assert main([*arguments, "--columns", "true_mag_r=MAG_R", "--seed", "3"]) == 0
    assert "100 rows" in capsys.readouterr().out
    assert len(pd.read_parquet(out)) == 100


def test_emulate_with_a_member_and_detection(truth, toy_ensemble, capsys):
    pair, out = toy_ensemble / "saved_models/pair", truth.with_name("out.parquet")
    arguments = ["emulate", str(pair), "--catalog", str(truth), "--out", str(out), "--detected"]
    names = ["--columns", "true_mag_r=MAG_R"]
    tables = []
    for member in ("0", "1"):
        assert main([*arguments, *names, "--member", member]) == 0
        tables.append(pd.read_parquet(out))
    assert (tables[0]["detected"] == tables[1]["detected"]).all()
    found = tables[0]["detected"]
    assert (tables[0]["meas_mag_r"][found] != tables[1]["meas_mag_r"][found]).any()
    assert main([*arguments, *names, "--member", "2"]) == 1
    assert "from 0 to 1, found 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "true_mag_r"),
        (["--columns", "true_mag_r"], "CONDITION=COLUMN"),
        (["--columns", "true_mag_r=MAG_R", "--maps", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_1(truth, toy_bundle, capsys, extra, message):
    out = truth.with_name("out.parquet")
    arguments = ["emulate", str(toy_bundle), "--catalog", str(truth), "--out", str(out)]
    assert main([*arguments, *extra]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not out.exists()


def test_info_tells_columns_and_range(toy_bundle, capsys):
    assert main(["info", str(toy_bundle)]) == 0
    text = capsys.readouterr().out
    assert "toy: a known distribution" in text
    assert "fwhm_z            survey    arcsec    0.700 to 1.200" in text


@pytest.mark.parametrize("arguments", [["--help"], ["emulate", "--help"], ["info", "BUNDLE"]])
def test_help_and_info_need_no_tensorflow(arguments, toy_bundle):
    arguments = [str(toy_bundle) if text == "BUNDLE" else text for text in arguments]
    code = (
        "import sys; from balrog_keras.__main__ import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
