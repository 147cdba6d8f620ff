import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from balrog_keras.__main__ import main
from balrog_keras.config import Settings

ROOT = Path(__file__).parents[1]


def test_help_needs_neither_tensorflow_nor_optuna():
    code = (
        "import sys; from balrog_keras.__main__ import main\n"
        "try: main(['sweep', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'tensorflow', 'keras', 'optuna'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--search" in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trials", "0"], "--trials must be at least 1, got 0"),
        (["--search", "nowhere.yaml"], "nowhere.yaml"),
        (["--width", "0"], "setting width must be"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, flags, message):
    assert main(["sweep", "--data", str(tmp_path), "--name", "s", *flags]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_missing_optuna_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["sweep", "--data", str(tmp_path), "--name", "s"]) == 1
    assert "balrog-keras[sweep]" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("no_training_figures")
def test_best_settings_train_the_best_trial_again(tmp_path, toy_shards, hasty_settings, capsys):
    pytest.importorskip("optuna")
    base, space = tmp_path / "base.yaml", tmp_path / "space.yaml"
    base.write_text(yaml.safe_dump(hasty_settings.to_dict()))
    space.write_text(
        "critic_learning_rate: {low: 1e-4, high: 1e-2, log: true}\nwidth: {choices: [8, 16]}\n"
    )
    places = ["--data", str(toy_shards), "--runs", str(tmp_path / "runs")]
    search = ["--config", str(base), "--search", str(space), "--trials", "2"]
    assert main(["sweep", *places, "--name", "s", *search]) == 0
    printed = capsys.readouterr().out
    assert "2 trials completed" in printed
    assert "best settings" in printed
    home = tmp_path / "runs" / "s"
    assert not list(home.glob("trial-*/checkpoints"))
    assert len(list(home.glob("saved_models/trial-*/emulator.json"))) == 2

    config = home / "best.yaml"
    again = ["--name", "best", "--config", str(config), "--saved_models", str(tmp_path / "saved")]
    assert main(["train", *places, *again]) == 0
    best = config.read_text().splitlines()[0]
    number = best.split()[2]
    first, second = (
        json.loads((directory / "metrics.json").read_text())["validation"]["selection_score"]
        for directory in (home / "saved_models" / f"trial-{number}", tmp_path / "saved" / "best")
    )
    assert second == pytest.approx(first, rel=1e-5)
    assert float(best.split()[-1]) == pytest.approx(first, rel=1e-5)
    trained = yaml.safe_load((tmp_path / "runs" / "best" / "config.yaml").read_text())
    assert Settings.from_dict(trained).steps == hasty_settings.steps
