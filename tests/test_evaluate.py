import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shard_files import write_shards
from toy import toy_measured, toy_rows, toy_schema

from balrog_keras.evaluate_command import evaluate_bundle, main
from data_prep.errors import BalrogError
from data_prep.manifest import manifest_checksum
from data_prep.schema import Schema

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_script_writes_report_and_metrics(toy_bundle, toy_shards, tmp_path):
    command = [sys.executable, "evaluate.py", str(toy_bundle), "--data", str(toy_shards)]
    command += ["--out", str(tmp_path / "out"), "--draws", "25", "--max-rows", "600"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Classifier two-sample AUC" in done.stderr
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    label = json.loads((toy_shards / "manifest.json").read_text())["label"]
    assert label in page
    assert metrics["label"] == label
    assert metrics["rows"]["test"] == 600
    assert metrics["null"] == "second realization"
    assert metrics["statistics"]["non_finite_draws"]["draws"] >= 1_000_000
    provenance = metrics["provenance"]
    assert provenance["settings"] == {"draws": 25, "seed": 0, "max_rows": 600, "cuts": []}
    assert provenance["emulator"]["name"] == "toy"
    assert len(provenance["emulator"]["emulator_json_sha256"]) == 64
    assert provenance["shards"]["fingerprint"] == toy_schema().fingerprint


@pytest.mark.slow
@pytest.mark.usefixtures("quick_classifiers", "unrendered_figures")
def test_oracle_in_the_shards_is_the_null(toy_bundle, toy_shards, tmp_path):
    test = toy_rows(800, 3)
    oracle = {key: values[100:] for key, values in test.items()}
    oracle["measured"] = toy_measured(oracle["condition"], 99)
    splits = {"train": toy_rows(500, 1), "test": test, "oracle": oracle}
    content = json.loads((toy_shards / "manifest.json").read_text())
    kept = {k: content[k] for k in content if k not in ("schema", "splits", "statistics", "sha256")}
    kept["label"] = "another label"
    shards = tmp_path / "shards"
    shards.mkdir()
    write_shards(shards, splits, toy_schema(), kept)
    metrics = evaluate_bundle(toy_bundle, shards, tmp_path / "out", draws=20)
    assert metrics["null"] == "oracle"
    assert metrics["rows"]["paired_with_oracle"] == 700
    assert metrics["statistics"]["c2st"]["rows"] == 700
    assert metrics["statistics"]["c2st"]["all_rows"]["rows"] == 800
    assert metrics["label"] == "another label; emulator trained on toy: a known distribution"
    assert "oracle" in metrics["statistics"]["energy_score"]


def test_other_schema_is_refused(toy_bundle, toy_shards, tmp_path, capsys):
    shards = tmp_path / "shards"
    shutil.copytree(toy_shards, shards)
    content = json.loads((shards / "manifest.json").read_text())
    content["schema"]["columns"][0]["unit"] = "nJy"
    content["fingerprint"] = Schema.from_dict(content["schema"]).fingerprint
    content["sha256"] = manifest_checksum(content)
    (shards / "manifest.json").write_text(json.dumps(content))
    assert main([str(toy_bundle), "--data", str(shards), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "true_mag_r" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["emulator", "shards"])
def test_missing_inputs_are_one_line(missing, toy_bundle, toy_shards, tmp_path, capsys):
    bundle = tmp_path / "none" if missing == "emulator" else toy_bundle
    shards = tmp_path / "none" if missing == "shards" else toy_shards
    assert main([str(bundle), "--data", str(shards), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"error: {tmp_path}")


def test_max_rows_must_be_positive(toy_bundle, toy_shards, tmp_path):
    with pytest.raises(BalrogError, match="--max-rows"):
        evaluate_bundle(toy_bundle, toy_shards, tmp_path, max_rows=0)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom balrog_keras.evaluate_command import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'tensorflow', 'sklearn', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "saved_models/first --data shards" in done.stdout


def test_importing_the_statistics_imports_no_tensorflow():
    code = (
        "import sys\nimport balrog_keras.report, balrog_keras.plots\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_classifiers", "unrendered_figures")
def test_ensemble_with_detection(toy_ensemble, tmp_path):
    bundle, shards = toy_ensemble / "saved_models/pair", toy_ensemble / "shards"
    metrics = evaluate_bundle(bundle, shards, tmp_path / "out", draws=20, max_rows=3_000)
    detection = metrics["detection"]
    assert detection["rows"]["test"] == 3_000
    assert detection["statistics"]["auc"]["value"] > 0.9
    assert [bar["name"] for bar in metrics["bars"][3:6]] == [
        "detection_ece", "detection_completeness", "detection_counts",
    ]  # fmt: skip
    first, second = metrics["members"]
    assert first["C2ST AUC"] != second["C2ST AUC"]
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert '<h2 id="detection">' in page
    assert "Members of the ensemble" in page
