"""What export-onnx does when it is killed: docs/reliability.md, row by row."""

import json

import numpy as np
import pytest
from fault_world import tree
from killed import hidden, kill
from toy import toy_conditions

from balrog_keras.onnx_command import main
from balrog_keras.onnx_emulator import OnnxEmulator

pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")


def command(arguments):
    """What :mod:`killed` calls in a process of its own."""
    return main(arguments)


def draws(out):
    """What the networks give; tf2onnx numbers the nodes of their files anew in each process."""
    emulator, condition = OnnxEmulator.load(out), toy_conditions(50, 1)
    drawn = [emulator.draw(condition, np.arange(50), 0, member=member) for member in range(2)]
    return np.column_stack([*drawn, emulator.p_detect(condition)])


@pytest.mark.slow
def test_killed_the_old_export_stays_and_it_starts_anew(untrained_bundle, tmp_path):
    out = tmp_path / "out"
    words = [str(untrained_bundle), "--out", str(out)]
    out.mkdir()
    older = {"files": {}, "from_latent": [], "emulator_json_sha256": "older"}
    (out / "onnx.json").write_text(json.dumps(older))
    old = tree(out)
    kill("test_faults_onnx", "half", words)
    assert tree(out) == old
    assert len(hidden(tmp_path)) == 1
    kill("test_faults_onnx", "published", words)
    whole = draws(out)
    assert len(hidden(tmp_path)) == 1
    assert main(words) == 0
    np.testing.assert_array_equal(draws(out), whole)
    assert not hidden(tmp_path)
