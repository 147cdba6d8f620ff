import json

import pytest
from untrained import untrained_pair

from balrog_keras.__main__ import main
from balrog_keras.bundle import read_description, read_metrics
from balrog_keras.info import describe


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, toy_shards, toy_settings):
    """Two members and a detection model, never trained."""
    return untrained_pair(tmp_path_factory, toy_shards, toy_settings)


def test_everything_is_told(bundle, capsys):
    assert main(["info", str(bundle)]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == "pair: toy: a known distribution"
    assert "format 2" in lines[1]
    for expected in (
        "P(detected | truth, survey properties)",
        "2 members, seeds [0, 1]",
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


def test_for_machines(bundle, capsys):
    assert main(["info", str(bundle), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metrics = found.pop("metrics")
    assert found == read_description(bundle)
    assert metrics == read_metrics(bundle)
    assert metrics["validation"] == {"step": 0.0}


def test_no_emulator_is_one_line(tmp_path, capsys):
    assert main(["info", str(tmp_path)]) == 1
    assert "no exported emulator" in capsys.readouterr().err


def test_first_format_is_told(bundle):
    description = read_description(bundle) | {"format_version": 1, "endpoints": {}}
    del description["in_domain"]
    lines = describe(description, {}).splitlines()
    assert any("has format 1: no realizations" in line for line in lines)
    assert not any(line.startswith(("endpoints", "scores", "in_domain")) for line in lines)
