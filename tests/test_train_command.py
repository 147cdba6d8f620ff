import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from balrog_keras.train_command import main

ROOT = Path(__file__).parents[1]


def test_help_needs_no_tensorflow():
    code = (
        "import sys; from balrog_keras.train_command import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--gradient_penalty_weight" in done.stdout


def test_no_shards_is_one_line(tmp_path, capsys):
    code = main(["--data", str(tmp_path), "--name", "x", "--runs", str(tmp_path / "runs")])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 1
    assert error.startswith("error: ")
    assert "data_prep prepare" in error


def test_setting_out_of_range(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--name", "x", "--width", "0"]) == 1
    assert "setting width must be" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--widht", "3"], ["--width", "wide"], []])
def test_wrong_usage_exits_with_2(flags):
    with pytest.raises(SystemExit) as end:
        main([*flags, "--name", "x"])
    assert end.value.code == 2


def test_resume_takes_the_runs_own_settings(toy_run, toy_shards, tmp_path, capsys):
    shutil.copytree(toy_run / "runs", tmp_path / "runs")
    place = ["--runs", str(tmp_path / "runs"), "--saved_models", str(tmp_path)]
    arguments = ["--data", str(toy_shards), "--name", "toy", *place, "--resume"]
    assert main(arguments) == 0
    assert (tmp_path / "toy" / "emulator.json").is_file()
    assert main([*arguments, "--width", "99"]) == 1
    assert "width was 16, now 99" in capsys.readouterr().err


def test_missing_tensorflow_names_the_extra(toy_shards, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    code = main(["--data", str(toy_shards), "--name", "x", "--runs", str(tmp_path)])
    assert code == 1
    assert "balrog-keras[cpu]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"steps: 10\nseed: 1\nsteps: 20\n", "steps of line 1 is there again in line 3"),
        ("# Läufe\nsteps: 10\n".encode("latin-1"), "must be YAML: 'utf-8' codec"),
        (b"- steps\n", "must be a mapping"),
    ],
)
@pytest.mark.parametrize("form", ["--config {}", "--config={}"])
def test_settings_that_cannot_be_meant_are_one_line(tmp_path, capsys, content, message, form):
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    arguments = ["--data", str(tmp_path), "--name", "x", *form.format(path).split()]
    assert main(arguments) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert f"{path} must" in error[0]
    assert message in error[0]
