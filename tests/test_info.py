import json

import pytest

from balrog_keras.__main__ import main
from balrog_keras.bundle import read_description, read_metrics
from balrog_keras.info import describe


def test_everything_is_told(toy_ensemble, capsys):
    assert main(["info", str(toy_ensemble / "saved_models/pair")]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == "pair: toy: a known detection probability"
    assert "format 2" in lines[1]
    for expected in (
        "P(detected | truth, survey properties)",
        "2 members, seeds [3, ",
        "in_domain: 1% of held-out training rows are outside",
        "endpoints, all with the 9 conditions by name, float32 (rows)",
        "  detection_probability: -> p_detect",
        "  in_domain: -> domain_score, in_domain bool (rows)",
        "scores, validation spread",
    ):
        assert expected in lines or any(line.startswith(expected) for line in lines)
    drawing = next(line for line in lines if line.startswith("  serving_default: "))
    inputs, outputs = drawing.split(" -> ")
    for name in ("row_id int64 (rows)", "seed int64 ()", "draw int64 ()", "member int64 ()"):
        assert name in inputs
    assert outputs == "meas_mag_r, meas_mag_i, meas_mag_z"
    column = next(line for line in lines if line.startswith("true_mag_r"))
    assert column.split()[1:3] == ["truth", "mag"]


def test_for_machines(toy_bundle, capsys):
    assert main(["info", str(toy_bundle), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metrics = found.pop("metrics")
    assert found == read_description(toy_bundle)
    assert metrics == read_metrics(toy_bundle)
    assert metrics["validation"]["energy_score"] > 0


def test_no_emulator_is_one_line(tmp_path, capsys):
    assert main(["info", str(tmp_path)]) == 1
    assert "no exported emulator" in capsys.readouterr().err


@pytest.mark.parametrize("upgraded", [False, True])
def test_first_format_and_upgrade_are_told(toy_bundle, upgraded):
    description = read_description(toy_bundle)
    if upgraded:
        description["upgraded"] = {"command": "python -m balrog_keras upgrade it"}
    else:
        description |= {"format_version": 1, "endpoints": {}}
        del description["in_domain"]
    lines = describe(description, {}).splitlines()
    assert any("has format 1" in line for line in lines) != upgraded
    assert any(line.startswith("endpoints") for line in lines) == upgraded
    assert ("  python -m balrog_keras upgrade it" in lines) == upgraded
    assert not any(line.startswith("scores") for line in lines)
